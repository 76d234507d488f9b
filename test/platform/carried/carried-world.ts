// One session of one carrier between visitors, origins and a ring that are played: what the state machine of the move is tried in. It watches
// what must hold at every moment (one owner, growing fences) and keeps what everybody sent and got for the end.

import type { Close } from "../../../src/core/close-codes.ts";
import type { Resume } from "../../../src/core/config-types.ts";
import type { LiveRequest } from "../../../src/core/protocol.ts";
import { Backlog } from "../../../src/platform/backlog.ts";
import { CarriedSession } from "../../../src/platform/carried-session.ts";
import type { SessionHost } from "../../../src/platform/session-host.ts";
import { WebSocketConnection } from "../../../src/platform/carry-websocket.ts";
import { acceptAwake } from "../../../src/platform/visitor-leg.ts";
import type { Connected } from "../../../src/platform/connecting.ts";
import type { Budget } from "../../../src/platform/connection.ts";
import { Handover } from "../../../src/platform/hand-over.ts";
import { Handshakes } from "../../../src/platform/handshakes.ts";
import type { OriginFetch } from "../../../src/platform/origin-fetch.ts";
import { FakeOrigin, fetchOf, type Leg, type Manner } from "./fake-origin.ts";
import { FakeRing } from "./fake-ring.ts";
import { FakeSocket } from "./fake-socket.ts";
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
  readonly connection: WebSocketConnection;
  readonly joinedAtMs: number;
  socket: FakeSocket | undefined;
  outcome: Connected | undefined;
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
const REF = { keyHash: "k", position: 1, lot: 2, keyed: true };

export class CarriedWorld {
  readonly clock = new VirtualClock();
  readonly origins: readonly FakeOrigin[];
  readonly ring: FakeRing;
  readonly handshakes = new Handshakes();
  readonly backlog = new Backlog();
  readonly visitors: Visitor[] = [];
  readonly violations: string[] = [];
  readonly background: Promise<unknown>[] = [];
  session: CarriedSession | undefined;
  /** Sessions that began; how often they said that they were empty, and how many asks were answered after that: each of those is told, too. */
  begunCount = 0;
  emptiedCount = 0;
  lateCount = 0;
  heldBytes = 0;
  handover: Handover | undefined;
  readonly #setting: Setting;
  readonly #send: OriginFetch;
  readonly #budget: Budget = {
    add: (bytes) => ((this.heldBytes += bytes), true),
    remove: (bytes) => void (this.heldBytes -= bytes),
  };
  #newestDialled = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.origins = Array.from({ length: ORIGIN_COUNT }, (_, index) => new FakeOrigin(`o${index}`, setting.manner));
    this.#send = fetchOf(this.origins, (origin, fence) => this.#dialled(origin, fence));
    this.ring = new FakeRing(this.origins, setting.ringLatencyMs);
    for (const origin of this.origins) {
      origin.onHanded = ({ fence }) => {
        if (fence < this.#newestDialled) this.violations.push(`a frame to ${origin.id} at ${fence} after ${this.#newestDialled} was dialled`);
      };
    }
  }

  join(): Visitor {
    const session = (this.session ??= this.#begin());
    const number = this.visitors.length;
    const live: LiveRequest = {
      ...REF,
      version: 1,
      requestId: `r${number}`,
      resume: this.#setting.resume,
      rehomeOn: [1001, 1006, 1012],
      quietMs: 100,
      originSilenceMs: this.#setting.originSilenceMs,
    };
    const handshake = { target: `/doc?visitor=${number}`, headers: {}, key: "doc", send: this.#send };
    const connection = new WebSocketConnection(live, handshake, {
      closeDeadlineMs: CLOSE_DEADLINE_MS,
      events: session,
      budget: session.budget,
      backlog: this.backlog,
      accept: acceptAwake,
    });
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
    const visitor: Visitor = { number, connection, joinedAtMs: this.clock.nowMs, ...blank };
    this.visitors.push(visitor);
    this.background.push(session.arrive(connection).then((outcome) => this.#arrived(visitor, outcome)));
    return visitor;
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
    return this.#legs()
      .filter(({ visitor }) => visitor === number)
      .toSorted((a, b) => a.openedIndex - b.openedIndex);
  }

  openLegOf(visitor: Visitor): Leg | undefined {
    return this.legsOf(visitor).findLast(({ far, near }) => !far.ended && !far.closed && !near.ended);
  }

  #begin(): CarriedSession {
    this.begunCount++;
    let gone = false;
    const host: SessionHost = {
      handshakes: this.handshakes,
      place: async (item) => {
        const answer = await this.ring.place(item);
        if (gone && answer.kind === "placed") this.lateCount++;
        return answer;
      },
      emptied: (_, fence) => {
        gone = true;
        this.#emptied(session, fence);
      },
      changed: () => undefined,
      counted: () => undefined,
      budget: this.#budget,
      refused: () => undefined,
      resumed: () => undefined,
    };
    const { resume } = this.#setting;
    const means = { key: "doc", send: this.#send, handshakes: this.handshakes, budget: this.#budget };
    this.handover = resume.mode === "handover" ? new Handover({ rule: resume.handover, ...means }) : undefined;
    const session: CarriedSession = new CarriedSession(REF, undefined, host, this.handover);
    return session;
  }

  /** As the carrier object does it. */
  #emptied(session: CarriedSession, fence: number | undefined): void {
    this.emptiedCount++;
    if (this.session === session) this.session = undefined;
    if (fence !== undefined && this.session === undefined) this.background.push(this.ring.end(fence));
  }

  #arrived(visitor: Visitor, outcome: Connected): void {
    visitor.outcome = outcome;
    visitor.settledAtMs = this.clock.nowMs;
    if (outcome.kind !== "connected") return;
    const socket = (visitor.connection.response() as unknown as { webSocket: FakeSocket }).webSocket;
    visitor.socket = socket;
    socket.addEventListener("message", ({ data }: MessageEvent) => void visitor.got.push(String(data)));
    socket.addEventListener("close", ({ code, reason }: CloseEvent) => {
      if (!visitor.left) visitor.told = { code, reason };
      socket.close(code, reason);
    });
    socket.accept({ allowHalfOpen: true });
  }

  /** A handshake begins: whatever led to an older placement has been left, and none that is newer was begun before. */
  #dialled(origin: string, fence: number): void {
    const what = `dial of ${origin} at ${fence}`;
    if (this.ring.away) this.violations.push(`${what} between leave and enter`);
    if (this.handover?.given) this.violations.push(`${what} before it has taken the session's state`);
    if (fence < this.#newestDialled) this.violations.push(`${what} after ${this.#newestDialled}`);
    this.#newestDialled = Math.max(this.#newestDialled, fence);
    for (const leg of this.#legs()) {
      if (leg.fence !== fence && !leg.near.ended && !leg.near.closed)
        this.violations.push(`${what} while a leg of ${leg.fence} is open at ${leg.origin}`);
    }
  }

  #legs(): Leg[] {
    return this.origins.flatMap(({ legs }) => legs);
  }
}

export function isOpen({ socket, left, told }: Visitor): boolean {
  return socket !== undefined && !left && !told && !socket.ended;
}
