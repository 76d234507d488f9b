// What the admin API says and is told, as shapes: the OpenAPI document, docs/admin-api.md and the types of its client are made from them, and tests
// hold real answers against them. Nothing here runs in a Worker: bodies are parsed by membership.ts and its kind, whose faults say what to do.

import * as v from "valibot";
import { REASONS } from "./decision.ts";

const text = (what: string) => v.pipe(v.string(), v.description(what));
const number = (what: string) => v.pipe(v.number(), v.description(what));
const count = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what));
const share = (what: string) => v.pipe(v.number(), v.minValue(0), v.maxValue(1), v.description(what));
const flag = (what: string) => v.pipe(v.boolean(), v.description(what));
const id = (what: string) => v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,32}$/), v.description(what));

/** A shape that the document has once, under its name. */
const named = <const E extends v.ObjectEntries>(ref: string, entries: E) => v.pipe(v.object(entries), v.metadata({ ref }));

export const faultShape = v.object({
  path: text("Where in what was sent; empty: all of it."),
  message: text("What was found, and what is allowed."),
});

/** RFC 9457. */
export const problemShape = named("Problem", {
  type: text("The page of this kind of problem, relative to the request."),
  title: v.string(),
  status: v.number(),
  detail: text("A sentence that says what is wrong here, and what to do."),
  code: text("The kind of problem, for programs."),
  requestId: text("The router's log has it."),
  faults: v.optional(v.array(faultShape)),
});

const outcomes = v.object({
  ok: count("Answered."),
  "origin-fault": count("Not reached, cut off, no HTTP, or a 5xx."),
  timeout: count("No first byte in time."),
  "client-gone": count("The visitor left first."),
  ours: count("It broke in the router."),
});

const drainState = v.pipe(
  v.object({
    by: text("A token's name, `register:<name>`, `origin`, `region` or `config`; empty: an older version took the order."),
    mode: v.picklist(["move", "finish"]),
    orderedAtMs: count("When its terms were ordered."),
    closesAtMs: count("When it is closed at the latest, whoever is left."),
    closedAtMs: v.optional(count("When pins and claims to it ended.")),
    drainedAtMs: v.optional(count("Since when its process may end.")),
  }),
  v.description("While it is drained."),
);

const leaseState = v.pipe(
  v.object({
    ttlMs: v.number(),
    instance: v.optional(text("Which life of the origin holds it.")),
    expiresAtMs: count("When it ends unless it is renewed."),
    lapsedAtMs: v.optional(count("Since when the origin is down because it was not renewed.")),
  }),
  v.description("Of an origin that registers itself."),
);

export const originShape = named("Origin", {
  id: v.string(),
  url: v.string(),
  region: v.string(),
  weight: v.number(),
  salt: count("Decides where its points stand on the ring; found when it joined, unless it was given."),
  backup: flag("Serves when no other origin of its region does."),
  state: v.pipe(v.picklist(["joining", "active", "draining", "drained", "gone"]), v.description("What people want of it.")),
  health: v.pipe(v.picklist(["healthy", "ejected", "down"]), v.description("How it is.")),
  maintenance: v.optional(v.pipe(v.literal(true), v.description("It takes no new sessions, by its own word."))),
  share: share("The part of its keys that it takes now."),
  shareEndsAtMs: v.optional(count("While the share changes by a plan: when that has ended.")),
  serving: flag("It is active and well, and its share is past its ramp."),
  generation: count("The ring's."),
  epoch: count("The ring's, when this was told; with the generation it is the `ETag`."),
  drain: v.optional(drainState),
  lease: v.optional(leaseState),
  sessions: count("Live sessions that it serves."),
  connections: count("Their connections, of all regions' carriers."),
  outcomes: v.pipe(outcomes, v.description("What became of plain requests to it, since the ring object's start.")),
});

const unreachableRing = v.object({
  pool: v.string(),
  region: v.string(),
  unreachable: v.pipe(v.literal(true), v.description("Its ring object did not answer.")),
  origins: v.tuple([]),
});

export const ringShape = named("Ring", {
  pool: v.string(),
  region: v.string(),
  generation: v.number(),
  epoch: count("One more with each change of the ring."),
  down: v.optional(flag("An operator has taken the region out of service.")),
  configRevision: v.number(),
  hintsVersion: count("One more with each change of where sessions are that are not where the ring says."),
  orders: count("Sessions that an origin's order keeps where they are."),
  sessions: count("Live sessions whose home this ring is."),
  waiting: count("Sessions that wait for their turn to be moved, and are served meanwhile."),
  moving: count("Sessions between two origins."),
  moved: v.pipe(v.record(v.string(), v.number()), v.description("Sessions moved since the ring object's start, by reason.")),
  gaps: v.pipe(
    v.array(v.number()),
    v.description("Connections that got a new leg, by how long they had none: up to 50, 100, 200, 500, 1,000, 2,000, 5,000 ms, and longer."),
  ),
  heldFrames: count("Frames that were held back while sessions moved."),
  refused: count("Connections refused or ended because a bound was passed."),
  quarantined: v.pipe(v.array(v.string()), v.description("Key hashes of sessions whose origins kept dying.")),
  connections: count("Connections of its sessions."),
  connectionsByOrigin: v.record(v.string(), v.number()),
  origins: v.array(originShape),
});

