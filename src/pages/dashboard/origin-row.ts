// One origin's row: who it is, its lifecycle and health (two independent facts), its share and load.

import { make, setText, setTone } from "../shared/dom.ts";
import type { Origin } from "../shared/shapes.ts";
import { toneOf } from "../shared/words.ts";

export interface OriginRow {
  readonly element: HTMLElement;
  readonly url: HTMLElement;
  readonly backup: HTMLElement;
  readonly maintenance: HTMLElement;
  readonly state: HTMLElement;
  readonly health: HTMLElement;
  readonly weight: HTMLElement;
  readonly bar: HTMLElement;
  readonly share: HTMLElement;
  readonly sessions: HTMLElement;
  readonly connections: HTMLElement;
}

export function newRow({ id }: Origin): OriginRow {
  const [url, backup, maintenance] = [make("p", "origin-url"), make("span", "tag", "backup"), make("span", "tag", "maintenance")];
  const [state, health] = [make("span", "badge"), make("span", "badge")];
  const [weight, sessions, connections] = [make("span", "number"), make("span", "number"), make("span", "number")];
  const [bar, share] = [make("span", "share-bar"), make("span", "number")];
  const head = make("th", "", make("p", "origin-name", id, backup, maintenance), url);
  head.scope = "row";
  const element = make(
    "tr",
    "",
    head,
    cell("State", state),
    cell("Health", health),
    cell("Weight", weight, "right"),
    cell("Share", make("span", "share", bar, share)),
    cell("Sessions", sessions, "right"),
    cell("Connections", connections, "right"),
  );
  element.dataset["testid"] = `origin-${id}`;
  return { element, url, backup, maintenance, state, health, weight, bar, share, sessions, connections };
}

export function showRow(row: OriginRow, origin: Origin): void {
  setText(row.url, origin.url.replace(/^https?:\/\//, ""));
  row.url.title = origin.url;
  row.backup.hidden = !origin.backup;
  row.maintenance.hidden = !origin.maintenance;
  setText(row.state, origin.state);
  setTone(row.state, toneOf(origin.state));
  setText(row.health, origin.health);
  setTone(row.health, toneOf(origin.health));
  setText(row.weight, String(origin.weight));
  const share = Math.min(1, Math.max(0, origin.share));
  row.bar.style.setProperty("--share", String(share));
  setText(row.share, `${Math.round(share * 100)}%`);
  const endsAtMs = origin.shareEndsAtMs ?? 0;
  row.share.title = endsAtMs > Date.now() ? `on its way until ${new Date(endsAtMs).toLocaleTimeString()}` : "";
  setText(row.sessions, String(origin.sessions));
  setText(row.connections, String(origin.connections));
}

/** The label is shown where the table becomes a list (narrow screens). */
function cell(label: string, content: Node, className = ""): HTMLTableCellElement {
  const element = make("td", className, content);
  element.dataset["label"] = label;
  return element;
}
