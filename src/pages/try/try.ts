// The page to try Limpet: an editor that others share, and beside it who serves it. Start reading here.
// What must stay true: the editor's connection is a plain y-websocket client; all the page knows of Limpet comes from its public API.

import { ask, bearer, type Answer } from "../shared/answers.ts";
import { byId, Children, make, setText } from "../shared/dom.ts";
import { Journal } from "../shared/journal.ts";
import { Poll } from "../shared/poll.ts";
import { DevShape, FleetShape, RingsShape, SessionShape, type Ring } from "../shared/shapes.ts";
import { Actions } from "./actions.ts";
import { ConnectionIndicator } from "./connection.ts";
import { openEditor } from "./editor.ts";
import { knownOrigins, POOL } from "./origins.ts";
import { OwnSession } from "./own-session.ts";
import { friendlyName, personCalled, present, tidyName } from "./people.ts";
import { ServingPanel } from "./serving.ts";
import { Shore } from "./shore.ts";

declare global {
  interface Window {
    /** For tests: what the editor's document says. */
    limpetTry: { text(): string };
  }
}

/** The page is served in dev only, where this is the admin token. */
const TOKEN = "dev";
const NAME_KEPT_AS = "limpet-name";

const query = new URLSearchParams(location.search);
const documentName = query.get("doc") || "limpet-demo";
const self = personCalled(ownName());

const journal = new Journal(byId("journal", HTMLElement));
const editor = openEditor(byId("editor", HTMLElement), documentName, self);
const connection = new ConnectionIndicator(editor.provider, journal);
const serving = new ServingPanel(journal);
const shore = new Shore(byId("shore", HTMLElement));
const poll = new Poll(look);
const actions = new Actions(journal, TOKEN, () => poll.hurry());
const ownSession = new OwnSession(journal);

let control: string | undefined;
let rings: readonly Ring[] = [];
let killed: ReadonlySet<string> = new Set();

window.limpetTry = { text: () => editor.text() };
setText(byId("document-name", HTMLElement), documentName);
byId("open-second", HTMLButtonElement).addEventListener("click", openSecondWindow);
showPeople();
await start();

async function start(): Promise<void> {
  const dev = await ask("/_limpet/dev.json", DevShape);
  control = dev.kind === "ok" ? dev.value.control.replace(/\/$/, "") : undefined;
  poll.start();
  ownSession.start();
}

/** One look at everything that is shown; what fails keeps its last known state. */
async function look(): Promise<void> {
  const headers = bearer(TOKEN);
  const [session, nowRings, fleet] = await Promise.all([
    ask(`/_limpet/v1/sessions/${POOL}/${encodeURIComponent(documentName)}`, SessionShape, { headers }),
    ask("/_limpet/v1/rings", RingsShape, { headers }),
    control === undefined ? undefined : ask(`${control}/fleet`, FleetShape),
  ]);
  if (nowRings.kind === "ok") rings = nowRings.value.rings;
  if (fleet?.kind === "ok") killed = new Set(fleet.value.origins.filter(({ state }) => state === "killed").map(({ id }) => id));
  setText(byId("router-problem", HTMLElement), problemOf(nowRings));
  const origins = knownOrigins(rings, killed);
  if (session.kind === "ok" || session.kind === "absent") {
    const live = session.kind === "ok" ? session.value : undefined;
    serving.show(live, connection.isSteady);
    const here = origins.find(({ id }) => id === live?.origin);
    shore.show(origins, here?.id);
    actions.show({ origins, here, control });
  }
}

function problemOf(answer: Answer<unknown>): string {
  if (answer.kind === "ok") return "";
  return `The router ${answer.kind === "failed" ? answer.sentence : "does not let this page look"}; trying again.`;
}

function showPeople(): void {
  const { awareness } = editor.provider;
  const people = new Children<ReturnType<typeof present>[number], { readonly element: HTMLElement }>(
    byId("people", HTMLElement),
    () => ({ element: make("li") }),
    ({ element }, { person, isSelf }) => {
      setText(element, isSelf ? `${person.name} (you)` : person.name);
      element.style.setProperty("--person", person.color);
    },
  );
  const show = (): void => people.show(present(awareness), ({ id }) => id);
  awareness.on("change", show);
  show();
}

function ownName(): string {
  const name = tidyName(query.get("name") ?? sessionStorage.getItem(NAME_KEPT_AS) ?? "") || friendlyName();
  sessionStorage.setItem(NAME_KEPT_AS, name);
  return name;
}

function openSecondWindow(): void {
  const url = new URL(location.href);
  url.searchParams.set("doc", documentName);
  url.searchParams.set("name", friendlyName());
  window.open(url, "_blank", "popup,noopener,width=1100,height=820");
}
