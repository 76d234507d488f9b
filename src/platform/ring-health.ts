// Active health checks of one ring: who is probed when, and the verdict somebody asks for. Holds what was observed in this life; what follows from it
// (an epoch, moves) is RingWatch's.
//
// Until N origins that hang are all known to be down takes at most fall × 1.1 × intervalMs + N × fall × timeoutMs ÷ (PROBE_SLOTS − DOWN_SLOTS):
// each needs `fall` checks, an interval apart, and those that are known to be down leave so many slots to the others. docs/health.md has it.

import { READY, type AgentWord } from "../core/agent-words.ts";
import { afterProbe, UNKNOWN_HEALTH, type Health } from "../core/health.ts";
import type { Pool } from "../core/config-types.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { check } from "./health-check.ts";
import type { OriginFetch } from "./origin-fetch.ts";
import { delay, DOWN_SLOTS, PROBE_SLOTS, SWEEP_AT_ONCE, VERDICT_SLOTS, VERDICT_SPACING_MS } from "./limits.ts";
import { Slots } from "./slots.ts";

interface Looked {
  health: Health;
  nextAtMs: number;
  probing: boolean;
  /** When its last good check began, and the first of those that failed since. */
  goodAtMs: number;
  failedAtMs: number;
  /** It is tried again then, whenever its turn would come. */
  lookAtMs: number;
}

/** One answer to a check, or none. */
export interface Probed {
  readonly ok: boolean;
  readonly word: AgentWord;
  readonly beganAtMs: number;
  /** What the answers so far come to. */
  readonly status: Health["status"];
  readonly before: Health["status"];
}

export interface Verdict {
  readonly healthy: boolean;
  readonly atMs: number;
}

export class Prober {
  readonly #policyNow: () => Pool["health"];
  readonly #send: OriginFetch;
  readonly #told: (originId: string, probed: Probed) => void;
  readonly #looked = new Map<string, Looked>();
  readonly #verdicts = new Map<string, Promise<Verdict>>();
  #origins: readonly SnapshotOrigin[] = [];
  #regular = 0;
  #regularDown = 0;
  #sweeping = false;
  /** Of the handshakes that the platform lets an object wait for: a verdict that waits for its turn is better than a healthy origin's check that never went out. */
  readonly #slots = new Slots(PROBE_SLOTS + VERDICT_SLOTS);

  constructor(policy: () => Pool["health"], send: OriginFetch, told: (originId: string, probed: Probed) => void) {
    this.#policyNow = policy;
    this.#send = send;
    this.#told = told;
  }

