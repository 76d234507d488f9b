// What the router and the demo's control server answer, checked at the border. States are read as text: a newer router may know more.

import * as v from "valibot";

const count = v.optional(v.number(), 0);
const perhapsNumber = v.nullish(v.number());

export const SessionShape = v.object({
  origin: v.nullish(v.string()),
  region: v.nullish(v.string()),
  fence: perhapsNumber,
  epoch: perhapsNumber,
  reason: v.nullish(v.string()),
  connections: count,
  state: v.nullish(v.string()),
});
export type Session = v.InferOutput<typeof SessionShape>;

const OriginShape = v.object({
  id: v.string(),
  url: v.optional(v.string(), ""),
  region: v.optional(v.string(), ""),
  weight: v.optional(v.number(), 1),
  backup: v.optional(v.boolean(), false),
  state: v.optional(v.string(), "unknown"),
  health: v.optional(v.string(), "unknown"),
  share: v.optional(v.number(), 1),
  /** When its share is what it is to be. */
  shareEndsAtMs: perhapsNumber,
  maintenance: v.optional(v.boolean(), false),
  sessions: count,
  connections: count,
});
export type Origin = v.InferOutput<typeof OriginShape>;

const RingShape = v.object({
  pool: v.string(),
  region: v.string(),
  epoch: perhapsNumber,
  generation: perhapsNumber,
  configRevision: perhapsNumber,
  hintsVersion: perhapsNumber,
  sessions: count,
  connections: count,
  /** An operator has taken the region out. */
  down: v.optional(v.boolean(), false),
  unreachable: v.optional(v.boolean(), false),
  origins: v.array(OriginShape),
});
export type Ring = v.InferOutput<typeof RingShape>;

export const RingsShape = v.object({ rings: v.array(RingShape) });

/** `/_limpet/dev.json`: there only where the demo runs. */
export const DevShape = v.object({ control: v.pipe(v.string(), v.url()) });

export const FleetShape = v.object({
  origins: v.array(v.object({ id: v.string(), state: v.picklist(["running", "killed"]) })),
});

export const CounterShape = v.object({ count: v.number(), origin: v.string(), region: v.string() });
