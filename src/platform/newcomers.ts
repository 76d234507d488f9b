// How many new sessions a ring takes: of one network, by the platform's rate limit, and altogether, by a bucket of tokens. Invented keys must not
// fill tables, nor keep the ring object from those it knows. Where nothing can be said nobody is refused.

import { takeTokens, type FullAtMs } from "../core/pace.ts";
import type { PlaceItem } from "../core/protocol.ts";
import { NEW_SESSIONS_AT_ONCE, NEW_SESSIONS_PER_SECOND, RATE_LIMIT_ANSWER_MS, within } from "./limits.ts";

type Newcomer = Pick<PlaceItem, "keyHash" | "visitor">;

export class Newcomers {
  readonly #ring: string;
  readonly #limit: RateLimit | undefined;
  #fullAtMs: FullAtMs = 0;

  /** `ring`: each has its own count of a network. */
  constructor(ring: string, limit: RateLimit | undefined) {
    this.#ring = ring;
    this.#limit = limit;
  }

  /** The key hashes of those that are too many. Never rejects. */
  async tooMany(items: readonly Newcomer[]): Promise<ReadonlySet<string>> {
    if (items.length === 0) return NOBODY;
    const networks = [...Map.groupBy(items, ({ visitor }) => visitor)];
    const refused = await Promise.all(networks.map(async ([network, some]) => ((await this.#isWithin(network, some.length)) ? [] : some)));
    const tooMany = new Set(refused.flatMap((some) => some.map(({ keyHash }) => keyHash)));
    const nowMs = Date.now();
    for (const { keyHash } of items) if (!tooMany.has(keyHash) && !this.#takesOne(nowMs)) tooMany.add(keyHash);
    return tooMany;
  }

  /** One question for all that came together. They are let in while the count is below the limit: the last of them may exceed it. */
  async #isWithin(network: string | undefined, count: number): Promise<boolean> {
    if (!this.#limit || network === undefined) return true;
    try {
      const answer = this.#limit.limit({ key: `${this.#ring}/${network}`, delta: count });
      return (await within(answer, RATE_LIMIT_ANSWER_MS, "rate limit")).success;
    } catch (error) {
      console.error(JSON.stringify({ limpet: "new-sessions-uncounted", ring: this.#ring, count, error: String(error) }));
      return true;
    }
  }

  #takesOne(nowMs: number): boolean {
    const { fullAtMs, waitMs } = takeTokens(this.#fullAtMs, 1, nowMs, NEW_SESSIONS_PER_SECOND);
    if (waitMs > AHEAD_MS) return false;
    this.#fullAtMs = fullAtMs;
    return true;
  }
}

/** As many at once are so many ahead of their time. */
const AHEAD_MS = (NEW_SESSIONS_AT_ONCE / NEW_SESSIONS_PER_SECOND) * 1_000;

const NOBODY: ReadonlySet<string> = new Set();
