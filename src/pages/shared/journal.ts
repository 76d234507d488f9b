// A short log of what happened, newest first: time and sentence.

import { make } from "./dom.ts";

const ENTRIES_MAX = 100;

export class Journal {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  write(sentence: string): void {
    const now = new Date();
    const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }));
    time.dateTime = now.toISOString();
    this.#list.prepend(make("li", "", time, make("span", "", sentence)));
    while (this.#list.children.length > ENTRIES_MAX) this.#list.lastElementChild?.remove();
  }
}
