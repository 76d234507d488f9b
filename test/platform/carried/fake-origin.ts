// An origin that is played: it answers every frame after a while, keeps what it heard and said on each of its legs, and is well, refuses, hangs or
// dies by the test's word. Frames are texts (`3:17`: the visitor's number, the frame's); answers name the origin.

import type { OriginFetch } from "../../../src/platform/origin-fetch.ts";
import { FakeSocket } from "./fake-socket.ts";

export type Health =
  | "well"
  /** Nobody listens. */
  | "refusing"
  /** It takes connections and says nothing, on new legs and old. */
  | "hanging"
  /** Its answer is none of a leg: a gateway's, the application's own fault, or its no. */
  | 502
  | 503
  | 401;

export interface Leg {
  readonly origin: string;
  readonly visitor: number;
  readonly fence: number;
  /** Counts all legs of all origins. */
  readonly openedIndex: number;
  /** The router's end, and the origin's. */
  readonly near: FakeSocket;
  readonly far: FakeSocket;
  /** Frames that the router sent, that the origin handled, and that the origin said before it closed. */
  readonly handed: string[];
  readonly handled: string[];
  readonly given: string[];
}

export interface Manner {
  readonly dialMs: number;
  readonly latencyMs: number;
  readonly answerMs: number;
  /** When and with what it answers a close. */
  readonly closeMs: number;
  readonly closeCode: number;
  /** Whether answers that are not ready when it is told to close are given before, or never. */
  readonly flushes: boolean;
}

let openedCount = 0;

export class FakeOrigin {
  readonly id: string;
  readonly legs: Leg[] = [];
  health: Health = "well";
  /** Told of each frame that the router sends, in the moment that it does. */
  onHanded: ((leg: Leg) => void) | undefined;
  readonly #manner: Manner;
  /** What it has not looked at while it hangs. */
  #backlog: (() => void)[] = [];
  #pushCount = 0;

  constructor(id: string, manner: Manner) {
    this.id = id;
    this.#manner = manner;
  }

  readonly dial = (url: string, fence: number, signal: AbortSignal | null | undefined): Promise<Response> => {
    const visitor = Number(new URL(url).searchParams.get("visitor"));
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new Error("aborted")));
      setTimeout(() => {
        const { health } = this;
        if (health === "refusing") return reject(new Error("nobody listens"));
        if (signal?.aborted) return;
        if (typeof health === "number") return resolve(new Response("no", { status: health }));
        this.#whenLooking(() => {
          if (!signal?.aborted) resolve(this.#open(visitor, fence, signal));
        });
      }, this.#manner.dialMs);
    });
  };

  /** Asked for the session's state, or brought it. */
  readonly post = async (): Promise<Response> => {
    await new Promise((resolve) => setTimeout(resolve, this.#manner.dialMs));
    if (this.health === "refusing") throw new Error("nobody listens");
    await new Promise<void>((resolve) => this.#whenLooking(resolve));
    return new Response("state", { status: typeof this.health === "number" ? this.health : 200 });
  };

  becomes(health: Health): void {
    this.health = health;
    if (health === "hanging") return;
    for (const look of this.#backlog.splice(0)) look();
  }

  dies(how: "close" | "error" | "both"): void {
    this.health = "refusing";
    this.#backlog = [];
    for (const leg of this.openLegs()) leg.far.reset(how);
  }

  openLegs(): Leg[] {
    return this.legs.filter(({ far }) => !far.ended && !far.closed);
  }

  /** A word of its own on every leg. */
  push(): void {
    this.#pushCount++;
    if (this.health === "well") for (const leg of this.openLegs()) say(leg, `push ${this.#pushCount} of ${this.id}`);
  }

  #open(visitor: number, fence: number, signal: AbortSignal | null | undefined): Response {
    const [near, far] = FakeSocket.pair(this.#manner.latencyMs);
    const leg: Leg = { origin: this.id, visitor, fence, openedIndex: openedCount++, near, far, handed: [], handled: [], given: [] };
    this.legs.push(leg);
    near.onSend = (frame) => {
      leg.handed.push(String(frame));
      this.onHanded?.(leg);
    };
    const pending = new Set<string>();
    far.addEventListener("message", ({ data }: MessageEvent) => this.#whenLooking(() => this.#handle(leg, String(data), pending)));
    far.addEventListener("close", () => this.#whenLooking(() => this.#closed(leg, pending)));
    far.accept({ allowHalfOpen: true });
    signal?.addEventListener("abort", () => near.reset("both"));
    return Object.assign(new Response(null), { webSocket: near });
  }

  #handle(leg: Leg, frame: string, pending: Set<string>): void {
    if (leg.far.ended) return;
    leg.handled.push(frame);
    const answer = `${frame} by ${this.id}`;
    pending.add(answer);
    setTimeout(() => {
      this.#whenLooking(() => {
        if (pending.delete(answer)) say(leg, answer);
      });
    }, this.#manner.answerMs);
  }

  #closed(leg: Leg, pending: Set<string>): void {
    if (leg.far.cut) return;
    if (this.#manner.flushes) for (const answer of pending) say(leg, answer);
    pending.clear();
    setTimeout(() => leg.far.close(this.#manner.closeCode), this.#manner.closeMs);
  }

  #whenLooking(look: () => void): void {
    if (this.health === "hanging") this.#backlog.push(look);
    else look();
  }
}

function say(leg: Leg, text: string): void {
  if (leg.far.ended) return;
  leg.given.push(text);
  leg.far.send(text);
}

/** The way to the origins: it tells of each dial as it begins. */
export function fetchOf(origins: readonly FakeOrigin[], dialled: (origin: string, fence: number) => void): OriginFetch {
  return (id, url, { headers, signal, method }) => {
    const fence = Number(/fence=(\d+)/.exec(new Headers(headers).get("limpet") ?? "")?.[1]);
    if (signal?.aborted) return Promise.reject(new Error("aborted before it was sent"));
    const origin = origins.find((each) => each.id === id);
    if (origin && method === "POST") return Promise.race([origin.post(), aborted(signal)]);
    dialled(id, fence);
    return origin ? origin.dial(url, fence, signal) : Promise.reject(new Error(`no origin ${id}`));
  };
}

function aborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
}
