// The panel "Your own session": a counter over plain HTTP whose home region is the visitor's. Where the visitor is can be chosen; the
// router in dev believes the header `Limpet-Dev-Cf`.

import { parseDictionary, type Dictionary } from "structured-headers";
import { ask } from "../shared/answers.ts";
import { byId, make, setText } from "../shared/dom.ts";
import type { Journal } from "../shared/journal.ts";
import { CounterShape } from "../shared/shapes.ts";
import { shown } from "../shared/words.ts";

interface Place {
  readonly id: string;
  readonly name: string;
  readonly cf: Readonly<Record<string, string>>;
}

const PARIS: Place = { id: "paris", name: "Paris", cf: { latitude: "48.86", longitude: "2.35", continent: "EU", country: "FR" } };
const NEW_YORK: Place = { id: "new-york", name: "New York", cf: { latitude: "40.71", longitude: "-74.01", continent: "NA", country: "US" } };
const PLACES = [PARIS, NEW_YORK];

/** The cookie is not for scripts to see; this only remembers whether there is something to read when the page is loaded again. */
const HAS_COUNTED = "limpet-has-counted";

export class OwnSession {
  readonly #count = byId("count", HTMLButtonElement);
  readonly #location = byId("location", HTMLSelectElement);
  readonly #counter = byId("counter", HTMLElement);
  readonly #origin = byId("counter-origin", HTMLElement);
  readonly #region = byId("counter-region", HTMLElement);
  readonly #reason = byId("counter-reason", HTMLElement);
  readonly #problem = byId("counter-problem", HTMLElement);
  readonly #journal: Journal;
  #last: string | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#location.append(...PLACES.map(optionOf));
    this.#count.addEventListener("click", () => void this.#ask("POST"));
    this.#location.addEventListener("change", () => void this.#moveTo(this.#place()));
  }

  start(): void {
    // Reading would settle the home region; a new visitor may choose a place first.
    if (localStorage.getItem(HAS_COUNTED) !== null) void this.#ask("GET");
  }

  async #moveTo(place: Place): Promise<void> {
    const before = this.#last;
    if (localStorage.getItem(HAS_COUNTED) !== null) await this.#ask("GET");
    const stays = before !== undefined && before === this.#last;
    this.#journal.write(stays ? `You are in ${place.name} now; your own session stays on ${before}.` : `You are in ${place.name} now.`);
  }

  async #ask(method: "GET" | "POST"): Promise<void> {
    this.#count.disabled = true;
    const headers = { "limpet-dev-cf": JSON.stringify(this.#place().cf) };
    const answer = await ask("/api/counter", CounterShape, { method, headers });
    this.#count.disabled = false;
    if (answer.kind !== "ok") return setText(this.#problem, `The counter ${answer.kind === "failed" ? answer.sentence : "does not answer here"}.`);
    setText(this.#problem, "");
    localStorage.setItem(HAS_COUNTED, "yes");
    const { count, origin, region } = answer.value;
    const field = dictionaryIn(answer.headers.get("limpet"));
    setText(this.#counter, String(count));
    setText(this.#origin, memberOf(field, "origin") ?? origin);
    setText(this.#region, memberOf(field, "region") ?? region);
    setText(this.#reason, shown(memberOf(field, "reason")));
    this.#notice(this.#origin.textContent ?? origin);
  }

  #notice(origin: string): void {
    if (this.#last !== undefined && this.#last !== origin) this.#journal.write(`Your own session moved from ${this.#last} to ${origin}.`);
    if (this.#last === undefined) this.#journal.write(`${origin} serves your own session.`);
    this.#last = origin;
  }

  #place(): Place {
    return PLACES.find(({ id }) => id === this.#location.value) ?? PARIS;
  }
}

function optionOf({ id, name }: Place): HTMLOptionElement {
  const option = make("option", "", name);
  option.value = id;
  return option;
}

function dictionaryIn(field: string | null): Dictionary {
  try {
    return parseDictionary(field ?? "");
  } catch {
    // Not ours; the body says enough.
    return new Map();
  }
}

function memberOf(field: Dictionary, name: string): string | undefined {
  const value = field.get(name)?.[0];
  return value === undefined || Array.isArray(value) ? undefined : String(value);
}
