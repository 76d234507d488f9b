// The panel "Who serves this document": its owner, why, and a note when it moves.

import { byId, setText } from "../shared/dom.ts";
import type { Journal } from "../shared/journal.ts";
import type { Session } from "../shared/shapes.ts";
import { reasonSentence, shown, UNKNOWN } from "../shared/words.ts";

/** Long enough to be read twice. */
const NOTE_SHOWN_MS = 12_000;

export class ServingPanel {
  readonly #origin = byId("doc-origin", HTMLElement);
  readonly #why = byId("doc-why", HTMLElement);
  readonly #region = byId("doc-region", HTMLElement);
  readonly #reason = byId("doc-reason", HTMLElement);
  readonly #epoch = byId("doc-epoch", HTMLElement);
  readonly #fence = byId("doc-fence", HTMLElement);
  readonly #connections = byId("doc-connections", HTMLElement);
  readonly #note = byId("moved", HTMLElement);
  readonly #journal: Journal;
  #noteTimer: ReturnType<typeof setTimeout> | undefined;
  #last: string | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** `undefined`: the session is not live. `isSteady`: the visitor's connection has not been lost of late. */
  show(session: Session | undefined, isSteady: boolean): void {
    const reason = session?.reason ?? "";
    setText(this.#origin, shown(session?.origin));
    setText(this.#why, session === undefined ? "not live yet" : reasonSentence(reason));
    setText(this.#region, shown(session?.region));
    setText(this.#reason, shown(reason));
    setText(this.#epoch, shown(session?.epoch));
    setText(this.#fence, shown(session?.fence));
    setText(this.#connections, session === undefined ? UNKNOWN : String(session.connections));
    if (typeof session?.origin === "string") this.#notice(session.origin, isSteady);
  }

  #notice(origin: string, isSteady: boolean): void {
    const last = this.#last;
    this.#last = origin;
    if (last === undefined) this.#journal.write(`${origin} serves this document.`);
    else if (last !== origin) this.#sayMoved(last, origin, isSteady);
  }

  #sayMoved(from: string, to: string, stayedOpen: boolean): void {
    const sentence = `The document moved from ${from} to ${to}, your connection ${stayedOpen ? "stayed open" : "was opened again"}.`;
    this.#journal.write(sentence);
    setText(this.#note, sentence);
    this.#note.dataset["tone"] = stayedOpen ? "good" : "warn";
    this.#note.dataset["shown"] = "true";
    clearTimeout(this.#noteTimer);
    this.#noteTimer = setTimeout(() => {
      this.#note.dataset["shown"] = "false";
      setText(this.#note, "");
    }, NOTE_SHOWN_MS);
  }
}
