// A visitor that numbers what it says, and the ledger of what it was answered: nothing lost, nothing doubled, nothing out of order.

import { expect } from "vitest";
import type { Leg } from "./live-origin.ts";
import { eventually } from "./stack.ts";
import type { Visitor } from "./visitor.ts";

/** A visitor that numbers what it sends; whoever it talks to echoes. */
export class Talker {
  readonly session: string;
  readonly name: string;
  readonly visitor: Visitor;
  sentCount = 0;
  readonly #legs: () => readonly Leg[];
  #timer: ReturnType<typeof setInterval> | undefined;
  #close: { readonly code: number } | undefined;

  constructor(session: string, name: string, visitor: Visitor, legs: () => readonly Leg[]) {
    this.session = session;
    this.name = name;
    this.visitor = visitor;
    this.#legs = legs;
  }

  get isOpen(): boolean {
    return this.visitor.isOpen();
  }

  say(): void {
    if (this.isOpen) this.visitor.socket.send(`${this.name}.${this.sentCount++}`);
  }

  talk(everyMs: number): void {
    this.#timer = setInterval(() => this.say(), everyMs);
  }

  hush(): void {
    clearInterval(this.#timer);
  }

  leave(): void {
    this.hush();
    this.visitor.socket.terminate();
  }

  /** Says one thing, and waits until it is answered. */
  async ask(limitMs?: number): Promise<void> {
    const frame = `${this.name}.${this.sentCount}`;
    this.say();
    void this.visitor.closed.then((close) => (this.#close = close));
    await eventually(`${this.session} hears ${frame}`, () => this.#close !== undefined || this.visitor.heard.includes(frame), limitMs);
    expect(this.#close, `${this.session}/${this.name} was closed`).toBeUndefined();
  }

  /** What its origin has said of what it sent; what origins push is not in it. */
  get answers(): number[] {
    return numbersOf(this.name, this.visitor.heard);
  }

  /** Everything was answered, once and in order. */
  async expectWhole(): Promise<void> {
    await this.#answered(() => this.answers.length + this.#overslept().length >= this.sentCount);
    const all = [...this.answers, ...this.#overslept()].toSorted((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: this.sentCount }, (_, n) => n));
    this.#expectOrder();
  }

  /** Where an origin died: nothing doubled, nothing out of order, and at most one hole a death: what it had taken with it. */
  async expectHoles(atMost: number): Promise<void> {
    await this.#answered(() => this.answers.at(-1) === this.sentCount - 1);
    const overslept = this.#overslept();
    const all = [...this.answers, ...overslept].toSorted((a, b) => a - b);
    expect(all.filter((n, index) => n > (all[index - 1] ?? -1) + 1).length, "holes").toBeLessThanOrEqual(atMost);
    this.#expectOrder();
  }

  async #answered(look: () => boolean): Promise<void> {
    this.hush();
    void this.visitor.closed.then((close) => (this.#close = close));
    await eventually(`${this.session}/${this.name} has its answers`, () => this.#close !== undefined || look()).catch((error: unknown) => {
      throw new Error(`sent ${this.sentCount}, answered ${this.answers.join()}`, { cause: error });
    });
    expect(this.#close, `${this.session}/${this.name} was closed`).toBeUndefined();
  }

  #expectOrder(): void {
    const { answers } = this;
    expect(answers, "in order, once").toEqual([...new Set(answers)].toSorted((a, b) => a - b));
  }

  #overslept(): number[] {
    return numbersOf(
      this.name,
      this.#legs().flatMap(({ overslept }) => overslept),
    );
  }
}

/** The numbers of a visitor's frames. */
function numbersOf(name: string, frames: readonly (string | Buffer)[]): number[] {
  const prefix = `${name}.`;
  return frames.map(String).flatMap((frame) => (frame.startsWith(prefix) ? [Number(frame.slice(prefix.length))] : []));
}
