// The decision by example: the order of its steps, and an example of every reason and every refusal. Properties: decide-properties.test.ts.

import { describe, expect, test } from "vitest";
import { decide, REASONS, replicasOf, type Decision, type Situation } from "../../src/core/decide.ts";
import type { Ring } from "../../src/core/ring.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import type { RegionView, SnapshotOrigin } from "../../src/core/snapshot.ts";

type More = Partial<SnapshotOrigin>;
const DOWN: More = { health: "down" };
const EJECTED: More = { health: "ejected", ejectedUntilMs: 2000 };
const JOINING: More = { lifecycle: "joining" };
const DRAINING: More = { lifecycle: "draining" };
const CLOSED: More = { lifecycle: "draining", closed: true };
const DRAINED: More = { lifecycle: "drained", closed: true };
const NO_SHARE: More = { share: { from: 0, to: 1, startAtMs: 5000, endAtMs: 6000 } };
const all = (more: More, ...ids: string[]): Record<string, More> => Object.fromEntries(ids.map((id) => [id, more]));

/** A ring that can be read by eye: the first id stands at 100, the second at 200. The key of these tests stands at 0. */
function plainRing(ids: readonly string[]): Ring {
  return { ids, points: Uint32Array.from(ids, (_, n) => (n + 1) * 100), owners: Uint16Array.from(ids.keys()), prefix: Uint32Array.of(0), prefixBits: 0 };
}

function view(region: string, epoch: number, ids: readonly string[], backups: readonly string[], changes: Record<string, More>): RegionView {
  const origins = [...ids, ...backups].map((id): SnapshotOrigin => ({
    id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: backups.includes(id), lifecycle: "active", closed: false,
    health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...changes[id],
  }));
  return {
    snapshot: { format: 1, pool: "p", region, generation: 1, epoch, configRevision: 1, writtenAtMs: 0, virtualNodes: 1, hintsVersion: 0, origins },
    ring: plainRing(ids),
    backups: plainRing(backups),
    byId: new Map(origins.map((origin) => [origin.id, origin])),
  };
}

/** Home weur with a, b, c and the backup z; secondary enam with x, y and the backup w. */
function situation(changes: Record<string, More> = {}, more: Partial<Situation> = {}): Situation {
  return {
    key: { position: 0, lot: 7 }, keyed: true, excluded: new Set(), stickiness: "prefer", nowMs: 1000,
    regions: [view("weur", 12, ["a", "b", "c"], ["z"], changes), view("enam", 30, ["x", "y"], ["w"], changes)],
    ...more,
  };
}

/** "next b in weur@12 (a down)": reason, origin, region and epoch, who was passed over. */
function told(decision: Decision): string {
  const passed = decision.passed.map(({ origin, why }) => `${origin} ${why}`).join(", ");
  const what = decision.kind === "routed" ? `${decision.reason} ${decision.origin.id} in ${decision.region}@${decision.epoch}` : `refused ${decision.why} @${decision.epoch}`;
  return passed === "" ? what : `${what} (${passed})`;
}

type Row = readonly [what: string, changes: Record<string, More>, more: Partial<Situation>, told: string];

const WEUR_DOWN = all(DOWN, "a", "b", "c");
const excluding = (...ids: string[]): Partial<Situation> => ({ excluded: new Set(ids) });
const holding = (origin: string, fence = 77) => ({ origin, fence });
const bound = (loads: Record<string, number>, total: number, factor = 1.25): Partial<Situation> => ({ bound: { factor, total, loadOf: (id) => loads[id] ?? 0 } });

