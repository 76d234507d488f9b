// One card a ring: its versions, its load of late, and a row for each origin.

import { Children, make, setText } from "../shared/dom.ts";
import type { Origin, Ring } from "../shared/shapes.ts";
import { counted, shown } from "../shared/words.ts";
import { nameOf } from "./changes.ts";
import { newRow, showRow, type OriginRow } from "./origin-row.ts";
import { Trend } from "./trend.ts";

interface Card {
  readonly element: HTMLElement;
  readonly load: HTMLElement;
  readonly out: HTMLElement;
  readonly silent: HTMLElement;
  readonly trend: Trend;
  readonly facts: ReadonlyMap<keyof typeof FACTS, HTMLElement>;
  readonly rows: Children<Origin, OriginRow>;
}

/** What a ring says of itself, and the word for it here. */
const FACTS = { epoch: "epoch", generation: "generation", configRevision: "revision", hintsVersion: "hints" } as const;
const FACT_NAMES = ["epoch", "generation", "configRevision", "hintsVersion"] as const;

const COLUMNS = ["Origin", "State", "Health", "Weight", "Share", "Sessions", "Connections"] as const;
const NUMBER_COLUMNS: ReadonlySet<string> = new Set(["Weight", "Sessions", "Connections"]);

export class RingCards {
  readonly #cards: Children<Ring, Card>;

  constructor(parent: HTMLElement) {
    this.#cards = new Children(parent, newCard, showCard);
  }

  show(rings: readonly Ring[]): void {
    this.#cards.show(rings, nameOf);
  }
}

function newCard(ring: Ring): Card {
  const facts = new Map(FACT_NAMES.map((name) => [name, make("b", "number")]));
  const factLine = make("p", "ring-facts", ...[...facts].map(([name, value]) => make("span", "", `${FACTS[name]} `, value)));
  const load = make("p", "muted small number");
  const trend = new Trend();
  const [out, silent] = [make("span", "tag", "out of service"), make("span", "tag", "does not answer")];
  const title = make("h2", "", nameOf(ring), out, silent);
  const body = make("tbody");
  const head = make("tr", "", ...COLUMNS.map(columnHead));
  const table = make("table", "", make("caption", "visually-hidden", `Origins of ${nameOf(ring)}`), make("thead", "", head), body);
  const element = make("article", "card ring", make("header", "ring-head", title, factLine, make("div", "trend", trend.element, load)), table);
  element.dataset["testid"] = `ring-${ring.pool}-${ring.region}`;
  return { element, load, out, silent, trend, facts, rows: new Children(body, newRow, showRow) };
}

function showCard(card: Card, ring: Ring): void {
  for (const [name, element] of card.facts) setText(element, shown(ring[name]));
  setText(card.load, `${counted(ring.sessions, "session")}, ${counted(ring.connections, "connection")}`);
  card.out.hidden = !ring.down;
  card.silent.hidden = !ring.unreachable;
  card.trend.add(ring.connections);
  card.rows.show(ring.origins, ({ id }) => id);
}

function columnHead(name: string): HTMLTableCellElement {
  const cell = make("th", NUMBER_COLUMNS.has(name) ? "right" : "", name);
  cell.scope = "col";
  return cell;
}
