// Step "locate": the home region of an identified request, with what it needs of the platform: the visitor's place, and for `home: "first"` the
// word of whoever arbitrates.

import type { Route } from "../core/config-types.ts";
import { homeRegion, poolRegions, type VisitorPlace } from "../core/home.ts";
import { networkOf } from "../core/network.ts";
import type { FirstAnswer } from "../core/protocol.ts";
import { firstHome } from "../platform/first-home.ts";
import { networkHash } from "../platform/keyed-hash.ts";
import { within } from "../platform/limits.ts";
import { ringStub } from "../platform/stubs.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";

/** Of an arbiter that is asked for an explanation. */
const ARBITER_ANSWER_MS = 2_000;

const NEAREST: Route["home"] = { kind: "visitor" };

export function locate(arrival: Arrival, identified: Identified): FirstAnswer | Promise<FirstAnswer> {
  const { route, point, claims, tag, key, pool } = identified;
  const { config } = arrival.settings;
  const place = (): VisitorPlace => placeOf(arrival);
  const { kind } = route.home;
  // Who names no session, or one without affinity, is best served nearby: nobody has to agree with them.
  const isAlone = key === undefined && (kind === "session" || kind === "first");
  const remembered = isAlone ? undefined : (tag?.home ?? claims?.home);
  const home = homeRegion(config, isAlone ? { ...route, home: NEAREST } : route, point.lot, place, remembered);
  if (isAlone || kind !== "first") return { kind: "region", region: home };
  // Everyone of a key that an origin has issued brings its tag.
  if (tag && poolRegions(config, pool.id).some(({ id }) => id === tag.home)) return { kind: "region", region: tag.home };
  return askFirst(arrival, identified, home);
}

async function askFirst(arrival: Arrival, identified: Identified, arbiter: string): Promise<FirstAnswer> {
  const { route, point, pool } = identified;
  const nearest = homeRegion(arrival.settings.config, { ...route, home: NEAREST }, point.lot, () => placeOf(arrival), undefined);
  return firstHome(arrival, { pool, keyHash: await identified.keyHash(), arbiter, nearest, visitor: await visitorOf(arrival), lot: point.lot });
}

/** The same for a request that nobody makes: whoever would be first is not made so. */
export async function wouldLocate(arrival: Arrival, identified: Identified): Promise<string> {
  const { env, settings } = arrival;
  const { route, point, pool, key } = identified;
  if (route.home.kind !== "first" || key === undefined) {
    const answer = await locate(arrival, identified);
    return answer.kind === "region" ? answer.region : settings.config.defaultRegion;
  }
  const arbiter = homeRegion(settings.config, route, point.lot, () => placeOf(arrival), undefined);
  const keyHash = await identified.keyHash();
  const asked = async (): Promise<string | undefined> => ringStub(env, settings.config, pool.id, arbiter).firstRegion(keyHash);
  try {
    const known = await within(asked(), ARBITER_ANSWER_MS, "first");
    if (known !== undefined) return known;
  } catch {
    return arbiter; // where a request would go that cannot ask either
  }
  return homeRegion(settings.config, { ...route, home: NEAREST }, point.lot, () => placeOf(arrival), undefined);
}

/** Keyed hash of the network that the visitor came from, where new sessions are counted by it. */
export async function visitorOf({ env, given, settings }: Arrival): Promise<string | undefined> {
  const network = env.NEW_SESSIONS && networkOf(given["cf-connecting-ip"]);
  return network === undefined ? undefined : networkHash(settings.secrets.at(-1) ?? "", network);
}

/** Where the platform says the visitor is; in dev a request header may say otherwise. Anything unreadable is not known. */
function placeOf({ request, given, settings }: Arrival): VisitorPlace {
  const written = settings.dev ? devCf(given["limpet-dev-cf"]) : {};
  // A place that is set by hand replaces the platform's whole: half of one and half of the other is nowhere.
  const placed = ["latitude", "longitude", "continent"].some((name) => name in written);
  const cf: Record<string, unknown> = placed ? written : { ...(request.cf as Record<string, unknown> | undefined) };
  return {
    latitude: degrees(cf["latitude"]),
    longitude: degrees(cf["longitude"]),
    continent: typeof cf["continent"] === "string" ? cf["continent"] : undefined,
  };
}

function devCf(text: string | undefined): Record<string, unknown> {
  try {
    const cf: unknown = JSON.parse(text ?? "{}");
    return typeof cf === "object" && cf !== null ? { ...cf } : {};
  } catch {
    return {};
  }
}

function degrees(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}
