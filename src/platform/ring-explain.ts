// What a ring object would say of one request, step by step, without placing anything: where its session is, and otherwise where it would go.

import type { Balance } from "../core/balance.ts";
import { decide } from "../core/decide.ts";
import type { Decision, Reason, Step } from "../core/decision.ts";
import type { FindItem } from "../core/protocol.ts";
import type { Claim } from "../core/situation.ts";
import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";

export interface Explained {
  readonly epoch: number;
  readonly session?: { readonly origin: string; readonly region: string; readonly fence: number; readonly reason: Reason; readonly moving: boolean };
  readonly pin?: { readonly origin: string; readonly fence: number; readonly ordered: boolean };
  readonly quarantined?: true;
  readonly steps: readonly Step[];
  readonly decision: DecisionView;
  /** Another one that asks may get another origin: load, turn or chance chooses. */
  readonly byChance?: boolean;
}

/** A decision as it is shown. */
export type DecisionView =
  | {
      readonly kind: "routed";
      readonly origin: string;
      readonly region: string;
      readonly epoch: number;
      readonly reason: Reason;
      readonly fence?: number;
      readonly passed: Decision["passed"];
    }
  | Extract<Decision, { kind: "refused" }>;

export function viewOfDecision(decision: Decision): DecisionView {
  if (decision.kind === "refused") return decision;
  const { kind, origin, region, epoch, reason, fence, passed } = decision;
  return { kind, origin: origin.id, region, epoch, reason, ...(fence === undefined ? {} : { fence }), passed };
}

interface Ring {
  readonly state: RingState;
  readonly placing: Pick<Placing, "moving">;
  readonly quarantine: Quarantine;
}

/** `item`: as a Worker or a carrier would ask for it. `live`: for a connection, where loads are bounded. */
export function explain({ state, placing, quarantine }: Ring, item: FindItem, live: boolean): Explained {
  const { keyHash, keyed } = item;
  const nowMs = Date.now();
  const row = state.live.get(keyHash);
  const pin = state.pinOf(keyHash);
  const held: Claim | undefined = row && { origin: row.origin, fence: row.fence, from: "connection" };
  const brought: Claim | undefined = item.claim && { ...item.claim, from: item.learned ? "tag" : "cookie" };
  const balance = balanceOf(state, live && !row);
  const steps: Step[] = [];
  const decision = decide(
    {
      key: item,
      keyed,
      regions: state.views(),
      pin: row ? undefined : pin,
      claim: held ?? brought,
      excluded: new Set(item.excluded),
      policy: state.pool,
      balance,
      nowMs,
    },
    (step) => steps.push(step),
  );
  return {
    epoch: state.view.snapshot.epoch,
    ...(row && {
      session: { origin: row.origin, region: row.region, fence: row.fence, reason: row.reason, moving: placing.moving.has(keyHash) },
    }),
    ...(pin && { pin: { origin: pin.origin, fence: pin.fence, ordered: state.isOrdered(keyHash) } }),
    ...(quarantine.of(keyHash, nowMs) ? { quarantined: true as const } : {}),
    steps,
    decision: viewOfDecision(decision),
    ...(balance.kind === "round-robin" || balance.kind === "random" || balance.kind === "least-connections" ? { byChance: true } : {}),
  };
}

/** Nobody's turn is taken: what goes by turn or chance is shown by a chance of its own. Where a session is looked for, and not placed, all go by the ring. */
function balanceOf(state: RingState, places: boolean): Balance {
  const { pool, view } = state;
  const loadOf = (id: string): number => state.loadOf(id);
  if (!places) return { kind: "ring" };
  switch (pool.balance) {
    case "ring":
      return { kind: "ring" };
    case "bounded-ring":
      return { kind: "bounded-ring", factor: pool.boundFactor, total: [...view.byId.keys()].reduce((sum, id) => sum + loadOf(id), 0), loadOf };
    case "least-connections":
      return { kind: "least-connections", loadOf, draw: Math.random() };
    case "round-robin":
    case "random":
      return { kind: "random", draw: Math.random() };
    default:
      return pool.balance satisfies never;
  }
}
