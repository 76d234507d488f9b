// Carrying a WebSocket: the visitor's leg stays, the origin's may be replaced. Order is kept: what the visitor sends while there is no
// leg is held back, and flushed after what the profile replays. Both legs are half-open, so that each side's close is answered by us.

import { overloaded, relayed, STALE_HANDSHAKE, type Close } from "../core/close-codes.ts";
import { responseHeaders } from "../core/headers.ts";
import { frameBytes, type Frame, type Memory, type Profile } from "../core/profile.ts";
import { profileOf } from "../core/profiles.ts";
import type { LiveRequest, Placement } from "../core/protocol.ts";
import type { Budget, Connection, ConnectionEvents, Opening } from "./connection.ts";
import { dial, isGatewayFault, type Handshake } from "./dial.ts";
import { delay, HELD_BYTES_MAX, HELD_FRAMES_MAX, QUIET_MAX_MS, SOCKET_BUFFER_MAX_BYTES } from "./limits.ts";

interface Leg {
  readonly socket: WebSocket;
  /** Cuts it: a peer that hangs never answers a close, and its socket would stay for good. */
  readonly abort: AbortController;
  /** Nothing it says is delivered any more. */
  muted: boolean;
  /** Set while we wait for its close. */
  closed: (() => void) | undefined;
}

export class WebSocketConnection implements Connection {
  readonly #handshake: Handshake;
  readonly #facts: Pick<LiveRequest, "rehomeOn" | "quietMs" | "originSilenceMs">;
  readonly #closeDeadlineMs: number;
  readonly #profile: Profile | undefined;
  readonly #events: ConnectionEvents;
  readonly #budget: Budget;
  #visitor: WebSocket | undefined;
  #answer: Response | undefined;
  #leg: Leg | undefined;
  readonly #memory: Memory | undefined;
  #held: Frame[] = [];
  #heldBytes = 0;
  #holding = true;
  #holdingSinceMs = 0;
  #frameCount = 0;
  /** When the last frame passed, either way, and when the origin's last did. */
  #lastFrameAtMs = 0;
  #lastOriginFrameAtMs = 0;
  /** The visitor's own close: frames held back are still delivered before it. */
  #visitorClose: Close | undefined;
  #over = false;
  #endedWithLeg = false;

