// What the store keeps for listeners: of each session that has one, the events that there were, numbered from 1 on, whoever serves the session
// just then. From it any origin can go on with a stream that another began. Pure.

export interface LogEntry {
  readonly event: number;
  readonly atMs: number;
}

export class Logs {
  readonly #logs = new Map<number, LogEntry[]>();

  append(session: number, atMs: number): LogEntry {
    const log = this.#logs.get(session) ?? [];
    this.#logs.set(session, log);
    const entry = { event: log.length + 1, atMs };
    log.push(entry);
    return entry;
  }

  /** All that came after an event. */
  after(session: number, event: number): readonly LogEntry[] {
    return this.#logs.get(session)?.slice(event) ?? [];
  }

  /** The number of the last event; 0: there is none. `beforeMs`: the last before then. */
  head(session: number, beforeMs = Infinity): number {
    return this.#logs.get(session)?.findLast(({ atMs }) => atMs < beforeMs)?.event ?? 0;
  }
}