  get #policy(): Pool["health"] {
    return this.#policyNow();
  }

  /** Takes over the ring's origins; those that are known to be down start so. Origins that left are forgotten. */
  watch(origins: readonly SnapshotOrigin[]): void {
    this.#origins = origins;
    const ids = new Set(origins.map((origin) => origin.id));
    for (const id of this.#looked.keys()) if (!ids.has(id)) this.#looked.delete(id);
    for (const { id, health } of origins) {
      if (this.#looked.has(id)) continue;
      const known: Health = health === "down" ? { status: "down", contrary: 0 } : UNKNOWN_HEALTH;
      this.#looked.set(id, { health: known, nextAtMs: 0, probing: false, goodAtMs: 0, failedAtMs: 0, lookAtMs: 0 });
    }
  }

  /** An origin is tried again at that time. */
  lookAt(originId: string, atMs: number): void {
    const looked = this.#looked.get(originId);
    if (!looked) return;
    looked.lookAtMs = atMs;
    looked.nextAtMs = Math.min(looked.nextAtMs, atMs);
  }

  /** Infinity without origins. The end of a probe begins the next; an object that is lost before it must be woken by somebody, too. */
  nextDueAtMs(): number {
    const nowMs = Date.now();
    const dueAtMs = [...this.#looked.values()].map((looked) =>
      looked.nextAtMs <= nowMs && (looked.probing || !this.#hasSlot(looked)) ? nowMs + this.#policy.intervalMs : looked.nextAtMs,
    );
    return Math.min(...dueAtMs, Infinity);
  }

  /** Begins the probes that are due, failing origins first, and goes on as long as some are. Resolves when none is. */
  async probeDue(): Promise<void> {
    const lanes: Promise<void>[] = [];
    for (let next = this.#claim(); next; next = this.#claim()) lanes.push(this.#lane(next));
    await Promise.all(lanes);
  }

  /** Probes at once, up to `fall` times: somebody failed to reach this origin. Askers share one verdict. */
  ask(originId: string): Promise<Verdict> {
    const running = this.#verdicts.get(originId);
    if (running) return running;
    const verdict = this.#judge(originId).finally(() => this.#verdicts.delete(originId));
    this.#verdicts.set(originId, verdict);
    return verdict;
  }

  /**
   * What took one origin may have taken others: those are asked that have not answered since it began to fail. One look at a time, a few origins
   * together, so that a fleet of which half hangs is not held up by it.
   */
  async sweep(fallen: string): Promise<void> {
    const sinceMs = this.#looked.get(fallen)?.failedAtMs ?? Date.now();
    if (this.#sweeping) return;
    this.#sweeping = true;
    const others = this.#origins.filter(({ id }) => {
      const looked = this.#looked.get(id);
      return id !== fallen && looked?.health.status === "healthy" && looked.goodAtMs < sinceMs;
    });
    const lane = async (): Promise<void> => {
      for (let next = others.shift(); next; next = others.shift()) await this.ask(next.id);
    };
    try {
      await Promise.all(Array.from({ length: SWEEP_AT_ONCE }, lane));
    } finally {
      this.#sweeping = false;
    }
  }

  async #judge(originId: string): Promise<Verdict> {
    const origin = this.#origins.find((each) => each.id === originId);
    const looked = this.#looked.get(originId);
    if (!origin || !looked) return { healthy: false, atMs: Date.now() };
    if (looked.health.status === "down") return { healthy: false, atMs: Date.now() };
    for (let attempt = 0; attempt < this.#policy.fall; attempt++) {
      if (attempt > 0) await delay(VERDICT_SPACING_MS);
      if (await this.#probe(origin, looked)) return { healthy: true, atMs: Date.now() };
      if (this.#looked.get(originId)?.health.status === "down") break;
    }
    return { healthy: this.#looked.get(originId)?.health.status === "healthy", atMs: Date.now() };
  }

  /** Who is due and may have a slot: failing ones first, and those that begin to answer again; then who has waited longest. */
  #claim(): { readonly origin: SnapshotOrigin; readonly looked: Looked } | undefined {
    const nowMs = Date.now();
    const [first] = this.#origins
      .flatMap((origin) => {
        const looked = this.#looked.get(origin.id);
        return looked && !looked.probing && looked.nextAtMs <= nowMs && this.#hasSlot(looked) ? [{ origin, looked }] : [];
      })
      .toSorted((a, b) => b.looked.health.contrary - a.looked.health.contrary || a.looked.nextAtMs - b.looked.nextAtMs);
    if (first) first.looked.probing = true;
    return first;
  }

  #hasSlot({ health }: Looked): boolean {
    return this.#regular < PROBE_SLOTS && (health.status !== "down" || this.#regularDown < DOWN_SLOTS);
  }

  async #lane(first: { readonly origin: SnapshotOrigin; readonly looked: Looked }): Promise<void> {
    for (let next: typeof first | undefined = first; next; next = this.#claim()) {
      const down = next.looked.health.status === "down" ? 1 : 0;
      this.#regular++;
      this.#regularDown += down;
      await this.#probe(next.origin, next.looked);
      this.#regular--;
      this.#regularDown -= down;
    }
  }

  async #probe(origin: SnapshotOrigin, looked: Looked): Promise<boolean> {
    looked.probing = true;
    const JITTER = 0.1; // a share of the interval, so that a fleet's probes do not fall together
    const nowMs = Date.now();
    const nextAtMs = Math.ceil(nowMs + this.#policy.intervalMs * (1 + JITTER * (Math.random() * 2 - 1)));
    looked.nextAtMs = looked.lookAtMs > nowMs ? Math.min(nextAtMs, looked.lookAtMs) : nextAtMs;
    let beganAtMs = nowMs;
    const answer = await this.#slots.use(() => {
      beganAtMs = Date.now();
      return check(this.#send, origin, this.#policy);
    });
    looked.probing = false;
    const word = answer ?? READY;
    const ok = answer !== undefined && !word.down;
    if (ok) looked.goodAtMs = beganAtMs;
    else if (looked.failedAtMs <= looked.goodAtMs) looked.failedAtMs = beganAtMs;
    const before = looked.health.status;
    looked.health = afterProbe(looked.health, ok, this.#policy);
    if (this.#looked.get(origin.id) === looked) this.#told(origin.id, { ok, word, beganAtMs, before, status: looked.health.status });
    return ok;
  }
}
