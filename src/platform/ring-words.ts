// What a Worker asks a ring object about a plain request, and how it keeps from asking too much: whether an origin is well, where a session is,
// that it belongs to another origin, that it is over. Who cannot be reached is left alone for a moment.

import type { Pool } from "../core/config-types.ts";
import { decide } from "../core/decide.ts";
import type { Decision, Routed } from "../core/decision.ts";
import { regionOrder } from "../core/home.ts";
import type { FindItem, RedirectAnswer } from "../core/protocol.ts";
import type { PlainRequest } from "./decide-http.ts";
import type { Platform } from "./env.ts";
import { within } from "./limits.ts";
import { forget, knownRing, learn, remember } from "./snapshots.ts";
import { ringStub } from "./stubs.ts";

/** What this isolate has heard of origins it could not reach: while one ask is out nobody else asks. */
const heard = new Map<string, { readonly what: "asking" | "well"; readonly untilMs: number }>();
/** An ask that has not come back by then (its visitor left, and the request was ended) counts for nothing. */
const ASKING_MS = 10_000;
/** How long "it is well" keeps this isolate from asking again. */
const wellMs = (pool: Pool): number => Math.min(1_000, pool.horizonMs / 8);

/** Longest wait of a request for a ring object's word on a session, and how long one that gave none is not asked again. */
const WORD_MS = 2_000;
const SILENT_MS = 1_000;
/** Longest wait for a verdict: a ring object probes several times. */
const VERDICT_MS = 5_000;
const silentUntilMs = new Map<string, number>();

/** The pool's origins of which this isolate does not know whether they live: somebody is asking. */
export function inDoubt({ id }: Pool): string[] {
  const [prefix, nowMs] = [`${id}/`, Date.now()];
  const asking = [...heard].filter(([name, { what, untilMs }]) => name.startsWith(prefix) && what === "asking" && nowMs < untilMs);
  return asking.map(([name]) => name.slice(prefix.length));
}

/** What the ring object says of an origin: it probes. Its newer snapshot is taken over. Never rejects. */
export async function askRing(
  { env, settings }: Platform,
  pool: Pool,
  { origin, region }: Pick<Routed, "origin" | "region">,
): Promise<"well" | "down" | "someone-asks" | "nobody-answers"> {
  const name = `${pool.id}/${origin.id}`;
  const word = heard.get(name);
  if (word && Date.now() < word.untilMs) return word.what === "asking" ? "someone-asks" : "well";
  heard.set(name, { what: "asking", untilMs: Date.now() + ASKING_MS });
  try {
    const answer = await within(ringStub(env, settings.config, pool.id, region).verdict(origin.id), VERDICT_MS, "verdict");
    learn(answer, "ring");
    if (!answer.verdict.healthy) {
      heard.delete(name);
      return "down";
    }
  } catch (error) {
    unreachable(pool, region, error);
    heard.delete(name);
    return "nobody-answers";
  }
  heard.set(name, { what: "well", untilMs: Date.now() + wellMs(pool) });
  return "well";
}

/** `remembered`: the session's next request will go there too. */
type Redirected = Exclude<RedirectAnswer, { kind: "placed" }> | (Extract<RedirectAnswer, { kind: "placed" }> & { readonly remembered: boolean });

/** Where the home ring has a session; `undefined` when it does not say. */
export async function findAtRing(platform: Platform, plain: PlainRequest, excluded: ReadonlySet<string>): Promise<Decision | undefined> {
  return asked(platform, plain, async (ring) => ring.find({ ...(await findItem(plain)), excluded: [...excluded] }));
}

/**
 * Tells the home ring that an origin sends a session to another. A request that names no session, and one whose ring does not answer, go there
 * all the same: the origin that was asked has said that it cannot serve them.
 */
export async function redirect(platform: Platform, plain: PlainRequest, from: Routed, to: string): Promise<Redirected> {
  if (plain.key === undefined) return redirectHere(platform, plain, to);
  const { excluded: _, ...ref } = await findItem(plain);
  const answer = await asked(platform, plain, async (ring) => ring.redirect({ ...ref, from: from.origin.id, to }));
  if (answer === undefined) return redirectHere(platform, plain, to);
  if (answer.kind !== "placed") return answer;
  const { origin, fence } = answer.decision;
  remember(plain.pool, plain.home, ref.keyHash, { origin: origin.id, fence: fence ?? 0 });
  return { ...answer, remembered: true };
}

/** An origin has said that a session is over: whatever was ordered for it is forgotten, here at once. */
export async function endAtRing(platform: Platform, plain: PlainRequest, { fence = 0, origin }: Routed): Promise<void> {
  const keyHash = await plain.keyHash();
  forget(plain.pool, plain.home, keyHash);
  await asked(platform, plain, async (ring) => ring.endOrder({ keyHash, fence }, origin.id));
}

/** By what this isolate knows, for this request alone. */
async function redirectHere(platform: Platform, plain: PlainRequest, to: string): Promise<Redirected> {
  const { pool, point } = plain;
  const order = regionOrder(platform.settings.config, pool, plain.home);
  const regions = (await Promise.all(order.map((region) => knownRing(platform, pool, region)))).map(({ view }) => view);
  if (!regions.some((view) => view.byId.has(to))) return { kind: "unknown" };
  const situation = { key: point, keyed: false, regions, excluded: new Set<string>(), policy: pool, balance: { kind: "ring" as const } };
  const decision = decide({ ...situation, pin: { origin: to, fence: Infinity }, nowMs: Date.now() });
  if (decision.kind === "refused" || decision.origin.id !== to) return { kind: "unavailable" };
  return { kind: "placed", decision: { ...decision, reason: "replay" }, remembered: false };
}

async function findItem({ point, key, keyHash, claim }: PlainRequest): Promise<FindItem> {
  const held = claim && { origin: claim.origin, fence: claim.fence };
  return { keyHash: await keyHash(), ...point, keyed: key !== undefined, learned: claim?.from === "tag", claim: held, excluded: [] };
}

/** One question to the home ring; `undefined` where it is not answered. */
async function asked<T>(
  { env, settings }: Platform,
  { pool, home }: PlainRequest,
  question: (ring: ReturnType<typeof ringStub>) => Promise<T>,
): Promise<T | undefined> {
  const name = `${pool.id}/${home}`;
  if (Date.now() < (silentUntilMs.get(name) ?? 0)) return undefined;
  try {
    return await within(question(ringStub(env, settings.config, pool.id, home)), WORD_MS, "ring object");
  } catch (error) {
    silentUntilMs.set(name, Date.now() + SILENT_MS);
    unreachable(pool, home, error);
    return undefined;
  }
}

function unreachable(pool: Pool, region: string, error: unknown): void {
  console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region, error: String(error) }));
}
