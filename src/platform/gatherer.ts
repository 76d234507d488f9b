// Asks that come within a moment of each other and go to the same place, as one call.

import { BATCH_MAX } from "./limits.ts";

interface Ask<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export class Gatherer<Item, Answer> {
  readonly #forMs: number;
  readonly #call: (place: string, items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly #asks = new Map<string, Ask<Item, Answer>[]>();

  /** `call` answers as many items as it is given, in their order. */
  constructor(forMs: number, call: (place: string, items: readonly Item[]) => Promise<readonly Answer[]>) {
    this.#forMs = forMs;
    this.#call = call;
  }

  ask(place: string, item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const waiting = this.#asks.get(place);
      const ask = { item, resolve, reject };
      if (waiting) return void waiting.push(ask);
      this.#asks.set(place, [ask]);
      setTimeout(() => this.#flush(place), this.#forMs);
    });
  }

  #flush(place: string): void {
    const asks = this.#asks.get(place) ?? [];
    this.#asks.delete(place);
    while (asks.length > 0) void this.#send(place, asks.splice(0, BATCH_MAX)); // never rejects
  }

  async #send(place: string, asks: readonly Ask<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#call(
        place,
        asks.map((ask) => ask.item),
      );
      asks.forEach((ask, index) => {
        if (index in answers)
          ask.resolve(answers[index] as Answer); // there is one for each
        else ask.reject(new Error(`${place} left an ask without an answer`));
      });
    } catch (error) {
      for (const ask of asks) ask.reject(error);
    }
  }
}