export const ringsShape = v.object({ rings: v.array(v.union([ringShape, unreachableRing])) });

export const wantedOriginShape = v.object({
  url: text("https outside dev; scheme, host and port, nothing else."),
  weight: v.optional(number("Its part of the ring, beside the others'."), 1),
  salt: v.optional(number("Left out: the one that it has; of one that is new the best of 32.")),
  backup: v.optional(v.boolean(), false),
});

export const drainShape = v.object({
  mode: v.optional(
    v.pipe(v.picklist(["move", "finish"]), v.description("Whether live sessions are moved, or left until they end; default: the pool's.")),
  ),
  deadlineMs: v.optional(number("When the last sessions leave at the latest; default: the pool's.")),
});

export const originChangeShape = v.object({ url: v.optional(v.string()), weight: v.optional(v.number()) });

export const leaseShape = v.object({
  url: v.string(),
  weight: v.optional(v.number()),
  ttlMs: v.optional(number("How long it stays unless it renews; default: the pool's.")),
  instance: v.optional(text("Another one, after the origin was drained by its own order, joins again.")),
});

const source = v.picklist(["bundle", "applied"]);
const ring = v.object({ pool: v.string(), region: v.string() });

export const configShape = v.object({
  revision: v.number(),
  source: v.pipe(source, v.description("Whether it came with the Worker's code, or was applied.")),
  config: v.pipe(v.record(v.string(), v.unknown()), v.description("As it was written; of a seed only that there is one.")),
  revisions: v.pipe(
    v.array(v.object({ revision: v.number(), source, atMs: v.number(), who: v.string(), why: v.optional(v.string()) })),
    v.description("Those that held, newest first."),
  ),
  pending: v.pipe(v.array(v.string()), v.description("Who has still to be told: `kv`, or a ring.")),
  rings: v.pipe(
    v.array(
      v.union([
        v.object({
          ...ring.entries,
          revision: v.number(),
          source,
          unreadable: v.optional(
            v.pipe(
              v.object({ revision: v.number(), why: v.string() }),
              v.description("Applied, and its code cannot read it: what held before still does."),
            ),
          ),
          retired: v.optional(v.pipe(v.literal(true), v.description("The configuration names it no more."))),
        }),
        v.object({ ...ring.entries, unreachable: v.literal(true) }),
      ]),
    ),
    v.description("What each ring goes by."),
  ),
  retired: v.array(ring),
});

const configChange = v.object({
  path: text("Like `pools.collab.origins.weur-2.weight`."),
  what: v.picklist(["added", "removed", "changed"]),
  before: v.optional(v.unknown()),
  after: v.optional(v.unknown()),
});

export const appliedShape = v.object({
  revision: v.number(),
  changes: v.array(configChange),
  plan: v.optional(
    v.pipe(
      v.array(
        v.union([
          v.object({ ...ring.entries, movedShare: v.number(), optimumShare: v.number() }),
          v.object({ ...ring.entries, unreachable: v.literal(true) }),
        ]),
      ),
      v.description("With `dryRun`: of each ring that changes, the part of its keys that would move."),
    ),
  ),
});

export const sessionShape = named("Session", {
  origin: v.string(),
  region: text("The origin's."),
  fence: count("Grows whenever the session's placement changes."),
  epoch: v.number(),
  reason: v.optional(v.picklist(REASONS)),
  movedFrom: v.optional(v.string()),
  connections: v.number(),
  state: v.pipe(
    v.picklist(["settled", "moving", "parked", "quarantined", "lifted"]),
    v.description("`parked`: no origin has a leg of it; `quarantined`: its origins kept dying, the named one last; `lifted`: it was until now."),
  ),
});

export const moveShape = v.object({ to: v.optional(id("An origin; left out: where the ring says.")) });

const change = v.union([
  v.object({
    put: v.object({
      id: id("Of an origin of the ring, or of one that would join."),
      url: v.optional(v.string()),
      weight: v.optional(v.number()),
      salt: v.optional(v.number()),
      backup: v.optional(v.boolean()),
    }),
  }),
  v.object({ remove: v.string() }),
  v.object({ drain: v.string() }),
  v.object({ undrain: v.string() }),
  v.object({ reweight: v.object({ id: v.string(), weight: v.number() }) }),
  v.object({ down: v.pipe(v.literal(true), v.description("All of the region.")) }),
]);

export const planShape = v.object({ changes: v.pipe(v.array(change), v.description("Made one after the other, 1 to 100.")) });

const shareChange = {
  before: share("Of all keys, now."),
  after: share("When the changes have settled."),
  gained: share("What comes to it."),
  lost: share("What leaves it."),
};

