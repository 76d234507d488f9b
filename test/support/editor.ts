// A person editing a shared document: y-websocket's own provider over a real socket, with everything it says about its connection kept.

import { WebsocketProvider } from "y-websocket";
import WebSocket from "ws";
import * as Y from "yjs";
import { eventually } from "./stack.ts";

process.setMaxListeners(0); // every provider listens for the process's end

export interface Editor {
  readonly provider: WebsocketProvider;
  readonly text: Y.Text;
  /** Every status the provider reported, in order. */
  readonly statuses: readonly string[];
  type(words: string): void;
  /** Names of everyone whose cursor this editor sees, itself included. */
  seen(): string[];
  /** Names whose cursor vanished at some time, as this editor saw it. */
  readonly vanished: readonly string[];
  close(): void;
}

export async function openEditor(wsUrl: string, room: string, name: string, cf?: object): Promise<Editor> {
  const doc = new Y.Doc();
  const headers = cf ? { "limpet-dev-cf": JSON.stringify(cf) } : {};
  class Socket extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols, { headers });
    }
  }
  // Without the broadcast channel, two editors of one process would talk past the router.
  const provider = new WebsocketProvider(`${wsUrl}/collab`, room, doc, { WebSocketPolyfill: Socket as never, disableBc: true });
  const statuses: string[] = [];
  provider.on("status", ({ status }) => statuses.push(status));
  provider.awareness.setLocalStateField("user", { name });
  const names = new Map<number, string>();
  const vanished: string[] = [];
  provider.awareness.on("change", ({ added, updated, removed }: { added: number[]; updated: number[]; removed: number[] }) => {
    for (const id of [...added, ...updated]) names.set(id, provider.awareness.getStates().get(id)?.["user"]?.name ?? "?");
    for (const id of removed) if (id !== doc.clientID) vanished.push(names.get(id) ?? String(id));
  });
  await eventually(`${name} is connected and in sync`, () => provider.wsconnected && provider.synced);
  const text = doc.getText("text");
  return {
    provider,
    text,
    statuses,
    vanished,
    type: (words) => text.insert(text.length, words),
    seen: () => [...provider.awareness.getStates().values()].map((state) => state["user"]?.name ?? "?").toSorted((a, b) => a.localeCompare(b)),
    close: () => {
      provider.destroy();
      doc.destroy();
    },
  };
}

/** All editors show the same text, and it contains every one of these words. */
export async function converged(editors: readonly Editor[], words: readonly string[]): Promise<void> {
  await eventually("all editors show one text with every edit", () => {
    const texts = editors.map((editor) => editor.text.toString());
    return texts.every((text) => text === texts[0]) && words.every((word) => texts[0]?.includes(word));
  });
}
