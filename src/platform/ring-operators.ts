// What operators ask of a ring and order it to do: its status, drains, where a session is. The ring object passes each of them on here once its
// tables are read, or too late to be waited for.

import { unavailability } from "../core/availability.ts";
import { registrar, type DrainWish } from "../core/drain.ts";
import { etagOf } from "../core/if-match.ts";
import { originOf } from "../core/lifecycle.ts";
import type { WantedLease } from "../core/membership.ts";
import { sliceOf } from "../core/names.ts";
import type { Env, Settings } from "./env.ts";
import { callsEveryMs, delay, MOVE_WAIT_MS, PULL_TIMEOUT_MS, within } from "./limits.ts";
import type { OutcomeSums } from "./outcomes.ts";
import type { Drains } from "./ring-drains.ts";
import type { Journal } from "./ring-journal.ts";
import type { Leases } from "./ring-leases.ts";
import type { MoveLog } from "./move-log.ts";
import type { Moves } from "./ring-moves.ts";
import type { MemberChange, MemberOutcome, Members } from "./ring-members.ts";
import type { Orders } from "./ring-orders.ts";
import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import {
  describeDrain,
  describeGone,
  describeOrigin,
  describeSession,
  type Counted,
  type OriginStatus,
  type RingStatus,
  type SessionStatus,
} from "./ring-status.ts";
import type { LiveRow } from "./ring-table.ts";
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
  readonly moves: Moves;
  readonly quarantine: Quarantine;
  readonly log: MoveLog;
  readonly outcomes: OutcomeSums;
  readonly orders: Orders;
  readonly members: Members;
  readonly journal: Journal;
  readonly upkeep: Upkeep;
  readonly drains: Drains;
  readonly leases: Leases;
  /** Tells everyone who holds a copy of what has changed. */
  readonly announce: () => void;
  /** Goes on with moves in the background. */
  readonly goOn: (work: Promise<void>) => Promise<void>;
}

/** What goes with an order. */
export interface Asker {
  /** It counts only at one of these entity tags of the ring. */
  readonly ifMatch?: readonly string[] | undefined;
  /** The token may register origins, and order nothing else. */
  readonly registers?: boolean | undefined;
}

export type OrderAnswer =
  | Exclude<MemberOutcome, { kind: "done" }>
  | { readonly kind: "done"; readonly joined: boolean; readonly origin: OriginStatus }
  /** The ring is not as whoever ordered believed: `etag` is its present tag. */
  | { readonly kind: "changed"; readonly etag: string };

export type MoveAnswer =
  | { readonly kind: "told"; readonly session: SessionStatus }
  | { readonly kind: "unknown"; readonly what: "live session" | "origin" }
  | { readonly kind: "unavailable"; readonly why: string };

export class Operators {
  readonly #ring: Ring;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** Whoever has been let in before it was asked is counted: where sessions are being opened their carriers' word of it is waited for. */
  async status(): Promise<RingStatus> {
    const { state, tables, moves, placing, quarantine, log } = this.#ring;
    const CALL_MS = 20;
    if (state.live.openingCount() > 0) await delay(callsEveryMs(state.pool.carriers) + CALL_MS);
    const { pool, region, generation, epoch, configRevision, hintsVersion, origins } = state.view.snapshot;
    const connections = tables.connectionsByOrigin();
    return {
      pool,
      region,
      generation,
      epoch,
      down: state.regionDown.isDown,
      configRevision,
      hintsVersion,
      orders: state.orderCount,
      sessions: state.live.size - state.live.openingCount(),
      waiting: moves.waitingCount,
      moving: placing.moving.size,
      moved: log.counts(),
      ...tables.tally(),
      quarantined: quarantine.held(Date.now()),
      connections: [...connections.values()].reduce((sum, count) => sum + count, 0),
      connectionsByOrigin: Object.fromEntries(connections),
      origins: origins.map((origin) => this.origin(origin.id)).filter((origin) => origin !== undefined),
    };
  }

