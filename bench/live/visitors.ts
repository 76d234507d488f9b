// A load generator's process, as the phases of the benchmark ask it. Whatever is not as expected ends the benchmark: a refused handshake, an
// answer that is not what was sent, a connection that closed.

import { ask, startScript, type Running } from "../harness/processes.ts";
import type { Outcome, Task } from "./driving.ts";

/** Beyond what a task is to take. */
const SPARE_MS = 90_000;

export class Visitors {
  readonly running: Running;

  constructor(script = "load.ts") {
    this.running = startScript(new URL(script, import.meta.url));
  }

  open(name: string, port: number, connections: number): Promise<Outcome> {
    return this.#ask({ kind: "open", name, port, connections });
  }

  /** Round trips for a while, each connection's next after its last, and at least one; `every` so-many-th connection, `burst` payloads at once. */
  drive(name: string, payloadBytes: number, forMs: number, { every = 1, burst = 1 } = {}): Promise<Outcome> {
    return this.#ask({ kind: "drive", name, payloadBytes, burst, forMs, every });
  }

  /** So many more, one after the other: how long each takes to be open and answered. */
  meet(name: string, port: number, payloadBytes: number, connections: number): Promise<Outcome> {
    return this.#ask({ kind: "meet", name, port, payloadBytes, connections });
  }

  /** One round trip of each, one after the other. */
  turns(name: string, payloadBytes: number): Promise<Outcome> {
    return this.#ask({ kind: "turns", name, payloadBytes });
  }

  close(name: string): Promise<Outcome> {
    return this.#ask({ kind: "close", name });
  }

  async #ask(task: Task): Promise<Outcome> {
    const outcome = await ask<Outcome>(this.running.child, task, SPARE_MS + (task.kind === "drive" ? task.forMs : 0));
    const [first] = outcome.faults;
    if (first !== undefined) throw new Error(`${task.name}, ${task.kind}: ${outcome.faults.length} faults, the first:\n${first}`);
    return outcome;
  }
}
