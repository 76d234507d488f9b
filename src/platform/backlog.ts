// What waits in all sockets of one carrier for readers who are slow. Each socket is bounded by itself; together they would fill the object long
// before. What was sent and has not been seen gone is summed. Past a part of the bound all are looked at, and past the bound those are given up
// that have waited longest: nobody who has read since an earlier look what waited then, and nobody for one large message.
// A visitor's socket that is closed keeps what waits in it until that is read, or the connection is lost (seen on workerd 1.20261117; only an origin's
// leg can be cut). So it is counted until then, and as long as such readers fill the bound alone nobody new is taken.

import { CARRIER_BUFFER_LOOK_BYTES, CARRIER_BUFFER_MAX_BYTES, CARRIER_LOOK_MS, CLOSED_COUNTS_MS } from "./limits.ts";
import type { Outlet } from "./outlet.ts";

/** Closed outlets looked at when one more is closed: of those whose readers have read none stays for long. */
const SWEPT = 2;

export class Backlog {
  /** Those in which something may wait. */
  readonly #open = new Set<Outlet>();
  /** And when they were closed. */
  readonly #closed = new Map<Outlet, number>();
  #openBytes = 0;
  #closedBytes = 0;
  /** The next look at all. */
  #next: { readonly timer: ReturnType<typeof setTimeout>; dueAtMs: number } | undefined;

  /** At most what waits; after a look, exactly. */
  get bytes(): number {
    return this.#openBytes + this.#closedBytes;
  }

  /** Whether those who were closed, and do not read, leave no room for anybody new. */
  get isFull(): boolean {
    this.#sweep();
    return this.#closedBytes > CARRIER_BUFFER_MAX_BYTES;
  }

  /** Comes with every frame: `bytes` of what the outlet has. */
  sent(outlet: Outlet, bytes: number): void {
    if (outlet.bytes === bytes) this.#open.add(outlet); // it had nothing
    this.#openBytes += bytes;
    if (this.#openBytes + this.#closedBytes > CARRIER_BUFFER_LOOK_BYTES) this.#lookSoon();
  }

  /** Looks what still waits in an open outlet: a crossing into the runtime. */
  lookAt(outlet: Outlet): void {
    const before = outlet.bytes;
    outlet.look();
    this.#openBytes += outlet.bytes - before;
    if (outlet.bytes > 0) this.#open.add(outlet);
    else this.#open.delete(outlet);
  }

  /** Nothing more is sent by it. */
  closed(outlet: Outlet): void {
    if (this.#open.has(outlet)) this.lookAt(outlet);
    if (!this.#open.delete(outlet)) return;
    this.#openBytes -= outlet.bytes;
    this.#closedBytes += outlet.bytes;
    this.#closed.set(outlet, Date.now());
    this.#sweep();
  }

  /** What it had is gone with its connection. */
  lost(outlet: Outlet): void {
    if (this.#open.delete(outlet)) this.#openBytes -= outlet.bytes;
    if (this.#closed.delete(outlet)) this.#closedBytes -= outlet.bytes;
  }

  /** Not at once: what is sent in one turn has had no time to go. In a flood timers come late: then the frames themselves tell the time. */
  #lookSoon(): void {
    const nowMs = Date.now();
    this.#next ??= { timer: setTimeout(() => this.#look(Date.now()), CARRIER_LOOK_MS), dueAtMs: nowMs + CARRIER_LOOK_MS };
    if (nowMs < this.#next.dueAtMs) return;
    this.#next.dueAtMs = Infinity;
    queueMicrotask(() => this.#look(nowMs)); // when whoever is sending has done so
  }

  #look(nowMs: number): void {
    if (this.#next) clearTimeout(this.#next.timer);
    this.#next = undefined;
    for (const [outlet, closedAtMs] of this.#closed) this.#lookAtClosed(outlet, closedAtMs, nowMs);
    for (const outlet of this.#open) this.lookAt(outlet);
    const slow = [...this.#open].filter((outlet) => outlet.hasWaited(nowMs));
    const largestBytes = [...this.#open].reduce((largest, outlet) => Math.max(largest, outlet.largestBytes), 0);
    const roomBytes = (): number => Math.min(CARRIER_BUFFER_MAX_BYTES, Math.max(0, 2 * CARRIER_BUFFER_MAX_BYTES - this.#closedBytes)) + largestBytes;
    for (const outlet of slow.toSorted((a, b) => a.waitsSinceMs - b.waitsSinceMs || b.bytes - a.bytes)) {
      if (this.#openBytes <= roomBytes()) return;
      outlet.giveUp();
    }
    if (this.#openBytes > roomBytes()) this.#lookSoon(); // also when nothing more is sent
  }

  /** In turn, so that those who never read are no work for every other. */
  #sweep(): void {
    let left = SWEPT;
    const nowMs = Date.now();
    for (const [outlet, closedAtMs] of this.#closed) {
      if (left-- === 0) return;
      this.#closed.delete(outlet);
      this.#closed.set(outlet, closedAtMs);
      this.#lookAtClosed(outlet, closedAtMs, nowMs);
    }
  }

  #lookAtClosed(outlet: Outlet, closedAtMs: number, nowMs: number): void {
    if (nowMs - closedAtMs > CLOSED_COUNTS_MS) return outlet.lost();
    const before = outlet.bytes;
    outlet.look();
    this.#closedBytes += outlet.bytes - before;
    if (outlet.bytes === 0) this.#closed.delete(outlet);
  }
}
