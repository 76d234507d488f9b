// `home: "first"`, a Worker's side: isolate memory ← KV ← the arbiter. What one of them says never changes while it is remembered, so that
// memory needs no confirmation. Where nobody answers it is the arbiter's own region, for this request alone: its ring object finds the session there later.

import * as v from "valibot";
import type { Pool } from "../core/config-types.ts";
import { poolRegions } from "../core/home.ts";
import { firstKvKey } from "../core/names.ts";
import type { FirstAnswer } from "../core/protocol.ts";
import type { Platform } from "./env.ts";
import { FIRSTS_HELD_MAX, within } from "./limits.ts";
import { ringStub } from "./stubs.ts";

export interface FirstQuestion {
  readonly pool: Pool;
  readonly keyHash: string;
  /** The region that `home: "session"` would name. */
  readonly arbiter: string;
  /** What is nearest to this visitor: the home, if they are the first. */
  readonly nearest: string;
  readonly visitor?: string | undefined;
  readonly lot: number;
}

const KV_TIMEOUT_MS = 500;
const ARBITER_TIMEOUT_MS = 2_000;
/** An arbiter that gave no answer is not asked again for so long. */
const SILENT_MS = 1_000;

/** Homes that this isolate knows, the last used last. */
const held = new Map<string, { readonly region: string; readonly untilMs: number }>();
const silentUntilMs = new Map<string, number>();

const stored = v.object({ format: v.literal(1), region: v.string() });

export async function firstHome(platform: Platform, question: FirstQuestion): Promise<FirstAnswer> {
  const { env, settings } = platform;
  const { pool, keyHash, arbiter, nearest, visitor, lot } = question;
  const name = firstKvKey(pool.id, keyHash);
  const isRegion = (region: string): boolean => poolRegions(settings.config, pool.id).some(({ id }) => id === region);
  const known = held.get(name);
  if (known && known.untilMs > Date.now() && isRegion(known.region)) return remembered(pool, name, known.region, known.untilMs);
  const fromKv = await readKv(platform, name);
  if (fromKv !== undefined && isRegion(fromKv)) return remembered(pool, name, fromKv);
  const ring = `${pool.id}/${arbiter}`;
  if (Date.now() < (silentUntilMs.get(ring) ?? 0)) return { kind: "region", region: arbiter };
  try {
    const asked = async (): Promise<FirstAnswer> => ringStub(env, settings.config, pool.id, arbiter).first({ keyHash, nearest, visitor, lot });
    const answer = await within(asked(), ARBITER_TIMEOUT_MS, "first");
    return answer.kind === "region" && isRegion(answer.region) ? remembered(pool, name, answer.region) : answer;
  } catch (error) {
    silentUntilMs.set(ring, Date.now() + SILENT_MS);
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region: arbiter, error: String(error) }));
    return { kind: "region", region: arbiter };
  }
}

/** No longer than KV has it. */
function remembered({ session }: Pool, name: string, region: string, untilMs = Date.now() + session.maxLifeMs): FirstAnswer {
  held.delete(name);
  held.set(name, { region, untilMs });
  const [oldest] = held.keys();
  if (held.size > FIRSTS_HELD_MAX && oldest !== undefined) held.delete(oldest);
  return { kind: "region", region };
}

/** KV that is silent, has nothing or rubbish, is passed over: the arbiter knows. */
async function readKv({ env, settings }: Platform, name: string): Promise<string | undefined> {
  const options = settings.dev ? ({ type: "json" } as const) : ({ type: "json", cacheTtl: 60 } as const);
  try {
    const read = v.safeParse(stored, await within(env.AFFINITY.get<unknown>(name, options), KV_TIMEOUT_MS, "KV"));
    return read.success ? read.output.region : undefined;
  } catch {
    return undefined;
  }
}
