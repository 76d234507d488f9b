// A ring's moves between carriers, a state and a choice that are played: each session's two phases are recorded, with when they came.

import type { LeaveItem, Placement } from "../../src/core/protocol.ts";
import type { SnapshotOrigin } from "../../src/core/snapshot.ts";
import { delay } from "../../src/platform/limits.ts";
import { Pace } from "../../src/platform/pace.ts";
import { MoveLog } from "../../src/platform/move-log.ts";
import { Moves } from "../../src/platform/ring-moves.ts";
import type { Choice, Wish } from "../../src/platform/ring-placing.ts";
import { guestId, SessionTable, type Coming, type LiveRow } from "../../src/platform/ring-table.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

export interface Carrier {
  leaveMs: number;
  enterMs: number;
  /** Calls that are never answered. */
  readonly silent: Set<"leave" | "enter" | "weigh">;
  readonly absent: Set<string>;
  readonly failed: Set<string>;
  /** Left by plan, and not yet there. */
  readonly between: Set<string>;
  mostBetween: number;
}

export interface Phase {
  readonly what: "leave" | "enter" | "expel";
  readonly keyHash: string;
  readonly fence: number;
  readonly to: string;
  readonly planned: boolean;
  readonly atMs: number;
}

export interface Spec {
  readonly connections: number;
  readonly frames: number;
  readonly slice: number;
}

export const CLOSE_DEADLINE_MS = 1_000;

export class MovesWorld {
  readonly clock = new VirtualClock();
  readonly startMs = this.clock.nowMs;
  readonly live = new SessionTable<LiveRow>((row) => row.keyHash);
  readonly coming = new SessionTable<Coming>(guestId);
  readonly moving = new Map<string, Promise<void>>();
  readonly byId = new Map<string, SnapshotOrigin>();
  readonly carriers: Carrier[] = [];
  readonly specs = new Map<string, Spec>();
  readonly phases: Phase[] = [];
  readonly released: string[] = [];
  readonly dropped: string[] = [];
  readonly unread: number[] = [];
  /** Sessions whose next death is one too many. */
  readonly doomed = new Set<string>();
  readonly pace: Pace;
  readonly moves: Moves;
  #fence = 1_000;

