// The origins as processes, and the store behind them, which is here: started, killed, stopped and woken by their ids.

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { orEnded } from "../processes.ts";
import type { Ledger } from "./ledger.ts";
import type { Logs } from "./logs.ts";
import type { Commit, FromOrigin, Manner, ToOrigin } from "./origin.ts";
import type { Store } from "./store.ts";
import type { Streams } from "./streams.ts";

const ORIGIN = fileURLToPath(new URL("origin.ts", import.meta.url));

interface Member {
  /** Kept when it is started again. */
  port: number;
  child: ChildProcess;
}

/** What origins tell of, and are told by. */
export interface Books {
  readonly store: Store;
  readonly logs: Logs;
  readonly ledger: Ledger;
  readonly streams: Streams;
}

/** A stream that an origin has open for a listener. */
interface Listening {
  readonly child: ChildProcess;
  readonly stream: number;
}

export class Fleet {
  readonly #folder: string;
  readonly #pushesPerSecond: number;
  readonly #members = new Map<string, Member>();
  readonly #books: Books;
  /** By session. */
  readonly #listening = new Map<number, readonly Listening[]>();

  constructor(folder: string, pushesPerSecond: number, books: Books) {
    this.#folder = folder;
    this.#pushesPerSecond = pushesPerSecond;
    this.#books = books;
  }

  /** Starts an origin, for the first time or again; its port. */
  async start(id: string): Promise<number> {
    const port = this.#members.get(id)?.port ?? 0;
    const child = fork(ORIGIN, [id, String(port), join(this.#folder, `${id}.journal`), String(this.#pushesPerSecond)]);
    const member = { port, child };
    this.#members.set(id, member);
    const ready = Promise.withResolvers<number>();
    child.once("exit", () => this.#forget(child));
    child.on("message", (message: FromOrigin) => {
      if (message.kind === "ready") ready.resolve(message.port);
      else this.#heard(id, child, message);
    });
    member.port = await orEnded(ready.promise, child, `origin ${id}`);
    return member.port;
  }

  /** Something happens that a session's listener is to hear of: it is logged, and whichever origin has the listener is told. */
  publish(session: number): void {
    const entry = this.#books.logs.append(session, Date.now());
    const children = new Set(this.#listening.get(session)?.map(({ child }) => child));
    for (const child of children) tell(child, { kind: "logged", session, entry });
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

  /** How it answers plain requests from now on, until it is started again. */
  behave(id: string, manner: Manner): void {
    tell(this.#member(id).child, { kind: "behave", manner });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#members.keys()].map((id) => this.kill(id)));
  }

  #member(id: string): Member {
    const member = this.#members.get(id);
    if (!member) throw new Error(`there is no origin ${id}`);
    return member;
  }

  /** Nobody listens at a dead one. */
  #forget(dead: ChildProcess): void {
    for (const [session, listening] of this.#listening) {
      this.#listening.set(
        session,
        listening.filter(({ child }) => child !== dead),
      );
    }
  }

  #heard(origin: string, child: ChildProcess, message: Exclude<FromOrigin, { kind: "ready" }>): void {
    const { store, ledger, logs, streams } = this.#books;
    switch (message.kind) {
      case "opened":
        store.claim(message.visitor, message.fence);
        return ledger.legOpened({ ...message, origin });
      case "ended":
        return ledger.legEnded(message.leg, message.pushes, message.atMs);
      case "commit":
        return this.#commit(origin, child, message.frames);
      case "listened": {
        const { session, stream, last, atMs } = message;
        streams.legOpened(session, { origin, atMs });
        this.#listening.set(session, [...(this.#listening.get(session) ?? []), { child, stream }]);
        const joined = last === undefined ? logs.head(session) : undefined;
        return tell(child, { kind: "begin", stream, joined, backlog: last === undefined ? [] : logs.after(session, last) });
      }
      case "unlistened": {
        const others = this.#listening.get(message.session)?.filter((each) => each.child !== child || each.stream !== message.stream);
        return void this.#listening.set(message.session, others ?? []);
      }
      default:
        return message satisfies never;
    }
  }

  #commit(origin: string, child: ChildProcess, frames: readonly Commit[]): void {
    const { store, ledger } = this.#books;
    const nowMs = Date.now();
    const verdicts = frames.map(({ visitor, n, leg, fence }) => {
      const taken = store.take(visitor, { origin, leg, fence }, nowMs);
      if (taken) ledger.handled(visitor, n, nowMs);
      return taken;
    });
    tell(child, { kind: "verdicts", taken: verdicts });
  }
}

/** It may have been killed meanwhile: then nobody waits for this. */
function tell(child: ChildProcess, message: ToOrigin): void {
  if (child.connected) child.send(message, () => {});
}