const TABLES: Record<string, readonly Row[]> = {
  "an origin is taken when it is available": [
    ["the owner", {}, {}, "owner a in weur@12"],
    ["down", { a: DOWN }, {}, "next b in weur@12 (a down)"],
    ["ejected until later", { a: EJECTED }, { nowMs: 1999 }, "next b in weur@12 (a ejected)"],
    ["ejected until now", { a: EJECTED }, { nowMs: 2000 }, "owner a in weur@12"],
    ["joining", { a: JOINING }, {}, "next b in weur@12 (a joining)"],
    ["draining", { a: DRAINING }, {}, "next b in weur@12 (a draining)"],
    ["drained", { a: DRAINED }, {}, "next b in weur@12 (a drained)"],
    ["not reached by the asker", {}, excluding("a"), "next b in weur@12 (a excluded)"],
    ["two in a row", { a: DOWN, b: EJECTED }, {}, "next c in weur@12 (a down, b ejected)"],
    ["a key of another place has another walk", {}, { key: { position: 150, lot: 7 } }, "owner b in weur@12"],
  ],
  "and admits the key": [
    ["share 0", { a: NO_SHARE }, {}, "next b in weur@12 (a share)"],
    ["a fleet that starts all at once refuses nobody", all(NO_SHARE, "a", "b", "c"), {}, "owner a in weur@12 (a share, b share, c share)"],
    ["the shares of the sick do not count", { ...all(NO_SHARE, "b", "c"), a: DOWN }, {}, "next b in weur@12 (a down, b share, c share)"],
  ],
  "and is below capacity: 1.25 × 8 sessions on three origins, so below 4": [
    ["one below", {}, bound({ a: 3 }, 7), "owner a in weur@12"],
    ["at capacity", {}, bound({ a: 4 }, 7), "next b in weur@12 (a full)"],
    ["one above", {}, bound({ a: 5 }, 7), "next b in weur@12 (a full)"],
    ["the least loaded last", {}, bound({ a: 5, b: 4, c: 3 }, 7), "next c in weur@12 (a full, b full)"],
    ["all full is no reason to refuse", {}, bound({ a: 9, b: 9, c: 9 }, 7), "owner a in weur@12 (a full, b full, c full)"],
    ["what the sick cannot take the others may", all(DOWN, "b", "c"), bound({ a: 9 }, 7), "owner a in weur@12"],
    ["and not more than that", all(DOWN, "b", "c"), bound({ a: 10 }, 7), "owner a in weur@12 (a full, b down, c down)"],
    ["a heavy origin has more room: 10 × 2 ÷ 4", { a: { weight: 2 } }, bound({ a: 4 }, 7), "owner a in weur@12"],
    ["and is full there", { a: { weight: 2 } }, bound({ a: 5 }, 7), "next b in weur@12 (a full)"],
    ["the bound outlives the shares", all(NO_SHARE, "a", "b", "c"), bound({ a: 4 }, 7), "next b in weur@12 (a share, b share, c share)"],
    ["the first session of all", {}, bound({}, 0), "owner a in weur@12"],
  ],
  "a pin or claim comes first": [
    ["a claim", {}, { claim: holding("c") }, "claim c in weur@12"],
    ["a pin before a claim", {}, { pin: holding("b"), claim: holding("c") }, "pin b in weur@12"],
    ["in another region, with its epoch", {}, { pin: holding("x") }, "pin x in enam@30"],
    ["of a backup", {}, { claim: holding("z") }, "claim z in weur@12"],
    ["full or without a share", { b: NO_SHARE }, { claim: holding("b"), ...bound({ b: 99 }, 100) }, "claim b in weur@12"],
    ["while its origin drains", { b: DRAINING }, { claim: holding("b") }, "claim b in weur@12"],
    ["until the closing epoch", { b: CLOSED }, { claim: holding("b") }, "owner a in weur@12 (b drained)"],
    ["not to a drained origin", { b: DRAINED }, { pin: holding("b") }, "owner a in weur@12 (b drained)"],
    ["not to one that is down", { b: DOWN }, { pin: holding("b") }, "owner a in weur@12 (b down)"],
    ["not to one that is ejected", { b: EJECTED }, { claim: holding("b") }, "owner a in weur@12 (b ejected)"],
    ["not to one that was not reached", {}, { claim: holding("b"), ...excluding("b") }, "owner a in weur@12 (b excluded)"],
    ["not to one that is gone", {}, { claim: holding("q") }, "owner a in weur@12 (q gone)"],
    ["a lost pin leaves the claim its say", { b: DOWN }, { pin: holding("b"), claim: holding("c") }, "claim c in weur@12 (b down)"],
  ],
  "a region that cannot serve": [
    ["its backups", WEUR_DOWN, {}, "backup z in weur@12 (a down, b down, c down)"],
    ["then the secondary region", { ...WEUR_DOWN, z: DRAINING }, {}, "failover x in enam@30 (a down, b down, c down, z draining)"],
    ["by the same rules", { ...WEUR_DOWN, z: DOWN, x: NO_SHARE }, {}, "failover y in enam@30 (a down, b down, c down, z down, x share)"],
    ["its backups too", { ...WEUR_DOWN, ...all(DOWN, "z", "x", "y") }, {}, "failover w in enam@30 (a down, b down, c down, z down, x down, y down)"],
    ["a home without origins", {}, { regions: [view("oc", 1, [], [], {}), view("enam", 30, ["x"], [], {})] }, "failover x in enam@30"],
  ],
  "panic, when nobody is available": [
    ["ejection is ignored first, at home", { ...all(EJECTED, "a", "b", "c", "x", "y"), ...all(DOWN, "z", "w") }, {}, "panic a"],
    ["ejection abroad before down at home", { ...WEUR_DOWN, ...all(DOWN, "z", "w", "x"), y: EJECTED }, {}, "panic y"],
    ["then down, at home", all(DOWN, "a", "b", "c", "z", "x", "y", "w"), {}, "panic a"],
    ["a backup at home that is only ejected, before whoever is down", { ...WEUR_DOWN, ...all(DOWN, "x", "y", "w"), z: EJECTED }, {}, "panic z"],
    ["one abroad too", { ...WEUR_DOWN, ...all(DOWN, "z", "x", "y"), w: EJECTED }, {}, "panic w"],
    ["but behind its region's origins", { ...all(DOWN, "a", "b", "x", "y", "w"), ...all(EJECTED, "c", "z") }, {}, "panic c"],
    ["a backup that is down, when nobody else may be asked", { ...all(DRAINED, "a", "b", "c", "x", "y"), ...all(DOWN, "z", "w") }, {}, "panic z"],
    ["the last backup of all", { ...all(DRAINED, "a", "b", "c", "x", "y"), w: DOWN }, excluding("z"), "panic w"],
    ["never an origin that was ordered away, or not reached", { ...all(DOWN, "c", "z", "x", "y", "w"), a: DRAINING }, excluding("b"), "panic c"],
  ],
  "refusal, when there is nobody at all": [
    ["all ordered away", all(DRAINED, "a", "b", "c", "z", "x", "y", "w"), {}, "refused no-origin @12"],
    ["none reached", {}, excluding("a", "b", "c", "z", "x", "y", "w"), "refused no-origin @12"],
    ["no region", {}, { regions: [] }, "refused no-origin @0"],
  ],
  "a strict pool waits for an owner that is unplanned gone": [
    ["well", {}, { stickiness: "strict" }, "owner a in weur@12"],
    ["down", { a: DOWN }, { stickiness: "strict" }, "refused owner-lost @12 (a down)"],
    ["ejected", { a: EJECTED }, { stickiness: "strict" }, "refused owner-lost @12 (a ejected)"],
    ["not reached", {}, { stickiness: "strict", ...excluding("a") }, "refused owner-lost @12 (a excluded)"],
    ["a drain still moves it", { a: DRAINING }, { stickiness: "strict" }, "next b in weur@12 (a draining)"],
    ["to one that must be well itself", { a: DRAINING, b: DOWN }, { stickiness: "strict" }, "refused owner-lost @12 (b down)"],
    ["a region that drains as a whole fails over", all(DRAINING, "a", "b", "c", "z"), { stickiness: "strict" }, "failover x in enam@30 (a draining, b draining, c draining, z draining)"],
    ["who holds the session has it, whoever the ring names", { a: DOWN }, { stickiness: "strict", claim: holding("b") }, "claim b in weur@12"],
  ],
  "a strict session waits for whoever holds it, wherever the ring would have it": [
    ["a pin that is down", { b: DOWN }, { stickiness: "strict", pin: holding("b") }, "refused owner-lost @12 (b down)"],
    ["one that is ejected", { b: EJECTED }, { stickiness: "strict", pin: holding("b") }, "refused owner-lost @12 (b ejected)"],
    ["for no longer than that", { b: EJECTED }, { stickiness: "strict", pin: holding("b"), nowMs: 2000 }, "pin b in weur@12"],
    ["one that was not reached", {}, { stickiness: "strict", pin: holding("b"), ...excluding("b") }, "refused owner-lost @12 (b excluded)"],
    ["a claim", { b: DOWN }, { stickiness: "strict", claim: holding("b") }, "refused owner-lost @12 (b down)"],
    ["both, though one of them is over for good", { b: DRAINED, c: DOWN }, { stickiness: "strict", pin: holding("b"), claim: holding("c") }, "refused owner-lost @12 (b drained, c down)"],
    ["abroad", { x: DOWN }, { stickiness: "strict", pin: holding("x") }, "refused owner-lost @12 (x down)"],
    ["at a backup", { z: DOWN }, { stickiness: "strict", pin: holding("z") }, "refused owner-lost @12 (z down)"],
    ["while it drains and falls ill", { b: { ...DRAINING, ...DOWN } }, { stickiness: "strict", pin: holding("b") }, "refused owner-lost @12 (b down)"],
    ["not past its closing epoch, ill or well", { b: { ...CLOSED, ...DOWN } }, { stickiness: "strict", pin: holding("b") }, "owner a in weur@12 (b drained)"],
    ["not when it is gone for good", {}, { stickiness: "strict", pin: holding("q") }, "owner a in weur@12 (q gone)"],
    ["then the owner must be well", { a: DOWN }, { stickiness: "strict", pin: holding("q") }, "refused owner-lost @12 (q gone, a down)"],
    ["any other pool goes on", { b: DOWN }, { pin: holding("b") }, "owner a in weur@12 (b down)"],
    ["and so does what names no session", { b: DOWN }, { stickiness: "strict", keyed: false, pin: holding("b") }, "balance a in weur@12 (b down)"],
  ],
  "without a session nobody waits, and the ring only spreads": [
    ["by the ring", {}, { keyed: false }, "balance a in weur@12"],
    ["strict or not", { a: DOWN }, { keyed: false, stickiness: "strict" }, "balance b in weur@12 (a down)"],
    ["in another region", { ...WEUR_DOWN, z: DOWN }, { keyed: false }, "balance x in enam@30 (a down, b down, c down, z down)"],
  ],
};

