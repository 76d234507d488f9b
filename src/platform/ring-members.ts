// Origins that join, change and leave at run time, by an operator's order: each change is one epoch, and the same order twice is one. Who leaves
// is drained first, and no session is moved to a joiner that has not answered yet.

import { newDrain } from "../core/drain.ts";
import type { ConfiguredOrigin, MemberOrder } from "../core/lifecycle.ts";
import { conflictOf, orderFor, standing, UNCHANGED, type OriginChange, type Surroundings, type WantedOrigin } from "../core/membership.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { HALT_MS } from "./limits.ts";
import type { Journal } from "./ring-journal.ts";
import type { Beside } from "./ring-layers.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";
import type { Upkeep } from "./ring-upkeep.ts";

/** What an operator wants of an origin's membership. */
export type MemberChange =
  { readonly kind: "put"; readonly origin: WantedOrigin } | { readonly kind: "patch"; readonly change: OriginChange } | { readonly kind: "remove" };

export type MemberOutcome =
  /** `joined`: it was not in the ring before. */
  { readonly kind: "done"; readonly joined: boolean } | { readonly kind: "unknown" } | { readonly kind: "conflict"; readonly why: string };

const DONE: MemberOutcome = { kind: "done", joined: false };

/** What of the ring object membership is changed with. */
interface Ring {
  readonly state: RingState;
  readonly placing: Placing;
  readonly upkeep: Upkeep;
  readonly journal: Journal;
  /** Tells everyone who holds a copy of what has changed. */
  readonly announce: () => void;
}

export class Members {
  readonly #ring: Ring;
  readonly #state: RingState;

  constructor(ring: Ring) {
    this.#ring = ring;
    this.#state = ring.state;
  }

  change(id: string, wanted: MemberChange, by: string): MemberOutcome {
    switch (wanted.kind) {
      case "put":
        return this.#put(id, wanted.origin, by);
      case "patch":
        return this.#patch(id, wanted.change, by);
      case "remove":
        return this.#remove(id, by);
      default:
        return wanted satisfies never;
    }
  }

