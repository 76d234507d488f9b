// Active health checks of one ring: who is probed when, and the verdict somebody asks for. Holds what was observed; what follows from a
// change (an epoch, moves) is the ring object's.

import { afterProbe, UNKNOWN_HEALTH, type Health } from "../core/health.ts";
import type { Pool } from "../core/config-types.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import type { OriginFetch } from "./origin-fetch.ts";
import { delay, PROBE_SLOTS, VERDICT_SPACING_MS } from "./limits.ts";
import { Slots } from "./slots.ts";

interface Observed {
  health: Health;
  nextAtMs: number;
  probing: boolean;
}

export interface Verdict {
  readonly healthy: boolean;
  readonly atMs: number;
}

export class Prober {
  readonly #policyNow: () => Pool["health"];
  readonly #send: OriginFetch;
  readonly #onChange: (originId: string, status: Health["status"]) => void;
  readonly #observed = new Map<string, Observed>();
  readonly #verdicts = new Map<string, Promise<Verdict>>();
  #origins: readonly SnapshotOrigin[] = [];
  #busy = 0;
  /** Of the handshakes that the platform lets an object wait for: a verdict that waits for its turn is better than a healthy origin's check that never went out. */
  readonly #slots = new Slots(PROBE_SLOTS);

  constructor(policy: () => Pool["health"], send: OriginFetch, onChange: (originId: string, status: Health["status"]) => void) {
    this.#policyNow = policy;
    this.#send = send;
    this.#onChange = onChange;
  }

  get #policy(): Pool["health"] {
    return this.#policyNow();
  }

  /** Takes over the ring's origins; those that are known to be down start so. Origins that left are forgotten. */
  watch(origins: readonly SnapshotOrigin[]): void {
    this.#origins = origins;
    const ids = new Set(origins.map((origin) => origin.id));
    for (const id of this.#observed.keys()) if (!ids.has(id)) this.#observed.delete(id);
    for (const { id, health } of origins) {
      if (this.#observed.has(id)) continue;
      const known: Health = health === "down" ? { status: "down", contrary: 0 } : UNKNOWN_HEALTH;
      this.#observed.set(id, { health: known, nextAtMs: 0, probing: false });
    }
  }

  /** Infinity without origins. The end of a probe schedules anew; an object that is lost before it must be woken by somebody, too. */
  nextDueAtMs(): number {
    const nowMs = Date.now();
    const isFull = this.#busy >= PROBE_SLOTS;
    const dueAtMs = [...this.#observed.values()].map(({ probing, nextAtMs }) =>
      (probing || isFull) && nextAtMs <= nowMs ? nowMs + this.#policy.intervalMs : nextAtMs,
    );
    return Math.min(...dueAtMs, Infinity);
  }

  /** Starts the probes that are due, failing origins first, as far as slots are free. Resolves when those it started are done. */
  async probeDue(nowMs: number): Promise<void> {
    const due = this.#origins
      .flatMap((origin) => {
        const observed = this.#observed.get(origin.id);
        return observed && !observed.probing && observed.nextAtMs <= nowMs ? [{ origin, observed }] : [];
      })
      .toSorted((a, b) => b.observed.health.contrary - a.observed.health.contrary || a.observed.nextAtMs - b.observed.nextAtMs)
      .slice(0, Math.max(0, PROBE_SLOTS - this.#busy));
    await Promise.all(due.map(({ origin }) => this.#probe(origin)));
  }

  /** Probes at once, up to `fall` times: somebody failed to reach this origin. Askers share one verdict. */
  ask(originId: string): Promise<Verdict> {
    const running = this.#verdicts.get(originId);
    if (running) return running;
    const verdict = this.#judge(originId).finally(() => this.#verdicts.delete(originId));
    this.#verdicts.set(originId, verdict);
    return verdict;
  }

  async #judge(originId: string): Promise<Verdict> {
    const origin = this.#origins.find((each) => each.id === originId);
    const observed = this.#observed.get(originId);
    if (!origin || !observed) return { healthy: false, atMs: Date.now() };
    if (observed.health.status === "down") return { healthy: false, atMs: Date.now() };
    for (let attempt = 0; attempt < this.#policy.fall; attempt++) {
      if (attempt > 0) await delay(VERDICT_SPACING_MS);
      if (await this.#probe(origin)) return { healthy: true, atMs: Date.now() };
      if (this.#observed.get(originId)?.health.status === "down") break;
    }
    return { healthy: this.#observed.get(originId)?.health.status === "healthy", atMs: Date.now() };
  }

  async #probe(origin: SnapshotOrigin): Promise<boolean> {
    const observed = this.#observed.get(origin.id);
    if (!observed) return false;
    observed.probing = true;
    const JITTER = 0.1; // a share of the interval, so that a fleet's probes do not fall together
    observed.nextAtMs = Math.ceil(Date.now() + this.#policy.intervalMs * (1 + JITTER * (Math.random() * 2 - 1)));
    this.#busy++;
    const ok = await this.#slots.use(() => this.#answersWell(origin));
    this.#busy--;
    observed.probing = false;
    const before = observed.health.status;
    observed.health = afterProbe(observed.health, ok, this.#policy);
    if (observed.health.status !== before) this.#onChange(origin.id, observed.health.status);
    return ok;
  }

  async #answersWell({ id, url }: SnapshotOrigin): Promise<boolean> {
    const { path, timeoutMs } = this.#policy;
    const headers = { "user-agent": "limpet-health" };
    try {
      const response = await this.#send(id, url + path, { redirect: "manual", signal: AbortSignal.timeout(timeoutMs), headers });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false; // refused, reset or late: all are the answer "no"
    }
  }
}
