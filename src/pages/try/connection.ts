// Shows whether the editor's one WebSocket is open, and counts how often it was lost since the page was loaded.

import type { WebsocketProvider } from "y-websocket";
import { byId, setText, setTone, type Tone } from "../shared/dom.ts";
import type { Journal } from "../shared/journal.ts";
import { counted } from "../shared/words.ts";

/** A loss this recent may belong to a move that is only seen now. */
const STEADY_AFTER_MS = 15_000;

type Status = "connected" | "connecting" | "disconnected";

const TONES: Readonly<Record<Status, Tone>> = { connected: "good", connecting: "warn", disconnected: "bad" };

export class ConnectionIndicator {
  readonly #status = byId("conn-status", HTMLElement);
  readonly #lost = byId("conn-lost", HTMLElement);
  readonly #journal: Journal;
  #isConnected = false;
  #lostCount = 0;
  #lostAtMs = -Infinity;

  constructor(provider: WebsocketProvider, journal: Journal) {
    this.#journal = journal;
    provider.on("status", ({ status }: { status: Status }) => this.#show(status));
  }

  /** Open, and not lost of late. */
  get isSteady(): boolean {
    return this.#isConnected && performance.now() - this.#lostAtMs > STEADY_AFTER_MS;
  }

  #show(status: Status): void {
    if (this.#isConnected && status !== "connected") {
      this.#lostCount += 1;
      this.#lostAtMs = performance.now();
      this.#journal.write("Your connection was lost; trying again.");
    }
    if (!this.#isConnected && status === "connected") this.#journal.write("You are connected.");
    this.#isConnected = status === "connected";
    setText(this.#status, status);
    setTone(this.#status, TONES[status]);
    setText(this.#lost, `connection lost: ${counted(this.#lostCount, "time")}`);
  }
}
