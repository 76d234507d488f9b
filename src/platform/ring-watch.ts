// What follows from what a ring object observes of its origins: a joiner takes sessions, one that fails is passed by and left, one that comes back takes more
// and more, an origin's own word is obeyed. Each change is one epoch and one line of the journal.

import { afterWord, SILENT, wordPolicy, type AgentState, type AgentWord } from "../core/agent-words.ts";
import { afterTold, canSpare, chargeOf, nextEjection, UNWATCHED, type Charge, type Told, type Watched } from "../core/ejection.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { TOLD_LATE_MS } from "./limits.ts";
import type { Probed, Prober } from "./ring-health.ts";
import type { Journal } from "./ring-journal.ts";
import type { RingObserved } from "./ring-observed.ts";
import type { RingState } from "./ring-state.ts";

/** What of the ring object changes are made with. */
interface Ring {
  readonly state: RingState;
  readonly prober: Prober;
  readonly journal: Journal;
  /** By the origin's own word. */
  readonly drain: (origin: string, drains: boolean) => void;
  /** Sessions of origins that take none any more leave, and everyone who holds a copy is told. */
  readonly leaveLost: () => void;
  readonly announce: () => void;
  /** In the background. */
  readonly goOn: (work: Promise<void>) => void;
}

type Note = Parameters<Journal["note"]>[0];

export class RingWatch {
  readonly #ring: Ring;
  readonly #words = new Map<string, AgentState>();
  readonly #watched = new Map<string, Watched>();
  /** Of origins that have come back: until then Workers tell of the time before. */
  readonly #deafUntilMs = new Map<string, number>();

