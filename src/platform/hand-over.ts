// Hand-over: a session's state moves with it. The old origin is asked for it once its legs are closed, before the ring object hears that
// the session has left; the new one gets it before its first leg opens. Whatever was given is kept until somebody has taken it.

import type { Handover as Rule } from "../core/config-types.ts";
import { fieldForOrigin, LIMPET_FIELD } from "../core/limpet-field.ts";
import type { Placement } from "../core/protocol.ts";
import type { Budget } from "./connection.ts";
import type { Handshakes } from "./handshakes.ts";
import type { OriginFetch } from "./origin-fetch.ts";

export interface HandoverMeans {
  readonly rule: Rule;
  /** The session key: what the state is of. Without one there is none to ask for. */
  readonly key: string | undefined;
  readonly send: OriginFetch;
  readonly handshakes: Handshakes;
  /** Of the bytes that a carrier holds back. */
  readonly budget: Budget;
}

interface State {
  readonly body: Uint8Array;
  readonly type: string;
}

export class Handover {
  readonly #means: HandoverMeans;
  #state: State | undefined;
  #giving: { readonly fence: number; readonly state: Promise<State | undefined> } | undefined;
  #taking: { readonly fence: number; readonly taken: Promise<boolean> } | undefined;

  constructor(means: HandoverMeans) {
    this.#means = means;
  }

  /** Whether there is a state that waits for an origin. */
  get given(): boolean {
    return this.#state !== undefined;
  }

  /** Asks the origin that is left. Where it gives nothing, or too much, there is nothing to take afterwards. Never throws. */
  async give(from: Placement): Promise<void> {
    if (this.#means.key === undefined || this.#state) return;
    const giving = this.#giving?.fence === from.fence ? this.#giving : { fence: from.fence, state: this.#askFor(from) };
    this.#giving = giving;
    const state = await giving.state;
    if (this.#giving !== giving) return; // nobody waits for it any more, or it was kept already
    this.#giving = undefined;
    if (!state) return;
    if (this.#means.budget.add(state.body.byteLength)) this.#state = state;
    else
      console.error(
        JSON.stringify({ limpet: "not-handed-over", origin: from.origin, fence: from.fence, error: "the carrier holds as much as it may" }),
      );
  }

  /** The session goes on, wherever: what is still being asked for comes too late, and would be old by the next move. */
  goOn(): void {
    this.#giving = undefined;
  }

  /** Offers what was given, if anything, to the origin that is next. `false`: it did not take it. Never throws. */
  async take(to: Placement): Promise<boolean> {
    const state = this.#state;
    if (!state) return true;
    const taking = this.#taking?.fence === to.fence ? this.#taking : { fence: to.fence, taken: this.#offer(to, state) };
    this.#taking = taking;
    const taken = await taking.taken;
    if (this.#taking !== taking) return taken; // another of those who waited for it was first, or a later placement's began
    if (taken) this.forget();
    else this.#taking = undefined; // the next try asks again
    return taken;
  }

  forget(): void {
    if (this.#state) this.#means.budget.remove(this.#state.body.byteLength);
    this.#state = undefined;
    this.#giving = undefined;
    this.#taking = undefined;
  }

  #askFor(from: Placement): Promise<State | undefined> {
    return this.#within(from, async (signal) => {
      const response = await this.#post(from, "give", signal);
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`status ${response.status}`);
      }
      const body = await bodyWithin(response, this.#means.rule.maxBytes);
      return { body, type: response.headers.get("content-type") ?? "application/octet-stream" };
    });
  }

  async #offer(to: Placement, { body, type }: State): Promise<boolean> {
    const done = await this.#within(to, async (signal) => {
      const response = await this.#post(to, "take", signal, { body, type });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`status ${response.status}`);
      return true;
    });
    return done ?? false;
  }

  #post(at: Placement, handover: "give" | "take", signal: AbortSignal, state?: State): Promise<Response> {
    const { origin, region, epoch, fence, reason, replicas, movedFrom, url } = at;
    const field = fieldForOrigin({ session: this.#means.key, origin, region, epoch, fence, reason, replicas, movedFrom, handover });
    const headers = { [LIMPET_FIELD]: field, ...(state ? { "content-type": state.type } : {}) };
    return this.#means.send(origin, url + this.#means.rule.path, {
      method: "POST",
      headers,
      signal,
      redirect: "manual",
      ...(state ? { body: state.body } : {}),
    });
  }

  /** One request with its handshake slot and its time; what goes wrong is recorded, and nothing comes of it. */
  async #within<T>(at: Placement, work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new Error("time-out")), this.#means.rule.timeoutMs);
    const release = await this.#means.handshakes.take("moves", at.origin, abort.signal);
    try {
      return await work(abort.signal);
    } catch (error) {
      console.error(JSON.stringify({ limpet: "not-handed-over", origin: at.origin, fence: at.fence, error: String(error) }));
      return undefined;
    } finally {
      clearTimeout(timer);
      if (typeof release === "function") release();
    }
  }
}

/** Throws past the bound: half a state is none. */
async function bodyWithin(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  const body = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}