  drain(origin: string, by: string, wish: DrainWish, asker: Asker): OrderAnswer {
    return this.#ordered(origin, asker, () => this.#ring.drains.order(origin, asker.registers ? registrar(by) : by, wish));
  }

  undrain(origin: string, by: string, asker: Asker): OrderAnswer {
    return this.#ordered(origin, asker, () => {
      const why = this.#ring.drains.undo(origin, asker.registers ? registrar(by) : by);
      return why === undefined ? undefined : { kind: "conflict", why };
    });
  }

  /** The whole region: each of its origins is drained, and those that join meanwhile. */
  regionDown(by: string): Promise<RingStatus> {
    const { state, journal, upkeep, announce } = this.#ring;
    if (state.regionDown.down(Date.now())) {
      journal.note({ what: "region-down", who: by });
      upkeep.leaveLost(); // as for one drain
      announce();
    }
    return this.status();
  }

  regionUp(by: string): Promise<RingStatus> {
    const { state, journal, announce } = this.#ring;
    if (state.regionDown.up()) {
      journal.note({ what: "region-up", who: by });
      announce();
    }
    return this.status();
  }

  /** An origin joins, changes or leaves. */
  member(id: string, change: MemberChange, by: string, asker: Asker): OrderAnswer {
    return this.#ordered(id, asker, () => this.#ring.members.change(id, change, by));
  }

  /** An origin says that it is there. */
  lease(id: string, wanted: WantedLease, by: string, asker: Asker): OrderAnswer {
    return this.#ordered(id, asker, () => this.#ring.leases.take(id, wanted, by));
  }

  /** The order that is given in this turn, if the ring is still as whoever gives it believes. */
  #ordered(id: string, { ifMatch }: Asker, order: () => MemberOutcome | undefined | void): OrderAnswer {
    const etag = etagOf(this.#ring.state.view.snapshot);
    if (ifMatch && !ifMatch.includes(etag)) return { kind: "changed", etag };
    const outcome = order() ?? { kind: "done", joined: false };
    if (outcome.kind !== "done") return outcome;
    const origin = this.origin(id);
    return origin ? { ...outcome, origin } : { kind: "unknown" };
  }

  /** One that has left is told of as long as that is remembered. */
  origin(id: string): OriginStatus | undefined {
    const { state } = this.#ring;
    const origin = state.view.byId.get(id);
    const left = origin || state.layers.memberOrder(id)?.goneAtMs === undefined ? undefined : originOf(id, state.layers.membership);
    if (left) return describeGone(left, this.#counted(id));
    return origin && describeOrigin(origin, this.#counted(id), Date.now());
  }

  #counted(id: string): Counted {
    const { state, tables, outcomes, leases } = this.#ring;
    const { region, generation, epoch } = state.view.snapshot;
    const [drain, lease] = [state.layers.drainOf(id), state.layers.leaseOf(id)];
    return {
      region,
      generation,
      epoch,
      sessions: state.loadOf(id) - state.live.openingCount(id),
      connections: tables.connectionsByOrigin().get(id) ?? 0,
      outcomes: outcomes.of(id),
      drain: drain && describeDrain(drain, state.pool),
      lease: lease && { ttlMs: lease.ttlMs, instance: lease.instance, lapsedAtMs: lease.lapsedAtMs, expiresAtMs: leases.expiresAtMs(id) ?? 0 },
    };
  }

  async session(keyHash: string): Promise<SessionStatus | undefined> {
    const { state, placing } = this.#ring;
    const row = state.live.get(keyHash);
    if (!row) return this.#quarantinedStatus(keyHash);
    const carrier = this.#carrierOf(row);
    const [connections, isParked] = await Promise.all([
      within(carrier.connectionsOf(keyHash), PULL_TIMEOUT_MS, "connections").catch(() => 0),
      within(carrier.isParked(keyHash), PULL_TIMEOUT_MS, "parked").catch(() => false),
    ]);
    return describeSession(row, connections, placing.moving.has(keyHash) ? "moving" : isParked ? "parked" : "settled");
  }

  /** An origin has something for a session that may be parked. */
  /** Whether it has a leg now; `undefined`: there is no such session. Rejects where its carrier does not answer. */
  async wake(keyHash: string): Promise<boolean | undefined> {
    const row = this.#ring.state.live.get(keyHash);
    if (!row) return undefined;
    return within(this.#carrierOf(row).wake(keyHash), MOVE_WAIT_MS, "wake");
  }

  /** The session is over: its connections are closed and what was ordered for it is forgotten. `false`: there is no such session. `from`: only while it is there. Rejects where its carrier does not answer. */
  async end(keyHash: string, fence: number, from?: string): Promise<boolean> {
    const { state } = this.#ring;
    const [row, isOrdered] = [state.live.get(keyHash), state.isOrdered(keyHash)];
    state.endOrder(keyHash, fence);
    // An origin speaks of the session that it had, not of one that has begun there since; plain requests know no fence (0).
    if (!row || (from !== undefined && (row.origin !== from || (fence > 0 && row.fence > fence)))) return isOrdered;
    await within(this.#carrierOf(row).over([keyHash]), PULL_TIMEOUT_MS, "end");
    return true;
  }

  #carrierOf({ lot }: LiveRow): ReturnType<typeof carrierStub> {
    const { env, settings, state } = this.#ring;
    return carrierStub(env, settings.config, state.name, sliceOf(lot, state.pool.carriers));
  }

  /** Takes a live session to an origin and keeps it there, or ends what was ordered for it and takes it to where the ring says. */
  async move(keyHash: string, to: string | undefined): Promise<MoveAnswer> {
    const { orders, announce, goOn, quarantine } = this.#ring;
    const quarantined = this.#quarantinedStatus(keyHash);
    if (quarantined && to !== undefined)
      return { kind: "unavailable", why: "The session is in quarantine: move it without an origin, which lets it out; its visitors come back." };
    if (quarantined && quarantine.lift(keyHash)) return { kind: "told", session: { ...quarantined, state: "lifted" } };
    const refusal = await this.#refusalOf(keyHash, to);
    if (refusal) return refusal;
    const moved = orders.send(keyHash, to);
    const done = goOn(moved.then(announce));
    await within(done, MOVE_WAIT_MS, "move").catch(() => undefined); // it goes on, and the status says so
    const session = await this.session(keyHash);
    if (!session) return { kind: "unknown", what: "live session" };
    if (to !== undefined && session.state !== "moving" && session.origin !== to) {
      return {
        kind: "unavailable",
        why: `The session is still at ${session.origin}: ${to} has not taken it, or its pace is used up by other moves. Try again shortly.`,
      };
    }
    return { kind: "told", session };
  }

  #quarantinedStatus(keyHash: string): SessionStatus | undefined {
    const { state, quarantine } = this.#ring;
    const { region, epoch } = state.view.snapshot;
    const origin = quarantine.of(keyHash, Date.now())?.origin;
    return origin === undefined ? undefined : { origin, region, fence: 0, epoch, connections: 0, state: "quarantined" };
  }

  async #refusalOf(keyHash: string, to: string | undefined): Promise<MoveAnswer | undefined> {
    const { state, placing } = this.#ring;
    await within(placing.moving.get(keyHash) ?? Promise.resolve(), MOVE_WAIT_MS, "move").catch(() => undefined); // then ours does nothing
    if (!state.live.get(keyHash)) return { kind: "unknown", what: "live session" };
    if (to === undefined) return undefined;
    const target = state.views().flatMap((view) => view.byId.get(to) ?? [])[0];
    if (!target) return { kind: "unknown", what: "origin" };
    const why = unavailability(target, Date.now(), new Set());
    return why && { kind: "unavailable", why: `${to} takes no sessions now: it is ${why}.` };
  }
}
