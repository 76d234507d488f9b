// graphql-ws (the subprotocol graphql-transport-ws): the visitor's connection_init is replayed, and once the new origin has acknowledged
// it, every subscription that is still on: those that certainly are ones. Any other operation under way may have been executed already:
// it is never run twice, and its visitor gets an error for it. Results that a subscription repeats are the application's to bear.

import { isSubscription } from "./graphql-kind.ts";
import { frameBytes, REMEMBERED_MAX_BYTES, type Frame, type Memory, type Passage, type Profile, type Told } from "./profile.ts";

/** Operations under way at once that are known; with more the connection is restarted instead. */
const OPERATIONS_MAX = 1_000;

/** Characters of a ping that is asked again where its origin died before the answer. */
const PING_MAX = 1_000;

/** A result as graphql-ws writes it. Results are most of what passes, and need no look inside. */
const RESULT = /^\{"id":"[^"\\]{1,128}","type":"next"/;

/** What a visitor may say; anything else is another protocol, or another version. */
const SAID: readonly unknown[] = ["connection_init", "ping", "pong", "subscribe", "complete"];

interface Message {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly payload?: unknown;
}

export const graphqlWs: Profile = { mute: false, begin: () => new OperationMemory() };

class OperationMemory implements Memory {
  /** By id: the frame of a subscription; `undefined` for what must not be run twice, or is too large to keep. */
  readonly #operations = new Map<string, string | undefined>();
  #bytes = 0;
  #init: string | undefined;
  #ping: string | undefined;
  #acknowledged = false;
  #ready = true;
  #bearable = true;

  get bearable(): boolean {
    return this.#bearable;
  }

  get ready(): boolean {
    return this.#ready;
  }

  sent(frame: Frame): Passage {
    if (this.#bearable) this.#remember(frame);
    return "pass";
  }

  heard(frame: Frame): Passage {
    if (!this.#bearable || typeof frame !== "string" || RESULT.test(frame)) return "pass";
    const message = messageIn(frame);
    if (message?.type === "connection_ack") return this.#acknowledge(frame);
    if (message?.type === "pong") this.#ping = undefined;
    if (message?.type === "complete" || message?.type === "error") this.#end(message.id);
    return "pass";
  }

  replay(): Told {
    this.#ready = this.#init === undefined;
    return { origin: this.#init === undefined ? [] : [this.#init], visitor: this.#abandon() };
  }

  farewell(): readonly Frame[] {
    return [];
  }

  lastWords(): readonly Frame[] {
    return [];
  }

  #remember(frame: Frame): void {
    const message = messageIn(frame);
    if (typeof frame !== "string" || !SAID.includes(message?.type)) return this.#giveUp();
    if (message?.type === "connection_init") {
      if (!this.#kept(frame)) return this.#giveUp();
      this.#init = frame;
    }
    if (message?.type === "ping") this.#ping = frame.length <= PING_MAX ? frame : undefined;
    if (message?.type === "subscribe" && typeof message.id === "string") this.#begin(message.id, frame, message.payload);
    if (message?.type === "complete") this.#end(message.id);
  }

  #begin(id: string, frame: string, payload: unknown): void {
    if (this.#operations.size >= OPERATIONS_MAX) return this.#giveUp();
    this.#end(id);
    this.#operations.set(id, isSubscription(payload) && this.#kept(frame) ? frame : undefined);
  }

  #end(id: unknown): void {
    if (typeof id !== "string") return;
    const frame = this.#operations.get(id);
    if (frame !== undefined) this.#bytes -= frameBytes(frame);
    this.#operations.delete(id);
  }

  /** Whether there is room for it. */
  #kept(frame: string): boolean {
    const bytes = this.#bytes + frameBytes(frame);
    if (bytes > REMEMBERED_MAX_BYTES) return false;
    this.#bytes = bytes;
    return true;
  }

  #acknowledge(frame: string): Passage {
    const replayed = !this.#ready;
    const known = this.#acknowledged;
    this.#ready = this.#acknowledged = true;
    if (!replayed) return "pass";
    const origin = [...this.#operations.values(), this.#ping].filter((each) => each !== undefined);
    return { origin, visitor: known ? [] : [frame] };
  }

  /** Errors for what is not replayed: its results, should there be any, come from nobody any more. */
  #abandon(): string[] {
    const errors: string[] = [];
    for (const [id, frame] of this.#operations) {
      if (frame !== undefined) continue;
      this.#operations.delete(id);
      errors.push(JSON.stringify({ id, type: "error", payload: [ABANDONED] }));
    }
    return errors;
  }

  #giveUp(): void {
    this.#bearable = false;
    this.#operations.clear();
  }
}

const ABANDONED = {
  message: "the server was replaced before it had answered: the operation may have been executed",
  extensions: { code: "ORIGIN_REPLACED" },
};

function messageIn(frame: Frame): Message | undefined {
  // What is larger than may be remembered is not looked into: parsed, it could be many times as large.
  if (typeof frame !== "string" || frame.length > REMEMBERED_MAX_BYTES) return undefined;
  try {
    const message: unknown = JSON.parse(frame);
    return typeof message === "object" && message !== null ? message : undefined;
  } catch {
    return undefined; // the other side's to judge
  }
}
