// The origins as processes, and the store behind them, which is here: started, killed, stopped and woken by their ids.

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { orEnded } from "../harness/processes.ts";
import type { Ledger } from "./ledger.ts";
import type { FromOrigin, ToOrigin } from "./origin.ts";
import type { Store } from "./store.ts";

const ORIGIN = fileURLToPath(new URL("origin.ts", import.meta.url));

interface Member {
  /** Kept when it is started again. */
  port: number;
  child: ChildProcess;
}

export class Fleet {
  readonly #folder: string;
  readonly #pushesPerSecond: number;
  readonly #members = new Map<string, Member>();
  readonly #store: Store;
  readonly #ledger: Ledger;

  constructor(folder: string, pushesPerSecond: number, store: Store, ledger: Ledger) {
    this.#folder = folder;
    this.#pushesPerSecond = pushesPerSecond;
    this.#store = store;
    this.#ledger = ledger;
  }

  /** Starts an origin, for the first time or again; its port. */
  async start(id: string): Promise<number> {
    const port = this.#members.get(id)?.port ?? 0;
    const child = fork(ORIGIN, [id, String(port), join(this.#folder, `${id}.journal`), String(this.#pushesPerSecond)]);
    const member = { port, child };
    this.#members.set(id, member);
    const ready = Promise.withResolvers<number>();
    child.on("message", (message: FromOrigin) => {
      if (message.kind === "ready") ready.resolve(message.port);
      else this.#heard(id, child, message);
    });
    member.port = await orEnded(ready.promise, child, `origin ${id}`);
    return member.port;
  }

  portOf(id: string): number {
    return this.#member(id).port;
  }

  /** Ends it the hard way; resolves when the process is gone. */
  async kill(id: string): Promise<void> {
    const { child } = this.#member(id);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** It stays, with all its sockets, and does nothing. */
  hang(id: string): void {
    this.#member(id).child.kill("SIGSTOP");
  }

  wake(id: string): void {
    this.#member(id).child.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#members.keys()].map((id) => this.kill(id)));
  }

  #member(id: string): Member {
    const member = this.#members.get(id);
    if (!member) throw new Error(`there is no origin ${id}`);
    return member;
  }

  #heard(origin: string, child: ChildProcess, message: Exclude<FromOrigin, { kind: "ready" }>): void {
    switch (message.kind) {
      case "opened":
        this.#store.claim(message.visitor, message.fence);
        return this.#ledger.legOpened({ ...message, origin });
      case "ended":
        return this.#ledger.legEnded(message.leg, message.pushes, message.atMs);
      case "commit": {
        const nowMs = Date.now();
        const verdicts = message.frames.map(({ visitor, n, leg, fence }) => {
          const taken = this.#store.take(visitor, { origin, leg, fence }, nowMs);
          if (taken) this.#ledger.handled(visitor, n, nowMs);
          return taken;
        });
        // It may have been killed meanwhile: then nobody waits for the answer.
        if (child.connected) child.send(verdicts satisfies ToOrigin, () => {});
        return undefined;
      }
      default:
        return message satisfies never;
    }
  }
}