  #put(id: string, wanted: WantedOrigin, by: string): MemberOutcome {
    const { layers } = this.#state;
    const origin = standing(id, wanted, layers.membership);
    const leaves = layers.memberOrder(id)?.leavingAtMs !== undefined;
    const isTaken = layers.leaseOf(id) !== undefined; // from now on it is there without renewing anything
    const drain = leaves ? undefined : layers.drainOf(id); // who is brought back takes sessions again; another drain is another order
    return this.stand(origin, orderFor(origin, layers.membership.configured), { drain }, { back: leaves || isTaken, who: by });
  }

  #patch(id: string, change: OriginChange, by: string): MemberOutcome {
    const known = this.#state.view.byId.get(id);
    if (!known) return { kind: "unknown" };
    const { url, weight, salt, backup } = known;
    const { layers } = this.#state;
    const origin = standing(id, { url: change.url ?? url, weight: change.weight ?? weight, salt, backup }, layers.membership);
    const { leavingAtMs, leftBy } = layers.memberOrder(id) ?? UNCHANGED;
    const order = orderFor(origin, layers.membership.configured);
    const kept = leavingAtMs === undefined ? order : { ...(order ?? UNCHANGED), leavingAtMs, leftBy };
    return this.stand(origin, kept, { drain: layers.drainOf(id), lease: layers.leaseOf(id) }, { back: false, who: by });
  }

  /** Makes an origin what it is to be; nothing, where it is that already and nobody brings it `back`. */
  stand(
    origin: ConfiguredOrigin,
    order: MemberOrder | undefined,
    beside: Beside,
    { back, who, why }: { readonly back: boolean; readonly who: string; readonly why?: string },
  ): MemberOutcome {
    const { layers } = this.#state;
    const conflict = conflictOf(origin, layers.membership, this.surroundings());
    if (conflict !== undefined) return { kind: "conflict", why: conflict };
    const before = this.#state.view.byId.get(origin.id);
    if (before && isSame(before, origin) && !back) return DONE;
    if (this.#state.isRetired) return { kind: "conflict", why: "The pool has no configured origin in this region: nobody joins here." };
    const former = layers.memberOrder(origin.id);
    const isAnother = former?.goneAtMs !== undefined && former.url !== undefined && former.url !== origin.url;
    layers.setMember(origin.id, order, isAnother ? { ...beside, bornFence: this.#state.bear(origin.id) } : beside);
    const joined = before === undefined;
    const reasons = [changesOf(before, origin), why, isAnother ? "another server than had this id before" : undefined];
    this.#ring.journal.note({
      what: joined ? "join" : "change",
      who,
      origin: origin.id,
      why: reasons.filter((reason) => reason !== undefined && reason !== "").join("; "),
    });
    if (joined) this.#ring.placing.pace.doubt(origin.id, Date.now() + HALT_MS); // no session is moved to one that has never answered
    this.#ring.announce();
    if (joined) void this.#ring.placing.ownVerdict(origin.id); // never rejects
    return { kind: "done", joined };
  }

  #remove(id: string, by: string): MemberOutcome {
    const { layers, pool } = this.#state;
    const order = layers.memberOrder(id);
    if (order?.goneAtMs !== undefined || order?.leavingAtMs !== undefined) return this.#removeForGood(id, order, by);
    if (!this.#state.view.byId.has(id)) return { kind: "unknown" };
    const nowMs = Date.now();
    const drain = layers.drainOf(id) ?? newDrain(nowMs, { mode: pool.drain.mode, deadlineMs: pool.drain.deadlineMs, by });
    const leaving = { ...(order ?? UNCHANGED), leavingAtMs: nowMs, leftBy: by };
    if (drain.drainedAtMs === undefined) layers.setMember(id, leaving, { drain, lease: layers.leaseOf(id) });
    else layers.setGone(id, leaving, nowMs);
    this.#ring.journal.note({ what: drain.drainedAtMs === undefined ? "remove" : "gone", who: by, origin: id });
    this.#ring.upkeep.leaveLost();
    this.#ring.announce();
    return DONE;
  }

  /** It goes, or is gone, already. Where nobody had ordered that, neither the configuration nor a lease brings it back from now on. */
  #removeForGood(id: string, order: MemberOrder, by: string): MemberOutcome {
    const { layers } = this.#state;
    if (order.leftBy !== "config" && order.leftBy !== "origin") return DONE;
    layers.setMember(id, { ...order, leftBy: by }, { drain: layers.drainOf(id), lease: layers.leaseOf(id) });
    this.#ring.journal.note({ what: "remove", who: by, origin: id });
    this.#ring.announce();
    return DONE;
  }

  /** The pool as far as it is known here: the configuration's other regions, and what neighbours have told of themselves. */
  surroundings(): Surroundings {
    const { name, pool } = this.#state;
    const views = this.#state.views();
    const seen = new Set(views.map(({ snapshot }) => snapshot.region));
    const told = views.flatMap(({ snapshot: { region, origins } }) =>
      origins.map(({ id, url, lifecycle }) => ({ id, region, url, active: lifecycle === "active" || lifecycle === "joining" })),
    );
    const written = pool.origins.filter(({ region }) => !seen.has(region)).map(({ id, region, url }) => ({ id, region, url, active: true }));
    return { pool: [...told, ...written], region: name.region };
  }
}

function isSame(before: SnapshotOrigin, { url, weight, salt, backup }: ConfiguredOrigin): boolean {
  return before.url === url && before.weight === weight && before.salt === salt && before.backup === backup;
}

/** What is to be read of a change: `weight 1 → 2`. */
function changesOf(before: SnapshotOrigin | undefined, { url, weight, salt, backup }: ConfiguredOrigin): string {
  const after = { url, weight, salt, backup };
  const names = ["url", "weight", "salt", "backup"] as const;
  if (!before) return `${url} weight ${weight}${backup ? " backup" : ""}`;
  return names.flatMap((name) => (before[name] === after[name] ? [] : [`${name} ${before[name]} → ${after[name]}`])).join(", ");
}