export const plannedShape = v.object({
  epoch: count("The ring that this holds for."),
  movedShare: share("The part of all keys whose origin changes."),
  optimumShare: share("The least that must move to get from the one distribution to the other."),
  elsewhere: v.pipe(v.object(shareChange), v.description("What goes to no origin of this region.")),
  origins: v.array(v.object({ id: v.string(), ...shareChange })),
  sessions: v.object({
    live: count("Live sessions of this ring now."),
    moved: count("Those of them that would be moved."),
    stranded: count("Those of them that nobody could take: they stay until their origin's drain is over, and are closed then."),
    guests: count("Sessions of other regions at origins that would be left; their own rings move them."),
    origins: v.array(v.object({ id: v.string(), region: v.string(), gained: v.number(), lost: v.number() })),
  }),
});

export const explainShape = v.object({
  url: text("As a visitor asks for it."),
  method: v.optional(v.string(), "GET"),
  headers: v.optional(v.record(v.string(), v.string())),
  cf: v.optional(
    v.pipe(v.record(v.string(), v.unknown()), v.description("Where the visitor is: latitude, longitude, continent, as the platform says it.")),
  ),
});

const step = v.object({
  step: v.string(),
  region: v.string(),
  origin: v.optional(v.string()),
  outcome: v.string(),
  share: v.optional(v.number()),
  fraction: v.optional(number("The key's own number, which must be below the share.")),
  load: v.optional(v.number()),
  capacity: v.optional(v.number()),
});

const decision = v.union([
  v.object({
    kind: v.literal("routed"),
    origin: v.string(),
    region: v.string(),
    epoch: v.number(),
    reason: v.picklist(REASONS),
    fence: v.optional(v.number()),
    passed: v.array(v.object({ origin: v.string(), why: v.string() })),
  }),
  v.object({
    kind: v.literal("refused"),
    why: v.picklist(["no-origin", "owner-lost"]),
    epoch: v.number(),
    passed: v.array(v.object({ origin: v.string(), why: v.string() })),
  }),
]);

const decided = { steps: v.array(step), decision, byChance: v.optional(flag("Load, turn or chance chooses: the next one may go elsewhere.")) };

export const explainedShape = v.object({
  identify: v.object({
    outcome: v.picklist(["identified", "no-route", "foreign", "missing", "unverifiable", "unusable"]),
    detail: v.optional(text("Why it goes no further.")),
    route: v.optional(text("The path of the route, as configured.")),
    pool: v.optional(v.string()),
    source: v.optional(text("What the key was found in; none of a request that names no session.")),
    key: v.optional(v.string()),
    keyHash: v.optional(v.string()),
    bound: v.optional(flag("Whether the key has affinity.")),
    claim: v.optional(v.object({ origin: v.string(), fence: v.number(), from: v.string() })),
  }),
  locate: v.optional(
    v.object({
      region: v.string(),
      why: v.string(),
      regions: v.pipe(v.array(v.string()), v.description("In the order in which they are looked at.")),
    }),
  ),
  carry: v.optional(
    v.object({
      how: v.picklist(["plain", "relay", "splice"]),
      carrier: v.optional(count("The slice of the carrier that would hold it.")),
      decidedBy: v.pipe(v.picklist(["worker", "ring"]), v.description("Whose decision counts for such a request.")),
      fault: v.optional(text("Why it would be refused before it is decided on.")),
    }),
  ),
  worker: v.optional(
    v.object({
      layer: v.pipe(v.picklist(["memory", "kv", "ring", "config"]), v.description("Who answered for the snapshot.")),
      epoch: v.number(),
      hint: v.optional(v.object({ origin: v.string(), fence: v.number() })),
      ...decided,
    }),
  ),
  ring: v.optional(
    v.union([
      v.object({
        epoch: v.number(),
        session: v.optional(v.object({ origin: v.string(), region: v.string(), fence: v.number(), reason: v.string(), moving: v.boolean() })),
        pin: v.optional(v.object({ origin: v.string(), fence: v.number(), ordered: v.boolean() })),
        quarantined: v.optional(v.literal(true)),
        ...decided,
      }),
      v.object({ unreachable: v.literal(true) }),
    ]),
  ),
});

export const entryShape = named("Entry", {
  ring: text("`<pool>@<region>`, or `control`."),
  seq: count("Counts up in its ring."),
  atMs: v.number(),
  epoch: count("The ring's after it; of the configuration its revision."),
  what: text("What happened: `drain`, `down`, `join`, `apply`, …"),
  who: text("The name of a token; `limpet`: the ring by itself; `config`; `origin`: an origin's own word."),
  origin: v.optional(v.string()),
  why: v.optional(v.string()),
  changes: v.optional(v.pipe(v.array(configChange), v.description("Of the configuration: the first hundred."))),
  changeCount: v.optional(v.number()),
});

export const auditShape = v.object({
  entries: v.array(entryShape),
  unreachable: v.pipe(v.array(v.string()), v.description("Rings that did not answer: theirs are missing.")),
});
