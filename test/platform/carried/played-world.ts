// Visitors, origins and a ring that are played, around whatever carries between them. It watches what must hold at every moment (one owner, growing
// fences) and keeps what everybody sent and got for the end.

import type { Close } from "../../../src/core/close-codes.ts";
import type { Resume } from "../../../src/core/config-types.ts";
import type { Connected } from "../../../src/platform/connecting.ts";
import type { OriginFetch } from "../../../src/platform/origin-fetch.ts";
import { FakeOrigin, fetchOf, type Leg, type Manner } from "./fake-origin.ts";
import { FakeRing } from "./fake-ring.ts";
import type { FakeSocket } from "./fake-socket.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface Setting {
  readonly resume: Resume;
  readonly manner: Manner;
  readonly visitorLatencyMs: number;
  readonly ringLatencyMs: number;
  readonly originSilenceMs?: number | undefined;
}

export interface Visitor {
  readonly number: number;
  readonly joinedAtMs: number;
  socket: FakeSocket | undefined;
  outcome: Pick<Connected, "kind"> | undefined;
  settledAtMs: number | undefined;
  readonly sent: string[];
  readonly got: string[];
  /** Who ended it: itself, or the other side with this. */
  left: boolean;
  /** The application has closed its leg for good: what is on the way then is its own affair. */
  dismissed: boolean;
  told: Close | undefined;
}

export const CLOSE_DEADLINE_MS = 2_000;
export const ORIGIN_COUNT = 3;
export const REF = { keyHash: "k", position: 1, lot: 2, keyed: true };

export abstract class PlayedWorld {
  readonly clock = new VirtualClock();
  readonly origins: readonly FakeOrigin[];
  readonly ring: FakeRing;
  readonly visitors: Visitor[] = [];
  readonly violations: string[] = [];
  readonly background: Promise<unknown>[] = [];
  protected readonly sendToOrigin: OriginFetch;
  #newestDialled = 0;

  constructor({ manner, ringLatencyMs }: Setting) {
    this.origins = Array.from({ length: ORIGIN_COUNT }, (_, index) => new FakeOrigin(`o${index}`, manner));
    this.sendToOrigin = fetchOf(this.origins, (origin, fence) => this.#dialled(origin, fence));
    this.ring = new FakeRing(this.origins, ringLatencyMs);
    for (const origin of this.origins) {
      origin.onHanded = ({ fence }) => {
        if (fence < this.#newestDialled) this.violations.push(`a frame to ${origin.id} at ${fence} after ${this.#newestDialled} was dialled`);
      };
    }
  }

  /** What forbids a handshake at this moment. */
  protected forbidden(): string | undefined {
    return this.ring.away ? "between leave and enter" : undefined;
  }

  send(visitor: Visitor, count: number): void {
    for (let n = 0; n < count && isOpen(visitor); n++) {
      const frame = `${visitor.number}:${visitor.sent.length}`;
      visitor.sent.push(frame);
      visitor.socket?.send(frame);
    }
  }

  leave(visitor: Visitor, code: number): void {
    if (!isOpen(visitor)) return;
    visitor.left = true;
    visitor.socket?.close(code, "");
  }

  dismiss(visitor: Visitor, code: number): void {
    const leg = this.openLegOf(visitor);
    if (!leg) return;
    visitor.dismissed = true;
    leg.far.close(code, "the application's word");
  }

  /** The legs of a visitor, in their order. */
  legsOf({ number }: Visitor): Leg[] {
    return this.legs()
      .filter(({ visitor }) => visitor === number)
      .toSorted((a, b) => a.openedIndex - b.openedIndex);
  }

  openLegOf(visitor: Visitor): Leg | undefined {
    return this.legsOf(visitor).findLast(({ far, near }) => !far.ended && !far.closed && !near.ended);
  }

  protected legs(): Leg[] {
    return this.origins.flatMap(({ legs }) => legs);
  }

  protected newVisitor(): Visitor {
    const blank = {
      socket: undefined,
      outcome: undefined,
      settledAtMs: undefined,
      sent: [],
      got: [],
      left: false,
      dismissed: false,
      told: undefined,
    };
    const visitor: Visitor = { number: this.visitors.length, joinedAtMs: this.clock.nowMs, ...blank };
    this.visitors.push(visitor);
    return visitor;
  }

  protected arrived(visitor: Visitor, outcome: Pick<Connected, "kind">, socket: () => FakeSocket): void {
    visitor.outcome = outcome;
    visitor.settledAtMs = this.clock.nowMs;
    if (outcome.kind === "connected") this.#listen(visitor, socket());
  }

  #listen(visitor: Visitor, socket: FakeSocket): void {
    visitor.socket = socket;
    socket.addEventListener("message", ({ data }: MessageEvent) => void visitor.got.push(String(data)));
    socket.addEventListener("close", ({ code, reason }: CloseEvent) => {
      if (!visitor.left) visitor.told = { code, reason };
      if (code !== 1006) socket.close(code, reason);
    });
    socket.accept({ allowHalfOpen: true });
  }

  /** A handshake begins: whatever led to an older placement has been left, and none that is newer was begun before. */
  #dialled(origin: string, fence: number): void {
    const what = `dial of ${origin} at ${fence}`;
    const forbidden = this.forbidden();
    if (forbidden) this.violations.push(`${what} ${forbidden}`);
    if (fence < this.#newestDialled) this.violations.push(`${what} after ${this.#newestDialled}`);
    this.#newestDialled = Math.max(this.#newestDialled, fence);
    for (const leg of this.legs()) {
      if (leg.fence !== fence && !leg.near.ended && !leg.near.closed)
        this.violations.push(`${what} while a leg of ${leg.fence} is open at ${leg.origin}`);
    }
  }
}

export function isOpen({ socket, left, told }: Visitor): boolean {
  return socket !== undefined && !left && !told && !socket.ended;
}