  constructor(live: LiveRequest, handshake: Handshake, closeDeadlineMs: number, events: ConnectionEvents, budget: Budget) {
    this.#handshake = handshake;
    this.#facts = live;
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#profile = profileOf(live.resume);
    this.#memory = this.#profile?.begin();
    this.#events = events;
    this.#budget = budget;
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

  async open(placement: Placement, abort: AbortController): Promise<Opening> {
    let response: Response;
    try {
      response = await dial(this.#handshake, placement, { Upgrade: "websocket" }, abort);
    } catch {
      return { kind: "unreachable" };
    }
    const socket = response.webSocket;
    if (socket) return { kind: "open", begin: () => this.#begin(socket, response, abort), discard: () => discardSocket(socket) };
    if (!isGatewayFault(response.status)) return { kind: "answered", response };
    await response.body?.cancel();
    return { kind: "unreachable" };
  }

  response(): Response {
    if (!this.#answer) throw new Error("the first leg has not begun");
    return this.#answer;
  }

  get frameCount(): number {
    return this.#frameCount;
  }

  isSilent(nowMs: number): boolean {
    const { originSilenceMs } = this.#facts;
    return this.#leg !== undefined && originSilenceMs !== undefined && nowMs - this.#lastOriginFrameAtMs > originSilenceMs;
  }

  hold(): void {
    if (!this.#holding) this.#holdingSinceMs = Date.now();
    this.#holding = true;
  }

  async quiet(): Promise<void> {
    const startMs = Date.now();
    for (;;) {
      const nowMs = Date.now();
      const waitMs = Math.min(this.#lastFrameAtMs + this.#facts.quietMs, startMs + QUIET_MAX_MS) - nowMs;
      if (waitMs <= 0 || !this.#leg) return;
      await delay(waitMs);
    }
  }

  mute(): void {
    if (this.#leg && this.#profile?.mute) this.#leg.muted = true;
  }

  async closeLeg(): Promise<void> {
    const leg = this.#leg;
    if (!leg) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    leg.closed = resolve;
    closeSocket(leg.socket, { code: 1012, reason: "this session moves to another origin" });
    await Promise.race([promise, delay(this.#closeDeadlineMs)]);
    if (this.#leg === leg) this.#leg = undefined;
    leg.muted = true;
    leg.abort.abort(); // a peer that hangs would keep its socket
  }

  dropLeg(): void {
    const leg = this.#leg;
    if (!leg) return;
    this.#leg = undefined;
    leg.muted = true;
    leg.closed?.();
    closeSocket(leg.socket, { code: 1012, reason: "this session moves to another origin" });
    this.#cutUnlessClosed(leg);
  }

  lastWords(): readonly Frame[] {
    return this.#memory?.lastWords() ?? [];
  }

  hear(frames: readonly Frame[]): void {
    for (const frame of frames) if (this.#visitor && !this.#over) sendBounded(this.#visitor, frame);
  }

  end(close: Close): void {
    if (this.#over) return;
    if (this.#visitor) closeSocket(this.#visitor, close);
    this.#finish();
  }

  #begin(socket: WebSocket, response: Response, abort: AbortController): void {
    const leg: Leg = { socket, abort, muted: false, closed: undefined };
    this.#leg = leg;
    this.#lastFrameAtMs = this.#lastOriginFrameAtMs = Date.now();
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", (event) => this.#fromOrigin(leg, event.data as Frame)); // binaryType rules blobs out
    socket.addEventListener("close", (event) => this.#originClosed(leg, { code: event.code, reason: event.reason }));
    socket.addEventListener("error", () => this.#originClosed(leg, { code: 1006, reason: "" }));
    socket.accept({ allowHalfOpen: true });
    if (this.#visitor) {
      this.#events.resumed(Date.now() - this.#holdingSinceMs, this.#held.length);
      this.#replay(leg, this.#visitor);
    } else this.#acceptVisitor(response);
    this.#flush(leg);
  }

  #replay(leg: Leg, visitor: WebSocket): void {
    const replay = this.#memory?.replay();
    for (const frame of replay?.origin ?? []) sendBounded(leg.socket, frame);
    if (this.#visitorClose) return; // nobody is there to be greeted: what they sent last is still delivered
    for (const frame of replay?.visitor ?? []) sendBounded(visitor, frame);
  }

  #acceptVisitor(response: Response): void {
    const pair = new WebSocketPair();
    const visitor = pair[1];
    this.#visitor = visitor;
    visitor.binaryType = "arraybuffer";
    visitor.addEventListener("message", (event) => this.#fromVisitor(event.data as Frame)); // binaryType rules blobs out
    visitor.addEventListener("close", (event) => this.#visitorClosed({ code: event.code, reason: event.reason }));
    visitor.addEventListener("error", () => this.#visitorClosed({ code: 1006, reason: "" }));
    visitor.accept({ allowHalfOpen: true });
    this.#answer = new Response(null, { status: 101, webSocket: pair[0], headers: responseHeaders(response.headers) });
  }

  #fromVisitor(frame: Frame): void {
    if (this.#over || this.#visitorClose) return;
    if (this.#leg && !this.#holding) return this.#toOrigin(this.#leg, frame);
    const bytes = frameBytes(frame);
    const fits = this.#held.length < HELD_FRAMES_MAX && this.#heldBytes + bytes <= HELD_BYTES_MAX && this.#budget.add(bytes);
    if (!fits) return this.end(overloaded("too much was sent while the session moved: please reconnect"));
    this.#held.push(frame);
    this.#heldBytes += bytes;
  }

  #toOrigin(leg: Leg, frame: Frame): void {
    this.#memory?.sent(frame);
    this.#frameCount++;
    this.#lastFrameAtMs = Date.now();
    if (!sendBounded(leg.socket, frame)) this.end(overloaded("the origin reads too slowly: please reconnect"));
  }

  #flush(leg: Leg): void {
    const held = this.#takeHeld();
    this.#holding = false;
    for (const frame of held) if (!this.#over) this.#toOrigin(leg, frame);
    if (this.#visitorClose && !this.#over) this.#finish(this.#visitorClose);
  }

  #fromOrigin(leg: Leg, frame: Frame): void {
    this.#frameCount++;
    this.#lastFrameAtMs = this.#lastOriginFrameAtMs = Date.now();
    if (leg.muted || this.#over || !this.#visitor) return;
    const heard = this.#memory?.heard(frame);
    if (heard === "swallow") return;
    if (heard === "refused") return this.end(STALE_HANDSHAKE);
    if (!sendBounded(this.#visitor, frame)) this.end(overloaded("you read too slowly: please reconnect"));
  }

  /** A close may be followed by an error, and the other way round: only the first counts. */
  #originClosed(leg: Leg, close: Close): void {
    closeSocket(leg.socket, relayed(close));
    leg.closed?.();
    if (this.#leg !== leg || this.#over) return;
    this.#leg = undefined;
    if (leg.closed) return; // we asked for it
    if (close.code === 1006 || this.#facts.rehomeOn.includes(close.code)) return this.#events.lost(this);
    if (this.#visitor) closeSocket(this.#visitor, relayed(close));
    this.#finish();
  }

  #visitorClosed(close: Close): void {
    if (this.#over || this.#visitorClose) return;
    if (this.#visitor) closeSocket(this.#visitor, relayed(close));
    if (this.#held.length > 0) this.#visitorClose = close;
    else this.#finish(close);
  }

  #finish(toOrigin?: Close): void {
    if (this.#over) return;
    this.#over = true;
    this.#takeHeld();
    const leg = this.#leg;
    this.#leg = undefined;
    this.#endedWithLeg = leg !== undefined;
    if (leg) {
      leg.muted = true;
      leg.closed?.();
      closeSocket(leg.socket, toOrigin ? relayed(toOrigin) : { code: 1001, reason: "" });
      this.#cutUnlessClosed(leg);
    }
    this.#events.ended(this);
  }

  /** A peer that hangs answers no close, and its socket would stay. */
  #cutUnlessClosed(leg: Leg): void {
    setTimeout(() => leg.abort.abort(), this.#closeDeadlineMs);
  }

  #takeHeld(): Frame[] {
    const held = this.#held;
    this.#held = [];
    this.#budget.remove(this.#heldBytes);
    this.#heldBytes = 0;
    return held;
  }
}

/** `false` when the reader is so slow that its buffer is full. `bufferedAmount` exists since workerd 1.20261117. */
function sendBounded(socket: WebSocket, frame: Frame): boolean {
  const { bufferedAmount } = socket as { bufferedAmount?: number };
  if (bufferedAmount !== undefined && bufferedAmount > SOCKET_BUFFER_MAX_BYTES) return false;
  try {
    socket.send(frame);
  } catch {
    // It is closing: its close event follows and says what becomes of the connection.
  }
  return true;
}

function discardSocket(socket: WebSocket): void {
  try {
    socket.accept({ allowHalfOpen: true });
  } catch {
    // It was accepted already, or is closed: closing it is all that is left.
  }
  closeSocket(socket, { code: 1012, reason: "this session moves to another origin" });
}

/** Closes, or answers a close; `undefined` sends no code. */
function closeSocket(socket: WebSocket, close: Close | undefined): void {
  try {
    if (close) socket.close(close.code, close.reason);
    else socket.close();
  } catch {
    // It is closed already: nothing is left to say.
  }
}
