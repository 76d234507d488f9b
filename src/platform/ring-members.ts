// Origins that join, change and leave at run time, by an operator's order: each change is one epoch, and the same order twice is one. Who leaves
// is drained first, and no session is moved to a joiner that has not answered yet.

import { newDrain, type ConfiguredOrigin } from "../core/lifecycle.ts";
import { conflictOf, orderFor, standing, UNCHANGED, type OriginChange, type Surroundings, type WantedOrigin } from "../core/membership.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { HALT_MS } from "./limits.ts";
import type { Journal } from "./ring-journal.ts";
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
    const origin = standing(id, wanted, this.#state.layers.membership);
    const leaves = this.#state.layers.memberOrder(id)?.leavingAtMs !== undefined;
    const drain = leaves ? undefined : this.#state.layers.drainOf(id); // who is brought back takes sessions again; another drain is another order
    return this.#stand(origin, () => this.#state.layers.setMember(id, orderFor(origin, this.#state.layers.membership.configured), drain), {
      back: leaves,
      by,
    });
  }

  #patch(id: string, change: OriginChange, by: string): MemberOutcome {
    const known = this.#state.view.byId.get(id);
    if (!known) return { kind: "unknown" };
    const { url, weight, salt, backup } = known;
    const origin = standing(id, { url: change.url ?? url, weight: change.weight ?? weight, salt, backup }, this.#state.layers.membership);
    const leavingAtMs = this.#state.layers.memberOrder(id)?.leavingAtMs;
    const order = orderFor(origin, this.#state.layers.membership.configured);
    const kept = leavingAtMs === undefined ? order : { ...(order ?? UNCHANGED), leavingAtMs };
    return this.#stand(origin, () => this.#state.layers.setMember(id, kept, this.#state.layers.drainOf(id)), { back: false, by });
  }

  /** Makes an origin what it is to be; nothing, where it is that already. */
  #stand(origin: ConfiguredOrigin, order: () => void, { back, by }: { readonly back: boolean; readonly by: string }): MemberOutcome {
    const conflict = conflictOf(origin, this.#state.layers.membership, this.surroundings());
    if (conflict !== undefined) return { kind: "conflict", why: conflict };
    const before = this.#state.view.byId.get(origin.id);
    if (before && isSame(before, origin) && !back) return DONE;
    order();
    const joined = before === undefined;
    this.#ring.journal.note({ what: joined ? "join" : "change", who: by, origin: origin.id, why: changesOf(before, origin) });
    if (joined) this.#ring.placing.pace.doubt(origin.id, Date.now() + HALT_MS); // no session is moved to one that has never answered
    this.#ring.announce();
    if (joined) void this.#ring.placing.ownVerdict(origin.id); // never rejects
    return { kind: "done", joined };
  }

  #remove(id: string, by: string): MemberOutcome {
    const order = this.#state.layers.memberOrder(id);
    if (order?.goneAtMs !== undefined || order?.leavingAtMs !== undefined) return DONE;
    if (!this.#state.view.byId.has(id)) return { kind: "unknown" };
    const nowMs = Date.now();
    const drain = this.#state.layers.drainOf(id) ?? newDrain(nowMs);
    const leaving = { ...(order ?? UNCHANGED), leavingAtMs: nowMs };
    if (drain.drainedAtMs === undefined) this.#state.layers.setMember(id, leaving, drain);
    else this.#state.layers.setMember(id, { ...leaving, goneAtMs: nowMs }, undefined);
    this.#ring.journal.note({ what: "remove", who: by, origin: id });
    this.#ring.upkeep.leaveLost();
    this.#ring.announce();
    return DONE;
  }

  /** The pool as far as it is known here: the configuration's other regions, and what neighbours have told of themselves. */
  surroundings(): Surroundings {
    const { name, pool } = this.#state;
    const views = this.#state.views();
    const seen = new Set(views.map(({ snapshot }) => snapshot.region));
    const told = views.flatMap(({ snapshot: { region, origins } }) =>
      origins.map(({ id, url, lifecycle }) => ({ id, region, url, active: lifecycle === "active" })),
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
