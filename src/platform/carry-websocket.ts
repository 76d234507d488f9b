// Carrying a WebSocket: the visitor's leg stays, the origin's may be replaced. Order is kept: what the visitor sends while there is no
// leg is held back, and flushed after what the profile replays. Both legs are half-open: a close is passed on and answered by the other
// side, and until that answer both hear what the other still says, as they would of each other. docs/carrying.md has the table.

import {
  answerTo,
  brokenProtocol,
  closeOf,
  GOING,
  isApplications,
  isFaulty,
  LOST,
  MOVING,
  overloaded,
  relayed,
  STALE_HANDSHAKE,
  type Close,
} from "../core/close-codes.ts";
import { responseHeaders } from "../core/headers.ts";
import type { Frame, Kept, Memory, Profile, Told } from "../core/profile.ts";
import { profileOf } from "../core/profiles.ts";
import type { LiveRequest, Placement } from "../core/protocol.ts";
import type { AcceptVisitor, Connection, ConnectionEvents, KeptConnection, Means, Opening, ParkedVisitor, VisitorEvents } from "./connection.ts";
import type { Handshake } from "./dial.ts";
import { HeldFrames } from "./held-frames.ts";
import { openLeg, SUBPROTOCOL, type Leg } from "./leg.ts";
import { delay, QUIET_MAX_MS } from "./limits.ts";
import { Outlet, SLOW_ORIGIN, SLOW_VISITOR } from "./outlet.ts";

export class WebSocketConnection implements Connection, VisitorEvents {
  readonly kind = "socket";
  readonly #handshake: Handshake;
  readonly #live: LiveRequest;
  readonly #closeDeadlineMs: number;
  readonly #profile: Profile | undefined;
  readonly #events: ConnectionEvents;
  readonly #backlog: Means["backlog"];
  readonly #accept: AcceptVisitor;
  #visitor: Outlet | undefined;
  #answer: Response | undefined;
  #subprotocol: string | null = null;
  #leg: Leg | undefined;
  readonly #memory: Memory | undefined;
  readonly #held: HeldFrames;
  #holding = true;
  #holdingSinceMs = 0;
  /** "leg": the old one has said what was not delivered; a new one brings it. It is there: what is held is flushed when its origin has taken the replay, and then the session says so. */
  #awaiting: "leg" | "replay" | "session" | undefined;
  #frameCount = 0;
  /** When the last frame passed, either way, and when the origin's last did. */
  #lastFrameAtMs = Date.now();
  #lastOriginFrameAtMs = 0;
  #busyAtMs = Date.now();
  /** The visitor's own close: frames held back are still delivered before it, and the origin's answer is waited for (bounded). */
  #visitorClose: Close | undefined;
  /** The origin's own close, which the visitor has been told and will answer (bounded). */
  #originClose: Close | undefined;
  /** The visitor's close has been passed to the leg, or the leg's to the visitor: nothing is moved or dialled any more. */
  #parting = false;
  #partingTimer: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  #endedWithLeg = false;

  constructor(live: LiveRequest, handshake: Handshake, { closeDeadlineMs, events, budget, backlog, accept }: Means, kept?: Kept) {
    this.#handshake = handshake;
    this.#live = live;
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#profile = profileOf(live.resume);
    this.#memory = this.#profile?.begin(kept);
    this.#events = events;
    this.#backlog = backlog;
    this.#accept = accept;
    this.#held = new HeldFrames(budget);
  }

  /** Goes on with a visitor whose session was parked. */
  static revived(kept: KeptConnection, handshake: Handshake, means: Means, { socket, clock }: ParkedVisitor): WebSocketConnection {
    const connection = new WebSocketConnection(kept.live, handshake, means, kept.memory);
    connection.#visitor = new Outlet(socket, means.backlog, () => connection.#giveUp(SLOW_VISITOR));
    connection.#subprotocol = kept.subprotocol;
    connection.#holdingSinceMs = Date.now();
    if (clock !== undefined) connection.#memory?.renewed?.(clock);
    return connection;
  }

  get rehomeable(): boolean {
    return this.#memory?.bearable ?? false;
  }

  get over(): boolean {
    return this.#over;
  }

  get legOpen(): boolean {
    return this.#over ? this.#endedWithLeg : this.#leg !== undefined;
  }

