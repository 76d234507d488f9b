// A process that has compiled nothing yet: how long until its ring answers for the first time. Prints milliseconds, whole and in parts.
//   cold.ts limpet FILE    parses the snapshot in FILE, 100 origins × 256, and decides for one key
//   cold.ts points FILE    only hashes that snapshot's 25,600 points: less than this no ring of such points can take
//   cold.ts hashring       builds hashring's ring of 100 × 256, and looks one key up

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { decide } from "../../src/core/decide.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { pointCount, pointsOf } from "../../src/core/ring.ts";
import { decodeSnapshot, viewOf } from "../../src/core/snapshot.ts";

/** Milliseconds by part. */
type Parts = Readonly<Record<string, number>>;

const [who, file = ""] = process.argv.slice(2);

function limpetParts(): Parts {
  const stored = readFileSync(file, "utf8");
  const startMs = performance.now();
  const snapshot = decodeSnapshot(JSON.parse(stored));
  if (!snapshot) throw new Error(`${file} holds no snapshot`);
  const decodedMs = performance.now();
  const view = viewOf(snapshot);
  const builtMs = performance.now();
  const decision = decide({
    key: keyPoint("doc-1"),
    keyed: true,
    regions: [view],
    excluded: new Set(),
    policy: { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 },
    balance: { kind: "ring" },
    nowMs: 1,
  });
  const endMs = performance.now();
  if (decision.kind !== "routed") throw new Error("the snapshot decides nothing");
  return { whole: endMs - startMs, decode: decodedMs - startMs, ring: builtMs - decodedMs, decide: endMs - builtMs };
}

function pointsParts(): Parts {
  const snapshot = decodeSnapshot(JSON.parse(readFileSync(file, "utf8")));
  const startMs = performance.now();
  for (const { id, salt, weight } of snapshot?.origins ?? []) pointsOf(id, salt, pointCount(weight, snapshot?.virtualNodes ?? 0));
  return { whole: performance.now() - startMs };
}

function hashringParts(): Parts {
  type Ring = new (servers: readonly string[], algorithm: string, options: object) => { get(key: string): string };
  const HashRing = createRequire(import.meta.url)("hashring") as Ring;
  const ids = Array.from({ length: 100 }, (_, n) => `o-${n + 1}`);
  const startMs = performance.now();
  if (new HashRing(ids, "md5", { "vnode count": 64 }).get("doc-1") === undefined) throw new Error("hashring found nobody");
  return { whole: performance.now() - startMs };
}

const run = { limpet: limpetParts, points: pointsParts, hashring: hashringParts }[who ?? ""];
if (!run) throw new Error(`cold.ts knows no ${who}`);
console.log(JSON.stringify(run()));
