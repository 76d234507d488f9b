// The shared editor: CodeMirror bound to a Yjs text, over one WebSocket of the plain y-websocket client. Nothing in it knows Limpet:
// that is the point.

import { EditorState } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { tame, type Person } from "./people.ts";

export interface SharedEditor {
  readonly provider: WebsocketProvider;
  text(): string;
}

export function openEditor(parent: HTMLElement, documentName: string, self: Person): SharedEditor {
  const document = new Y.Doc();
  const text = document.getText("text");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  // Windows of one browser could also talk past the router (BroadcastChannel); here every change takes the way through it.
  const provider = new WebsocketProvider(`${scheme}://${location.host}/collab`, encodeURIComponent(documentName), document, { disableBc: true });
  tame(provider.awareness);
  provider.awareness.setLocalStateField("user", self);
  const undoManager = new Y.UndoManager(text);
  new EditorView({
    parent,
    state: EditorState.create({
      doc: text.toString(),
      extensions: [
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "Shared document", spellcheck: "false" }),
        placeholder("Write something, then open a second window…"),
        keymap.of([...yUndoManagerKeymap, { key: "Enter", run: insertLineBreak }]),
        yCollab(text, provider.awareness, { undoManager }),
      ],
    }),
  });
  return { provider, text: () => text.toString() };
}

function insertLineBreak(view: EditorView): boolean {
  view.dispatch(view.state.replaceSelection(view.state.lineBreak), { scrollIntoView: true, userEvent: "input" });
  return true;
}