  open(placement: Placement, abort: AbortController): Promise<Opening> {
    const told = this.#visitor ? this.#subprotocol : undefined;
    const begin = (leg: Leg, response: Response): void => this.#begin(leg, response);
    const outlet = (socket: WebSocket): Outlet => new Outlet(socket, this.#backlog, () => this.#giveUp(SLOW_ORIGIN));
    return openLeg({ handshake: this.#handshake, told, closeDeadlineMs: this.#closeDeadlineMs, outlet, begin }, placement, abort);
  }

  response(): Response {
    const answer = this.#answer;
    if (!answer) throw new Error("the first leg has not begun, or its answer was given");
    this.#answer = undefined; // not kept for as long as the connection lives
    return answer;
  }

  get frameCount(): number {
    return this.#frameCount;
  }

  isSilent(nowMs: number): boolean {
    const { originSilenceMs } = this.#live;
    return this.#leg !== undefined && originSilenceMs !== undefined && nowMs - this.#lastOriginFrameAtMs > originSilenceMs;
  }

  hold(): void {
    if (this.#parting) return;
    if (!this.#holding) this.#holdingSinceMs = Date.now();
    this.#holding = true;
    this.#awaiting = undefined;
  }

  get flowing(): boolean {
    return this.#parting || (this.#leg !== undefined && !this.#holding); // of one that parts nobody waits for anything
  }

  flow(): void {
    if (this.#leg && this.#awaiting === "session") this.#flush(this.#leg);
  }

  async quiet(): Promise<void> {
    const startMs = Date.now();
    for (;;) {
      const waitMs = Math.min(this.#lastFrameAtMs + this.#live.quietMs, startMs + QUIET_MAX_MS) - Date.now();
      if (waitMs <= 0 || !this.#leg) return;
      await delay(waitMs);
    }
  }

  mute(): void {
    if (this.#leg && this.#profile?.mute) this.#leg.muted = true;
  }

  async closeLeg(why: Close = MOVING): Promise<boolean> {
    const leg = this.#leg;
    if (!leg) return true;
    if (this.#parting) {
      this.#finish();
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    leg.closed = resolve;
    this.#farewell(leg);
    leg.outlet.close(why);
    const isHeard = await Promise.race([promise, delay(this.#closeDeadlineMs).then(() => false)]);
    if (this.#leg === leg) {
      this.#leg = undefined;
      leg.cut();
    }
    leg.muted = true;
    return isHeard;
  }

  dropLeg(): void {
    const leg = this.#leg;
    if (!leg) return;
    if (this.#parting) return this.#finish();
    this.#leg = undefined;
    this.#farewell(leg);
    leg.leave(MOVING, false, this.#closeDeadlineMs);
  }

  lastWords(): readonly Frame[] {
    return this.#memory?.lastWords() ?? [];
  }

  hear(frames: readonly Frame[]): void {
    for (const frame of frames) if (!this.#over && this.#visitor?.send(frame) === false) return this.#giveUp(SLOW_VISITOR);
  }

  get parkAfterMs(): number | undefined {
    return this.#live.parkAfterMs;
  }

  get lastFrameAtMs(): number {
    return this.#lastFrameAtMs;
  }

  get busyAtMs(): number {
    return this.#busyAtMs;
  }

  keep(): KeptConnection | undefined {
    if (!this.#visitor || this.#over || this.#parting || this.#visitorClose || this.#held.count > 0 || this.#awaiting) return undefined;
    const memory = this.rehomeable && this.parkAfterMs !== undefined && !this.#visitor.waits ? this.#memory?.keep?.() : undefined;
    return memory && { live: this.#live, target: this.#handshake.target, headers: this.#handshake.headers, subprotocol: this.#subprotocol, memory };
  }

  release(): void {
    this.#over = true;
  }

  end(close: Close): void {
    if (this.#over) return;
    this.#visitor?.close(this.#visitorClose ? answerTo(this.#visitorClose) : close);
    this.#finish();
  }

  /** A bound was passed: better told than a hole. */
  #giveUp(reason: string): void {
    this.#events.refused();
    this.end(overloaded(reason));
  }

  #begin(leg: Leg, response: Response): void {
    this.#leg = leg;
    this.#lastFrameAtMs = this.#lastOriginFrameAtMs = this.#busyAtMs = Date.now();
    const { socket } = leg.outlet;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", (event) => this.#fromOrigin(leg, event.data as Frame)); // binaryType rules blobs out
    socket.addEventListener("close", (event) => this.#originClosed(leg, closeOf(event)));
    socket.addEventListener("error", (event) => this.#originFailed(leg, brokenProtocol(event.message)));
    socket.accept({ allowHalfOpen: true });
    if (this.#visitor) {
      this.#replay(leg, this.#visitor);
      this.#awaiting = "replay";
      this.#lookIfTaken();
    } else {
      this.#acceptVisitor(response);
      this.#flush(leg);
    }
  }

  #farewell(leg: Leg): void {
    for (const frame of this.#memory?.farewell() ?? []) leg.outlet.send(frame);
  }

  #replay(leg: Leg, visitor: Outlet): void {
    const replay = this.#memory?.replay();
    for (const frame of replay?.origin ?? []) leg.outlet.send(frame);
    if (this.#visitorClose) return; // nobody is there to be greeted: what they sent last is still delivered
    for (const frame of replay?.visitor ?? []) visitor.send(frame);
  }

  #acceptVisitor(response: Response): void {
    const { 0: theirs, 1: visitor } = new WebSocketPair();
    this.#visitor = new Outlet(visitor, this.#backlog, () => this.#giveUp(SLOW_VISITOR));
    this.#subprotocol = response.headers.get(SUBPROTOCOL);
    this.#accept(visitor, this);
    this.#answer = new Response(null, { status: 101, webSocket: theirs, headers: responseHeaders(response.headers) });
  }

  said(frame: Frame): void {
    if (this.#over || this.#visitorClose) return;
    if (this.#leg && !this.#holding) return this.#toOrigin(this.#leg, frame);
    if (!this.#held.add(frame)) this.#giveUp("too much was sent while the session moved: please reconnect");
  }

  #toOrigin(leg: Leg, frame: Frame): void {
    this.#frameCount++;
    this.#lastFrameAtMs = Date.now();
    if (this.parkAfterMs === undefined || this.#memory?.renewal?.(frame) === undefined) this.#busyAtMs = this.#lastFrameAtMs;
    const sent = this.#memory?.sent(frame) ?? "pass";
    if (sent !== "pass") return sent === "swallow" ? undefined : this.#tell(leg, sent);
    if (!leg.outlet.send(frame)) this.#giveUp(SLOW_ORIGIN);
  }

  #tell(leg: Leg, { origin, visitor }: Told): void {
    for (const frame of origin) if (!leg.outlet.send(frame)) return this.#giveUp(SLOW_ORIGIN);
    this.hear(visitor);
  }

  #lookIfTaken(): void {
    if (this.#awaiting !== "replay" || this.#memory?.ready === false) return;
    this.#awaiting = "session";
    this.#events.ready(this);
  }

  #flush(leg: Leg): void {
    if (this.#awaiting === "session") this.#events.resumed(Date.now() - this.#holdingSinceMs, this.#held.count);
    this.#awaiting = undefined;
    const held = this.#held.take();
    this.#holding = false;
    for (const frame of held) if (!this.#over) this.#toOrigin(leg, frame);
    if (this.#over || !this.#visitorClose) return;
    if (this.#visitorClose.code === 1006) this.#finish(this.#visitorClose);
    else this.#passVisitorClose(leg, this.#visitorClose);
  }

  #fromOrigin(leg: Leg, frame: Frame): void {
    this.#frameCount++;
    this.#lastFrameAtMs = this.#lastOriginFrameAtMs = Date.now();
    const isNews = this.parkAfterMs === undefined || !this.#memory?.isPresence?.(frame);
    if (isNews) this.#busyAtMs = this.#lastFrameAtMs;
    if (isNews && leg.muted && (this.#leg ?? leg) === leg) this.#awaiting = "leg";
    if (leg.muted || this.#over || !this.#visitor) return;
    const heard = this.#memory?.heard(frame) ?? "pass";
    if (heard === "refused") return this.end(STALE_HANDSHAKE);
    if (heard === "pass" && !this.#visitor.send(frame)) return this.#giveUp(SLOW_VISITOR);
    if (heard !== "pass" && heard !== "swallow") this.#tell(leg, heard);
    if (this.#awaiting === "replay" && !this.#over) this.#lookIfTaken();
  }

  /** A close may be followed by an error, and the other way round: only the first counts. */
  #originClosed(leg: Leg, close: Close): void {
    if (close.code === 1006) leg.gone();
    if (this.#leg !== leg || this.#over || leg.closed) {
      leg.outlet.close(answerTo(close));
      if (this.#leg === leg) this.#leg = undefined;
      leg.closed?.(close.code !== 1006); // we asked for it
      if (isApplications(close) && !leg.muted) this.end(relayed(close) ?? GOING); // its own word has crossed ours: a visitor that was sent away is not brought back
      return;
    }
    if (this.#originClose) return;
    if (this.#visitorClose && this.#parting) return this.#answerVisitor(close);
    if (close.code === 1006 || this.#live.rehomeOn.includes(close.code)) {
      leg.outlet.close(answerTo(close));
      this.#leg = undefined;
      return this.#events.lost(this);
    }
    if (this.#awaiting === "replay") {
      leg.outlet.close(answerTo(close));
      return this.end(STALE_HANDSHAKE); // its answer to the replay
    }
    this.#passOriginClose(leg, close);
  }

  /** A leg that broke the protocol is not dialled again: the same message would come again. */
  #originFailed(leg: Leg, fault: Close | undefined): void {
    if (!fault || this.#leg !== leg || leg.closed || this.#parting) return this.#originClosed(leg, LOST);
    this.end(fault);
  }

  /** The application's own word, passed on: what the visitor has sent until it knew still arrives, and so does its answer. */
  #passOriginClose(leg: Leg, close: Close): void {
    if (isFaulty(close)) {
      leg.outlet.close(answerTo(close));
      return this.end(relayed(close) ?? GOING);
    }
    if (this.#holding) this.#flush(leg);
    if (this.#over) return;
    if (this.#visitorClose) return this.#answerVisitor(close); // both at once
    this.#originClose = close;
    this.#visitor?.close(relayed(close));
    this.#part(() => this.#finish(close));
  }

  closed(close: Close): void {
    if (close.code === 1006) return this.lost(LOST);
    if (this.#over || this.#visitorClose) return;
    this.#visitorClose = close;
    if (this.#originClose) return this.#finish(close);
    if (isFaulty(close) || !(this.#leg || this.#held.count > 0)) return this.#answerVisitor(close);
    if (this.#leg && this.#held.count === 0) return this.#passVisitorClose(this.#leg, close);
    this.#part(() => this.#visitor?.close(answerTo(close)), { holding: true });
  }

  /** Nobody is left to hear anything; what was held back is still delivered. */
  lost(close: Close): void {
    this.#visitor?.lost();
    if (this.#over || this.#visitorClose) return;
    this.#visitorClose = LOST;
    this.#visitor?.close(answerTo(LOST));
    if (this.#held.count === 0) this.#finish(this.#originClose ?? close);
  }

  #passVisitorClose(leg: Leg, close: Close): void {
    leg.outlet.close(relayed(close));
    this.#part(() => this.#answerVisitor(close));
  }

  #answerVisitor(close: Close): void {
    this.#visitor?.close(answerTo(close.code === 1006 && this.#visitorClose ? this.#visitorClose : close));
    this.#finish(this.#visitorClose);
  }

  /** Waits for the other side's answer, no longer than a closed leg may take. */
  #part(late: () => void, { holding = false } = {}): void {
    this.#parting = !holding;
    if (this.#partingTimer !== undefined) clearTimeout(this.#partingTimer);
    this.#partingTimer = setTimeout(late, this.#closeDeadlineMs);
  }

  #finish(toOrigin?: Close): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#partingTimer !== undefined) clearTimeout(this.#partingTimer);
    this.#held.take();
    const leg = this.#leg;
    this.#leg = undefined;
    this.#endedWithLeg = leg !== undefined && !this.#originClose;
    if (leg) leg.leave(toOrigin ? relayed(toOrigin) : GOING, true, this.#closeDeadlineMs); // nobody is left to miss anything
    this.#events.ended(this);
  }
}
