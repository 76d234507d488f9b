// What operators ask of a ring and order it to do: its status, drains, where a session is. The ring object passes each of them on here once its
// tables are read, or too late to be waited for.

import { newDrain } from "../core/lifecycle.ts";
import { sliceOf } from "../core/names.ts";
import type { Env, Settings } from "./env.ts";
import { PULL_TIMEOUT_MS, within } from "./limits.ts";
import type { OutcomeSums } from "./outcomes.ts";
import type { Moves } from "./ring-moves.ts";
import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import { describeOrigin, describeSession, type OriginStatus, type RingStatus, type SessionStatus } from "./ring-status.ts";
import type { RingTables } from "./ring-tables.ts";
import type { Upkeep } from "./ring-upkeep.ts";
import { carrierStub } from "./stubs.ts";

/** What of the ring object operators look into, and work with. */
interface Ring {
  readonly env: Env;
  readonly settings: Settings;
  readonly state: RingState;
  readonly tables: RingTables;
  readonly placing: Placing;
  readonly upkeep: Upkeep;
  readonly moves: Moves;
  readonly quarantine: Quarantine;
  readonly outcomes: OutcomeSums;
  /** Tells everyone who holds a copy of what has changed. */
  readonly announce: () => void;
}

export class Operators {
  readonly #ring: Ring;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  status(): RingStatus {
    const { state, tables, moves, placing, quarantine } = this.#ring;
    const { pool, region, generation, epoch, configRevision, hintsVersion, origins } = state.view.snapshot;
    const connections = tables.connectionsByOrigin();
    return {
      pool,
      region,
      generation,
      epoch,
      configRevision,
      hintsVersion,
      orders: state.orderCount,
      sessions: state.live.size,
      waiting: moves.waitingCount,
      moving: placing.moving.size,
      moved: moves.movedCounts(),
      ...tables.tally(),
      quarantined: quarantine.held(Date.now()),
      connections: [...connections.values()].reduce((sum, count) => sum + count, 0),
      connectionsByOrigin: Object.fromEntries(connections),
      origins: origins.map((origin) => this.origin(origin.id)).filter((origin) => origin !== undefined),
    };
  }

  drain(origin: string): OriginStatus | undefined {
    const { state, announce, upkeep } = this.#ring;
    if (state.view.byId.has(origin) && !state.drainOf(origin)) {
      state.setDrain(origin, newDrain(Date.now()));
      announce();
      upkeep.leaveLost();
    }
    return this.origin(origin);
  }

  undrain(origin: string): OriginStatus | undefined {
    const { state, announce } = this.#ring;
    if (state.view.byId.has(origin) && state.drainOf(origin)) {
      state.setDrain(origin, undefined);
      announce();
    }
    return this.origin(origin);
  }

  origin(id: string): OriginStatus | undefined {
    const { state, tables, outcomes } = this.#ring;
    const origin = state.view.byId.get(id);
    if (!origin) return undefined;
    const counted = { sessions: state.loadOf(id), connections: tables.connectionsByOrigin().get(id) ?? 0, outcomes: outcomes.of(id) };
    return describeOrigin(origin, state.name.region, counted, Date.now());
  }

  async session(keyHash: string): Promise<SessionStatus | undefined> {
    const { env, settings, state, placing } = this.#ring;
    const row = state.live.get(keyHash);
    if (!row) return undefined;
    const carrier = carrierStub(env, settings.config, state.name, sliceOf(row.lot, state.pool.carriers));
    const connections = await within(carrier.connectionsOf(keyHash), PULL_TIMEOUT_MS, "connections").catch(() => 0);
    return describeSession(row, connections, placing.moving.has(keyHash));
  }
}
