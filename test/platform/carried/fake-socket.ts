// Stand-ins for the platform's sockets: two ends, frames and closes in order and a moment under way. As workerd (1.20261117) has it: nothing is
// heard before `accept`, `send` after the own close throws, a second close says nothing, and half-open ends answer a close themselves.

import { isSendable, type Close } from "../../../src/core/close-codes.ts";
import type { Frame } from "../../../src/core/profile.ts";

type Event = { readonly type: "message"; readonly data: Frame } | ({ readonly type: "close" } & Close) | { readonly type: "error" };
type Listener = (event: never) => void;

export class FakeSocket {
  binaryType = "";
  bufferedAmount = 0;
  /** The close that this end has sent, and that which it was sent. */
  closing: Close | undefined;
  closed: Close | undefined;
  cut = false;
  /** Kept with the socket, where the object that accepted it sleeps. */
  attachment: unknown;
  /** Told of each frame that is sent, in the moment that it is. */
  onSend: ((frame: Frame) => void) | undefined;
  readonly #listeners: [type: string, listener: Listener][] = [];
  readonly #latencyMs: number;
  readonly #unheard: Event[] = [];
  #accepted = false;
  #hearing = false;
  #peer: FakeSocket | undefined;

  constructor(latencyMs: number) {
    this.#latencyMs = latencyMs;
  }

  static pair(latencyMs: number): [FakeSocket, FakeSocket] {
    const ends: [FakeSocket, FakeSocket] = [new FakeSocket(latencyMs), new FakeSocket(latencyMs)];
    [ends[0].#peer, ends[1].#peer] = [ends[1], ends[0]];
    return ends;
  }

  /** Nothing more is sent from this end. */
  get ended(): boolean {
    return this.closing !== undefined || this.cut;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push([type, listener]);
  }

  accept(options: { readonly allowHalfOpen: boolean }): void {
    if (this.#accepted) throw new TypeError("accepted already");
    if (!options.allowHalfOpen) throw new Error("only half-open ends are played here");
    this.#accepted = true;
    setTimeout(() => {
      this.#hearing = true;
      for (const event of this.#unheard.splice(0)) this.#hear(event);
    }, 0);
  }

  send(frame: Frame): void {
    if (!this.#accepted) throw new TypeError("not accepted yet");
    if (this.closing) throw new TypeError("send after close");
    this.onSend?.(frame);
    if (!this.cut) this.#toPeer({ type: "message", data: frame });
  }

  close(code = 1005, reason = ""): void {
    if (!this.#accepted) throw new TypeError("not accepted yet");
    if (code !== 1005 && !isSendable(code)) throw new TypeError(`code ${code}`);
    if (this.closing) return;
    this.closing = { code, reason };
    if (!this.cut) this.#toPeer({ type: "close", code, reason });
  }

  /** The connection is lost: what was under way is too, and each end hears of it in one way or the other. */
  reset(how: "close" | "error" | "both" = "close"): void {
    if (this.cut) return;
    for (const end of [this, this.#peer]) {
      if (!end) continue;
      end.cut = true;
      const lost: Event[] = [{ type: "error" }, { type: "close", code: 1006, reason: "" }];
      const heard = how === "both" ? lost : how === "error" ? lost.slice(0, 1) : lost.slice(1);
      setTimeout(() => heard.forEach((event) => end.#hear(event)), 0);
    }
  }

  #toPeer(event: Event): void {
    const peer = this.#peer;
    setTimeout(() => {
      if (peer && !peer.cut) peer.#hear(event);
    }, this.#latencyMs);
  }

  #hear(event: Event): void {
    if (!this.#hearing) return void this.#unheard.push(event);
    if (this.closed && event.type !== "error") return; // an error may follow a clean close
    if (event.type === "close") this.closed = { code: event.code, reason: event.reason };
    for (const [type, listener] of this.#listeners) if (type === event.type) listener(event as never);
  }
}
