// Wrong admin tokens, counted by the network that they come from: in this isolate, and by the rate limit ADMIN_FAILURES where there is one. Only who
// has shown a wrong token is refused by it: a valid one is answered whatever else came from its address.

import { networkOf } from "../core/network.ts";
import type { Env } from "../platform/env.ts";

/** As the rate limit of wrangler.toml has it. */
export const FAILURES_PER_MINUTE = 10;
const WINDOW_MS = 60_000;
/** Networks that are counted; one more, and the one that began first is forgotten. */
const NETWORKS_MAX = 1_000;

interface Count {
  readonly sinceMs: number;
  failures: number;
}

const counts = new Map<string, Count>();

/** Counts one; says for how many seconds its network has had too many, or `undefined`. Of an address that is not known nobody can have too many. */
export async function failed(
  { ADMIN_FAILURES }: Pick<Env, "ADMIN_FAILURES">,
  address: string | undefined,
  nowMs: number,
): Promise<number | undefined> {
  const network = networkOf(address);
  if (network === undefined) return undefined;
  let count = counts.get(network);
  if (!count || nowMs - count.sinceMs >= WINDOW_MS) {
    count = { sinceMs: nowMs, failures: 0 };
    counts.delete(network);
    counts.set(network, count);
    const [oldest] = counts.keys();
    if (counts.size > NETWORKS_MAX && oldest !== undefined) counts.delete(oldest);
  }
  count.failures++;
  if (count.failures > FAILURES_PER_MINUTE) return Math.max(1, Math.ceil((count.sinceMs + WINDOW_MS - nowMs) / 1_000));
  try {
    return !ADMIN_FAILURES || (await ADMIN_FAILURES.limit({ key: network })).success ? undefined : WINDOW_MS / 1_000;
  } catch {
    return undefined; // the isolate's own count holds
  }
}