const outcome = ([, changes, more]: Row): Decision => decide(situation(changes, more));

describe.each(Object.entries(TABLES))("%s", (_, rows) => {
  test.each(rows)("%s", (...row) => {
    const [, changes, more, wanted] = row;
    const found = told(decide(situation(changes, more)));
    // In panic and refusal everybody was passed over: who is told above.
    expect(/^(panic|refused no)/.test(wanted) ? found.slice(0, wanted.length) : found).toBe(wanted);
  });
});

test("every reason and every refusal has an example above", () => {
  const decisions = Object.values(TABLES).flat().map(outcome);
  const told = new Set<string>(decisions.map((decision) => (decision.kind === "routed" ? decision.reason : decision.why)));
  // Spill (shares of a region) and replay (an origin's word) are in the closed list, and not built yet.
  const NOT_BUILT = ["spill", "replay"];
  expect([...told].toSorted()).toEqual([...REASONS.filter((reason) => !NOT_BUILT.includes(reason)), "no-origin", "owner-lost"].toSorted());
});

describe("the fence of a decision", () => {
  const fenceOf = (more: Partial<Situation>): unknown => {
    const decision = decide(situation({}, more));
    return decision.kind === "routed" ? decision.fence : "refused";
  };
  test("is the pin's or claim's; 0 stands for one that is not known; the ring knows none", () => {
    expect([fenceOf({ pin: holding("b", 5) }), fenceOf({ claim: holding("b", 6) }), fenceOf({ claim: holding("b", 0) }), fenceOf({})]).toEqual([5, 6, undefined, undefined]);
  });
});

describe("the replicas of a session are the next that may take it: one at home, one abroad", () => {
  test.each<[what: string, changes: Record<string, More>, chosen: string, replicas: string[]]>([
    ["behind the owner", {}, "a", ["b", "x"]],
    ["never the chosen itself", {}, "b", ["a", "x"]],
    ["nor the sick or leaving", { b: DOWN, c: DRAINING, x: EJECTED }, "a", ["y"]],
    ["of a session abroad", {}, "x", ["a", "y"]],
    ["nobody, when there is nobody else", all(DOWN, "b", "c", "x", "y"), "a", []],
  ])("%s", (_, changes, chosen, replicas) => {
    expect(replicasOf(situation(changes), chosen)).toEqual(replicas);
  });
});
