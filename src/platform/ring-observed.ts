// What a ring object has observed of its origins and must not forget when it is evicted: who is down, who has only joined, whose share is on its way, who
// is ejected, what each says of itself. One of the three layers (core/lifecycle.ts). Changes become an epoch by `RingLayers.observe`.

import { READY } from "../core/agent-words.ts";
import type { Pool } from "../core/config-types.ts";
import type { Layers } from "../core/lifecycle.ts";
import { NOTHING_OBSERVED, type Observed } from "../core/observed.ts";
import { isNeeded, isOver, nextShare, NO_SHARE } from "../core/ramp.ts";
import { FULL_SHARE } from "../core/share.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import type { RingStore } from "./ring-store.ts";

export class RingObserved {
  readonly #store: RingStore;
  readonly #pool: () => Pool;
  readonly #down: Set<string>;
  readonly #facts: Map<string, Observed>;

  constructor(store: RingStore, pool: () => Pool) {
    this.#store = store;
    this.#pool = pool;
    this.#down = store.down();
    this.#facts = store.observed();
  }

  /** As snapshots are made of it. */
  get layer(): Pick<Layers, "down" | "observed"> {
    return { down: this.#down, observed: this.#facts };
  }

  of(origin: string): Observed {
    return this.#facts.get(origin) ?? NOTHING_OBSERVED;
  }

  all(): ReadonlyMap<string, Observed> {
    return this.#facts;
  }

  isDown(origin: string): boolean {
    return this.#down.has(origin);
  }

  /** `undefined` takes a fact away. */
  change(origin: string, change: Observed): void {
    const facts = Object.fromEntries(Object.entries({ ...this.of(origin), ...change }).filter(([, fact]) => fact !== undefined));
    if (Object.keys(facts).length > 0) this.#facts.set(origin, facts);
    else this.#facts.delete(origin);
    this.#store.setObserved(origin, this.#facts.get(origin));
  }

  setDown(origin: string, down: boolean, nowMs: number): void {
    if (down) this.#down.add(origin);
    else this.#down.delete(origin);
    this.#store.setDown(origin, down);
    if (down) this.fell(origin, nowMs);
  }

  /** Down or ejected: whatever it took others have now, and its return begins with nothing. */
  fell(origin: string, nowMs: number): void {
    if (!this.of(origin).joining) this.change(origin, { fellAtMs: nowMs, share: undefined }); // who has never served has left nobody
  }

  /** It takes sessions again, or for the first time: more and more, where the others of the ring can do without it for so long. */
  restart(origin: string, origins: readonly SnapshotOrigin[], nowMs: number): void {
    if (isNeeded(origins, origin, this.#pool().panicShare, nowMs)) return this.#fill(origin, nowMs);
    this.change(origin, { share: NO_SHARE });
    this.aim(origin, nowMs);
  }

  /** It takes as much as it says it can. */
  aim(origin: string, nowMs: number): void {
    const { share = FULL_SHARE, word = READY, fellAtMs } = this.of(origin);
    const { horizonMs, holdDownMs, slowStart } = this.#pool();
    const next = nextShare(share, word.share, fellAtMs, { horizonMs, holdDownMs, windowMs: slowStart.windowMs }, nowMs);
    if (next !== share) this.change(origin, { share: next === FULL_SHARE ? undefined : next });
  }

  /** Of an origin that left: another one may come under its name. */
  forget(origin: string): void {
    this.#down.delete(origin);
    this.#store.setDown(origin, false);
    this.#facts.delete(origin);
    this.#store.setObserved(origin, undefined);
  }

  /** Those who are not among `kept` have left. */
  keepOnly(kept: ReadonlySet<string>): void {
    for (const id of [...this.#down, ...this.#facts.keys()]) if (!kept.has(id)) this.forget(id);
  }

  /** All that it says it can, at once; and so does everyone who is on the way. */
  #fill(origin: string, nowMs: number): void {
    for (const [id, { share, word = READY }] of this.#facts) {
      if (id !== origin && (!share || isOver(share, nowMs))) continue;
      const { share: to } = word;
      this.change(id, { share: to === 1 ? undefined : { from: to, to, startAtMs: 0, endAtMs: 0 } });
    }
  }
}