  constructor(perSecond: number, specs: readonly Spec[]) {
    this.pace = new Pace(() => perSecond);
    for (const id of ["o0", "o1", "o2"]) this.becomes(id, {});
    for (const [index, spec] of specs.entries()) this.#add(`k${index}`, spec);
    const state = {
      name: { pool: "p", region: "weur", generation: 1 },
      config: { regions: { weur: {} }, routes: [] },
      pool: { id: "p", carriers: SLICES, closeDeadlineMs: CLOSE_DEADLINE_MS },
      live: this.live,
      coming: this.coming,
      fence: (seen = 0) => (this.#fence = Math.max(this.#fence, seen) + 1),
      view: { snapshot: { epoch: 1, origins: [] }, byId: this.byId },
      viewOfRegion: () => ({ byId: this.byId }),
      ringPlaceOf: () => "o1",
      reconcilePins: () => undefined,
      end: (rows: readonly LiveRow[]) => {
        for (const { keyHash } of rows) this.live.delete(keyHash);
        this.dropped.push(...rows.map(({ keyHash }) => keyHash));
      },
    };
    const placing = {
      moving: this.moving,
      pace: this.pace,
      choose: (wish: Wish) => this.#choose(wish),
      placementOf: (row: LiveRow): Placement => ({ ...row, url: "", replicas: [] }),
      urlOf: () => "",
      release: async (rows: readonly LiveRow[]) => void this.released.push(...rows.map(guestId)),
    };
    const isDoomed = ({ keyHash }: LiveRow): boolean => this.doomed.has(keyHash);
    const quarantine = { of: () => undefined, isSuspect: isDoomed, blame: (rows: readonly LiveRow[]) => rows.filter(isDoomed) };
    const env = {
      CARRIER: { idFromName: (name: string) => name, get: (name: string) => this.#stub(Number(name.split("/").at(-1))) },
    };
    const tables = { unread: (slice: number) => void this.unread.push(slice) };
    this.moves = new Moves({ env, state, placing, tables, quarantine, log: new MoveLog(state.name) } as never); // as much of each as moves ask for
  }

  becomes(id: string, change: Partial<SnapshotOrigin>): void {
    const full = { from: 1, to: 1, startAtMs: 0, endAtMs: 0 };
    const origin = {
      id,
      url: "",
      weight: 1,
      salt: 0,
      backup: false,
      lifecycle: "active",
      closed: false,
      health: "healthy",
      ejectedUntilMs: 0,
    } as const;
    this.byId.set(id, { ...origin, share: full, ...change });
  }

  rows(origin = "o0"): LiveRow[] {
    return this.live.rows((row) => row.origin === origin);
  }

  of(keyHash: string): Phase[] {
    return this.phases.filter((phase) => phase.keyHash === keyHash);
  }

  /** When a session's phases came, since the beginning. */
  timesOf(keyHash: string): [what: string, ms: number][] {
    return this.of(keyHash).map(({ what, atMs }) => [what, atMs - this.startMs]);
  }

  #add(keyHash: string, spec: Spec): void {
    this.specs.set(keyHash, spec);
    this.live.set({
      keyHash,
      position: 1,
      lot: spec.slice,
      keyed: true,
      origin: "o0",
      region: "weur",
      fence: this.#fence++,
      epoch: 1,
      reason: "owner",
    });
    this.carriers[spec.slice] ??= {
      leaveMs: 10,
      enterMs: 10,
      silent: new Set(),
      absent: new Set(),
      failed: new Set(),
      between: new Set(),
      mostBetween: 0,
    };
  }

  /** The first that may take it, at its pace. */
  async #choose(wish: Wish): Promise<Choice> {
    const ids = [...this.byId.keys()].filter((id) => !wish.excluded.has(id) && id !== wish.from && this.byId.get(id)?.health === "healthy");
    const origin = ids[0];
    if (origin === undefined) return { kind: "refused", why: "no-origin", epoch: 1 };
    const waitMs = this.pace.take(origin, wish.tokens?.count ?? 1, wish.tokens?.urgent ?? false, Date.now());
    if (waitMs === undefined) return { kind: "later" };
    this.coming.set({ keyHash: wish.keyHash, fence: wish.fence, origin });
    return { kind: "routed", origin, region: "weur", epoch: 1, reason: "next", waitMs };
  }

  #stub(slice: number): object {
    const carrier = this.carriers[slice];
    if (!carrier) throw new Error(`nobody is carried by ${slice}`);
    const answered = (call: "leave" | "enter" | "weigh", ms: number): Promise<unknown> =>
      carrier.silent.has(call) ? new Promise(() => undefined) : delay(ms);
    const note = (what: Phase["what"], keyHash: string, fence = 0, to = "", planned = false): void =>
      void this.phases.push({ what, keyHash, fence, to, planned, atMs: Date.now() });
    return {
      weigh: async (keys: readonly string[], forMs: number) => {
        await answered("weigh", forMs);
        return keys.map((keyHash) => ({ keyHash, ...this.specs.get(keyHash) }));
      },
      leave: async (items: readonly LeaveItem[]) => {
        for (const { keyHash, fence, planned } of items) {
          note("leave", keyHash, fence, "", planned);
          if (planned) carrier.between.add(keyHash);
        }
        carrier.mostBetween = Math.max(carrier.mostBetween, carrier.between.size);
        await answered("leave", carrier.leaveMs);
        return items.map(({ keyHash }) => ({ keyHash, connections: this.specs.get(keyHash)?.connections ?? 1, reached: true }));
      },
      enter: async (placements: readonly Placement[]) => {
        for (const { keyHash, fence, origin } of placements) note("enter", keyHash, fence, origin);
        await answered("enter", carrier.enterMs);
        const keys = placements.map(({ keyHash }) => keyHash);
        for (const key of keys) carrier.between.delete(key);
        return { absent: keys.filter((key) => carrier.absent.has(key)), failed: keys.filter((key) => carrier.failed.has(key)) };
      },
      expel: async (keys: readonly string[]) => keys.forEach((key) => note("expel", key)),
    };
  }
}

export const SLICES = 2;
