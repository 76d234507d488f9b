// Carrying server-sent events: the visitor's stream stays, the origin's may be replaced. The origin's own bytes pass, cut between two events, so
// that a switch is always there; the next origin is asked to go on with `Last-Event-ID` (WHATWG HTML §9.2.6), and what it repeats is dropped. A
// visitor who reads slowly holds the origin back. docs/carrying.md says what is promised.

import type { Close } from "../core/close-codes.ts";
import { DeliveredIds } from "../core/delivered-ids.ts";
import { EventBlocks, type Whole } from "../core/event-blocks.ts";
import { responseHeaders } from "../core/headers.ts";
import type { Frame } from "../core/profile.ts";
import type { LiveRequest, Placement } from "../core/protocol.ts";
import type { Connection, ConnectionEvents, Opening } from "./connection.ts";
import { dial, isGatewayFault, type Handshake } from "./dial.ts";
import { delay, QUIET_MAX_MS } from "./limits.ts";
import type { StreamBacklog } from "./stream-backlog.ts";
import { StreamOutlet } from "./stream-outlet.ts";

const LAST_EVENT_ID = "last-event-id";

interface Leg {
  readonly abort: AbortController;
  readonly body: ReadableStream<Uint8Array>;
  readonly blocks: EventBlocks;
  /** What waits in `blocks` is too much for the carrier. */
  readonly giveUp: () => void;
  /** Set while a move waits until no event is half here. */
  whole: (() => void) | undefined;
}

/** What an event stream needs beside its visitor's request. */
interface StreamMeans {
  readonly events: ConnectionEvents;
  readonly backlog: StreamBacklog;
}

export class SseConnection implements Connection {
  readonly kind = "stream";
  readonly parkAfterMs = undefined; // nobody could say anything on it that wakes its session
  readonly #facts: Pick<LiveRequest, "quietMs" | "originSilenceMs">;
  readonly #handshake: Handshake;
  readonly #events: ConnectionEvents;
  readonly #backlog: StreamBacklog;
  readonly #delivered: DeliveredIds;
  #leg: Leg | undefined;
  #outlet: StreamOutlet | undefined;
  #answer: Response | undefined;
  #legLostAtMs = 0;
  /** Since when the origin has been listened to in vain; `undefined` while it is not listened to. */
  #listeningSinceMs: number | undefined;
  #frameCount = 0;
  #lastFrameAtMs = Date.now();
  #over: boolean;