  constructor(ring: Ring) {
    this.#ring = ring;
    for (const [id, { ejection }] of this.#observed.all()) if (ejection && ejection.endedAtMs === undefined) ring.prober.lookAt(id, ejection.untilMs);
  }

  /** A check has been answered, or not. */
  probed(id: string, probed: Probed): void {
    const nowMs = Date.now();
    if (probed.status !== probed.before) return probed.status === "down" ? this.#fallen(id, nowMs) : this.#returned(id, probed.word, nowMs);
    const { ejection, joining } = this.#observed.of(id);
    const isTried = ejection && ejection.endedAtMs === undefined && probed.beganAtMs >= ejection.untilMs;
    if (isTried && probed.status === "healthy" && !probed.ok) return this.#eject(id, ejection.why, nowMs);
    if (isTried && probed.ok) return this.#returned(id, probed.word, nowMs);
    if (joining && probed.ok && probed.status === "healthy") return this.#joined(id, probed.word, nowMs);
    if (probed.ok && probed.status === "healthy") this.#heard(id, probed.word, nowMs);
  }

  /** What an isolate has seen of our origins, in one window. Of several that are charged one after the other, as long as the region can spare them. */
  told(window: Readonly<Record<string, Told>>): void {
    const nowMs = Date.now();
    const { pool, view } = this.#ring.state;
    const known = Object.entries(window).filter(([id]) => view.byId.has(id) && nowMs >= (this.#deafUntilMs.get(id) ?? 0));
    for (const [id, told] of known) this.#watched.set(id, afterTold(this.#watchedOf(id), told, nowMs));
    for (const [id] of known) {
      const others = view.snapshot.origins.filter((origin) => origin.id !== id).map((origin) => this.#watchedOf(origin.id));
      const why = chargeOf(this.#watchedOf(id), others, pool.ejection, nowMs);
      if (why) this.#charged(id, why, nowMs);
    }
  }

  /** Forgets origins that the ring has no more. */
  keep(isKnown: (id: string) => boolean): void {
    for (const table of [this.#words, this.#watched, this.#deafUntilMs]) for (const id of table.keys()) if (!isKnown(id)) table.delete(id);
  }

  get #observed(): RingObserved {
    return this.#ring.state.layers.observed;
  }

  #watchedOf(id: string): Watched {
    return this.#watched.get(id) ?? UNWATCHED;
  }

  #originOf(id: string): SnapshotOrigin | undefined {
    return this.#ring.state.view.byId.get(id);
  }

  /** One epoch, and the journal's lines of it. */
  #change(write: (observed: RingObserved) => void, ...notes: readonly Note[]): void {
    const { state, journal } = this.#ring;
    state.layers.observe(write);
    const { pool, region, epoch } = state.view.snapshot;
    for (const note of notes) {
      journal.note(note);
      console.log(JSON.stringify({ limpet: "health", pool, region, origin: note.origin, health: note.what, epoch }));
    }
    this.#ring.announce();
  }

  #fallen(id: string, nowMs: number): void {
    this.#change(
      (observed) => {
        observed.setDown(id, true, nowMs);
        this.#endEjection(id, nowMs);
      },
      { what: "down", who: "limpet", origin: id, why: "its checks fail" },
    );
    this.#watched.delete(id);
    this.#ring.leaveLost();
    this.#ring.goOn(this.#ring.prober.sweep(id));
  }

  /** From down, or from an ejection. What it says of itself counts at once: nothing else is known of it. */
  #returned(id: string, word: AgentWord, nowMs: number): void {
    const { state } = this.#ring;
    const { joining } = this.#observed.of(id);
    this.#deafUntilMs.set(id, nowMs + TOLD_LATE_MS);
    this.#watched.delete(id);
    const told = this.#accept(id, word, nowMs);
    this.#change(
      (observed) => {
        observed.setDown(id, false, nowMs);
        this.#endEjection(id, nowMs);
        observed.change(id, { joining: undefined, ...told.change });
        observed.restart(id, state.view.snapshot.origins, nowMs);
      },
      { what: joining ? "active" : "healthy", who: "limpet", origin: id, why: "its checks are well" },
      ...told.notes,
    );
    told.obey();
  }

  #joined(id: string, word: AgentWord, nowMs: number): void {
    const { state } = this.#ring;
    const told = this.#accept(id, word, nowMs);
    this.#change(
      (observed) => {
        observed.change(id, { joining: undefined, ...told.change });
        observed.restart(id, state.view.snapshot.origins, nowMs);
      },
      { what: "active", who: "limpet", origin: id, why: "its first check is well" },
      ...told.notes,
    );
    told.obey();
  }

  // — what Workers and carriers tell —

  #charged(id: string, why: Charge, nowMs: number): void {
    const { pool, view } = this.#ring.state;
    const { health, lifecycle } = this.#originOf(id) ?? {};
    const { ejection } = this.#observed.of(id);
    if (health === "down" || lifecycle === "joining" || lifecycle === "drained" || (ejection && ejection.endedAtMs === undefined)) return;
    const slowOnes = [...this.#observed.all().values()].filter((each) => each.ejection?.why === "slow" && each.ejection.endedAtMs === undefined);
    if (why === "slow" && slowOnes.length > 0) return;
    if (!canSpare(view.snapshot.origins, id, { maxShare: pool.ejection.maxShare, panicShare: pool.panicShare }, nowMs)) return;
    this.#eject(id, why, nowMs);
  }

  /** Its sessions leave as by plan, but at once; nobody is blamed for it. */
  #eject(id: string, why: Charge, nowMs: number): void {
    const { ejection: policy, health, horizonMs, slowStart } = this.#ring.state.pool;
    const backOff = { baseMs: policy.baseMs, returnMs: health.timeoutMs + horizonMs + slowStart.windowMs };
    const ejection = nextEjection(this.#observed.of(id).ejection, why, backOff, nowMs);
    const forMs = ejection.untilMs - nowMs;
    this.#change(
      (observed) => {
        observed.fell(id, nowMs);
        observed.change(id, { ejection });
      },
      { what: "ejected", who: "limpet", origin: id, why: `${CHARGES[why]}; for ${forMs} ms, ${ejection.times} in a row` },
    );
    this.#watched.delete(id);
    this.#ring.prober.lookAt(id, ejection.untilMs);
    this.#ring.leaveLost();
  }

  #endEjection(id: string, nowMs: number): void {
    const { ejection } = this.#observed.of(id);
    if (ejection && ejection.endedAtMs === undefined) this.#observed.change(id, { ejection: { ...ejection, endedAtMs: nowMs } });
  }

  // — what an origin says of itself —

  #heard(id: string, word: AgentWord, nowMs: number): void {
    const { pool } = this.#ring.state;
    const before = this.#words.get(id) ?? { ...SILENT, accepted: this.#observed.of(id).word ?? SILENT.accepted };
    const after = afterWord(before, word, wordPolicy(pool.health.rise, pool.slowStart.windowMs), nowMs);
    this.#words.set(id, after);
    if (after.accepted === before.accepted) return;
    const told = this.#accept(id, after.accepted, nowMs, after);
    this.#change(
      (observed) => {
        observed.change(id, told.change);
        if (after.accepted.share !== before.accepted.share) observed.aim(id, nowMs);
      },
      ...told.notes,
    );
    told.obey();
  }

  /** What has to be recorded and told where a word counts from now on, and what to do when that is done. */
  #accept(id: string, word: AgentWord, nowMs: number, state: AgentState = { accepted: word, changedAtMs: nowMs }): Accepted {
    const before = this.#observed.of(id).word ?? SILENT.accepted;
    this.#words.set(id, state);
    const note = (what: string, why?: string): Note => ({ what, who: "origin", origin: id, why });
    return {
      change: { word: isReady(word) ? undefined : { ...word, down: false } },
      notes: [
        ...(word.maintenance === before.maintenance ? [] : [note(word.maintenance ? "maintenance" : "ready")]),
        ...(word.share === before.share ? [] : [note("share", `${Math.round(before.share * 100)} % → ${Math.round(word.share * 100)} %`)]),
      ],
      obey: () => {
        // Once, when the word begins or ends: an operator's undrain holds, and of a drain only the word's own is taken back.
        if (word.drain !== before.drain) this.#ring.drain(id, word.drain);
      },
    };
  }
}

interface Accepted {
  readonly change: Parameters<RingObserved["change"]>[1];
  readonly notes: readonly Note[];
  readonly obey: () => void;
}

const CHARGES: Readonly<Record<Charge, string>> = {
  unreached: "requests do not reach it",
  errors: "it answers requests with errors",
  slow: "it answers far later than the others, and than it did",
};

function isReady({ maintenance, drain, share }: AgentWord): boolean {
  return !maintenance && !drain && share === 1;
}
