// The dashboard: rings, origins, health and live connections, refreshed by itself. Reads `GET /_limpet/v1/rings` and nothing else.
// What must stay true: what is shown is either fresh or visibly stale.

import { ask, bearer } from "../shared/answers.ts";
import { byId, setText, setTone } from "../shared/dom.ts";
import { Journal } from "../shared/journal.ts";
import { Poll } from "../shared/poll.ts";
import { DevShape, RingsShape, type Ring } from "../shared/shapes.ts";
import { changesBetween } from "./changes.ts";
import { RingCards } from "./ring-cards.ts";
import { TokenKeeper } from "./token.ts";

const reach = byId("reach", HTMLElement);
const board = byId("board", HTMLElement);
const cards = new RingCards(byId("rings", HTMLElement));
const journal = new Journal(byId("changes", HTMLElement));
const poll = new Poll(look);
const token = new TokenKeeper(() => poll.start());

let last: readonly Ring[] | undefined;

poll.start();
const dev = await ask("/_limpet/dev.json", DevShape);
byId("try-link", HTMLElement).hidden = dev.kind !== "ok";

async function look(): Promise<void> {
  if (token.isAsking) return;
  const answer = await ask("/_limpet/v1/rings", RingsShape, { headers: bearer(token.value) });
  switch (answer.kind) {
    case "ok":
      token.accept();
      return show(answer.value.rings);
    case "unauthorized":
      token.refuse();
      board.hidden = token.isAsking;
      return say("token needed", "warn");
    case "absent":
    case "failed":
      board.dataset["stale"] = "true";
      return say("not reachable, trying again", "bad");
    default:
      answer satisfies never;
  }
}

function show(rings: readonly Ring[]): void {
  board.hidden = false;
  board.dataset["stale"] = "false";
  say("live", "good");
  cards.show(rings);
  showTotals(rings);
  byId("empty", HTMLElement).hidden = rings.length > 0;
  for (const sentence of last === undefined ? [] : changesBetween(last, rings)) {
    byId("no-changes", HTMLElement).hidden = true;
    journal.write(sentence);
  }
  last = rings;
}

function showTotals(rings: readonly Ring[]): void {
  const origins = rings.flatMap((ring) => ring.origins);
  const ready = origins.filter(({ state, health }) => state === "active" && health === "healthy").length;
  setText(byId("total-ready", HTMLElement), `${ready} of ${origins.length}`);
  setText(byId("total-rings", HTMLElement), String(rings.length));
  setText(byId("total-sessions", HTMLElement), String(sum(rings.map(({ sessions }) => sessions))));
  setText(byId("total-connections", HTMLElement), String(sum(rings.map(({ connections }) => connections))));
}

function say(words: string, tone: "good" | "warn" | "bad"): void {
  setText(reach, words);
  setTone(reach, tone);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