  constructor(live: LiveRequest, handshake: Handshake, { events, backlog }: StreamMeans, visitorGone: AbortSignal) {
    const { [LAST_EVENT_ID]: asked, ...headers } = handshake.headers;
    this.#facts = live;
    this.#handshake = { ...handshake, headers };
    this.#events = events;
    this.#backlog = backlog;
    this.#delivered = new DeliveredIds(asked);
    this.#over = visitorGone.aborted;
    visitorGone.addEventListener("abort", () => this.#finish("cut"));
  }

  /** By the standard's own resume, whatever the route says of WebSockets. */
  get rehomeable(): boolean {
    return this.#delivered.bearable;
  }

  get over(): boolean {
    return this.#over;
  }

  get legOpen(): boolean {
    return this.#leg !== undefined;
  }

  get flowing(): boolean {
    return this.#leg !== undefined;
  }

  get frameCount(): number {
    return this.#frameCount;
  }

  get lastFrameAtMs(): number {
    return this.#lastFrameAtMs;
  }

  get busyAtMs(): number {
    return this.#lastFrameAtMs;
  }

  isSilent(nowMs: number): boolean {
    const { originSilenceMs } = this.#facts;
    return originSilenceMs !== undefined && this.#listeningSinceMs !== undefined && nowMs - this.#listeningSinceMs > originSilenceMs;
  }

  async open(placement: Placement, abort: AbortController): Promise<Opening> {
    const { newest } = this.#delivered;
    const resume = newest === undefined ? {} : { [LAST_EVENT_ID]: newest };
    let response: Response;
    try {
      response = await dial(this.#handshake, placement, { ...resume, "accept-encoding": "identity" }, abort);
    } catch {
      return { kind: "unreachable" };
    }
    const { body } = response;
    if (isGatewayFault(response.status)) {
      await body?.cancel();
      return { kind: "unreachable" };
    }
    if (!isEventStream(response) || !body) return { kind: "answered", response };
    const leg: Leg = { abort, body, blocks: new EventBlocks(), giveUp: () => this.#giveUp(), whole: undefined };
    return { kind: "open", begin: () => this.#begin(leg, response), discard: () => abort.abort() };
  }

  response(): Response {
    const answer = this.#answer;
    if (!answer) throw new Error("the first leg has not begun, or its answer was given");
    this.#answer = undefined; // not kept for as long as the connection lives
    return answer;
  }

  hold(): void {
    // A visitor sends nothing on this kind of connection.
  }

  async quiet(): Promise<void> {
    const leg = this.#leg;
    if (!leg || leg.blocks.isWhole) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    leg.whole = resolve;
    await Promise.race([promise, delay(Math.min(this.#facts.quietMs, QUIET_MAX_MS))]);
  }

  mute(): void {
    // Its last events are as good as any.
  }

  flow(): void {
    // A visitor sends nothing on this kind of connection.
  }

  async closeLeg(): Promise<boolean> {
    this.dropLeg();
    return true; // its visitor says nothing that it could have missed
  }

  dropLeg(): void {
    const leg = this.#leg;
    if (!leg) return;
    this.#forget(leg);
    leg.abort.abort();
  }

  lastWords(): readonly Frame[] {
    return [];
  }

  hear(_frames: readonly Frame[]): void {
    // An event stream says what its origin says.
  }

  keep(): undefined {
    return undefined;
  }

  release(): void {
    // Asked only of those that could be kept.
  }

  /** No event stream can say why it ends: its visitor comes back by itself, and is told then. */
  end(_close: Close): void {
    this.#finish("end");
  }

  #begin(leg: Leg, response: Response): void {
    this.#leg = leg;
    this.#delivered.legBegan();
    const isFirst = this.#outlet === undefined;
    this.#outlet ??= this.#acceptVisitor(response);
    void this.#pump(leg, this.#outlet); // never rejects
    if (isFirst) return;
    this.#events.resumed(Date.now() - this.#legLostAtMs, 0);
    this.#events.ready(this);
  }

  #acceptVisitor(response: Response): StreamOutlet {
    const outlet = new StreamOutlet({ gone: () => this.#finish("cut"), slow: () => this.#giveUp() }, this.#backlog);
    const headers = responseHeaders(response.headers);
    headers.delete("content-length");
    headers.delete("content-encoding"); // fetch has decoded the body
    this.#answer = new Response(outlet.readable, { status: response.status, headers });
    return outlet;
  }

  async #pump(leg: Leg, outlet: StreamOutlet): Promise<void> {
    const reader = leg.body.getReader();
    try {
      for (;;) {
        await outlet.taken; // the origin is read no faster than the visitor reads
        if (this.#leg !== leg) return;
        this.#listeningSinceMs = Date.now();
        const { done, value } = await reader.read();
        if (this.#leg !== leg) return;
        this.#listeningSinceMs = undefined;
        if (done) return this.#originEnded(leg, outlet);
        this.#frameCount++;
        this.#lastFrameAtMs = Date.now();
        if (!this.#pass(leg, value, outlet)) return this.#giveUp();
      }
    } catch {
      if (this.#leg !== leg) return; // we dropped it
      this.#forget(leg);
      this.#events.lost(this);
    }
  }

  /** `false`: more of an event waits than may. */
  #pass(leg: Leg, chunk: Uint8Array, outlet: StreamOutlet): boolean {
    const whole = leg.blocks.push(chunk);
    if (!whole) return false;
    const bytes = this.#undelivered(whole);
    if (bytes.byteLength > 0) outlet.write(bytes);
    this.#backlog.waits(leg, leg.blocks.heldBytes, Date.now());
    if (leg.blocks.isWhole) leg.whole?.();
    return true;
  }

  /** Without what an older leg has delivered. */
  #undelivered({ bytes, named }: Whole): Uint8Array {
    const repeated = named.filter(({ id }) => !this.#delivered.take(id));
    if (repeated.length === 0) return bytes;
    const left = bytes.slice();
    let [length, from] = [0, 0];
    for (const block of [...repeated, { from: bytes.byteLength, to: bytes.byteLength }]) {
      left.set(bytes.subarray(from, block.from), length);
      length += block.from - from;
      from = block.to;
    }
    return left.subarray(0, length);
  }

  /** A whole answer, the application's own end: what it left half said is its own affair. */
  #originEnded(leg: Leg, outlet: StreamOutlet): void {
    const rest = leg.blocks.rest();
    if (rest.byteLength > 0) outlet.write(rest);
    this.#finish("end");
  }

  /** A bound was passed: better ended than with a hole. */
  #giveUp(): void {
    this.#events.refused();
    this.#finish("end");
  }

  #forget(leg: Leg): void {
    this.#leg = undefined;
    this.#legLostAtMs = Date.now();
    this.#listeningSinceMs = undefined;
    this.#backlog.over(leg);
    leg.whole?.();
  }

  #finish(how: "end" | "cut"): void {
    if (this.#over) return;
    this.#over = true;
    this.dropLeg();
    this.#outlet?.[how]();
    this.#events.ended(this);
  }
}

function isEventStream({ status, headers }: Response): boolean {
  return status === 200 && /^\s*text\/event-stream\s*(;|$)/i.test(headers.get("content-type") ?? "");
}
