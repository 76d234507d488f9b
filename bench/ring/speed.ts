// One contestant in a process of its own, so that none is compiled for the shapes of another: it measures one thing each time it is asked.
// Sent `{ task }`, answers `{ value }`; ends with its parent.

import { decide } from "../../src/core/decide.ts";
import { fraction, hashText, keyPoint, murmur3 } from "../../src/core/hash.ts";
import { secretOf, pointOf } from "../../src/core/secret-point.ts";
import { buildRing } from "../../src/core/ring.ts";
import { CONTESTANTS, LIMPET, limpet, salted, type Contender, type Contestant } from "./contestants.ts";
import { snapshotView } from "./fleet.ts";
import { sessionKeys } from "./keys.ts";

export type Task = "lookupsPerSecond" | "buildMs" | "joinMs" | "bytes" | "decidesPerSecond" | `hash:${string}`;

const KEYS_COUNT = 1_000_000;
const IDS = Array.from({ length: 100 }, (_, n) => `o-${n + 1}`);

const name = process.argv[2];
const contestant = CONTESTANTS.find((each) => each.name === name) ?? LIMPET;

/** What was measured last: kept, so that nothing is left out as dead. */
export let kept: unknown;
let keys: readonly string[] | undefined;
let ring: Contender | undefined;

process.on("message", ({ task }: { task: Task }) => void answer(task));

async function answer(task: Task): Promise<void> {
  process.send?.({ value: await measure(task) });
}

function measure(task: Task): number | Promise<number> {
  switch (task) {
    case "lookupsPerSecond":
      ring ??= contestant.build(IDS, 256);
      return perSecond(ring.ownerOf);
    case "buildMs":
      return buildMs(contestant);
    case "joinMs":
      return joinMs(contestant);
    case "bytes":
      return bytesOf(contestant);
    case "decidesPerSecond":
      return decidesPerSecond();
    default:
      return perSecond(hasher(task.slice("hash:".length)));
  }
}

/** One pass over a million distinct keys. */
function perSecond(look: (key: string) => unknown): number {
  keys ??= sessionKeys(KEYS_COUNT);
  const startMs = performance.now();
  for (const key of keys) kept = look(key);
  return (keys.length / (performance.now() - startMs)) * 1000;
}

/** 100 origins with 512 points each; salts are given, as in a snapshot. */
function buildMs(contestant: Contestant): number {
  const fleet = IDS.map((id) => ({ id, weight: 1, salt: 7 }));
  return took(() => (contestant === LIMPET ? buildRing(fleet, 512) : contestant.build(IDS, 512)));
}

/** One origin into 100 with 256 points each, until it can be asked again; the joiner's salt is searched. */
function joinMs(contestant: Contestant): number {
  const before = contestant === LIMPET ? limpet(saltedOnce(), 256) : contestant.build(IDS, 256);
  kept = before.ownerOf("ready");
  return took(() => before.join("joiner").ownerOf("asked"));
}

let saltedFleet: ReturnType<typeof salted> | undefined;
function saltedOnce(): ReturnType<typeof salted> {
  return (saltedFleet ??= salted(IDS, 256));
}

/** Memory of one ring of 100 × 256, the mean of ten; needs --expose-gc. */
async function bytesOf(contestant: Contestant): Promise<number> {
  const COUNT = 10;
  const fleet = contestant === LIMPET ? saltedOnce() : [];
  kept = undefined; // the rings of the round before
  const before = await usedBytes();
  const rings: Contender[] = [];
  for (let n = 0; n < COUNT; n++) {
    const made = contestant === LIMPET ? limpet(fleet, 256) : contestant.build(IDS, 256);
    if (made.ownerOf("warm") !== "") rings.push(made); // some finish their tables only when they are asked
  }
  kept = rings;
  return ((await usedBytes()) - before) / rings.length;
}

/** Heap and buffers in use. What typed arrays leave behind is given back only after a while and another collection. */
async function usedBytes(): Promise<number> {
  for (let n = 0; n < 4; n++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A whole decision for a key, both its hashes included, on a snapshot of 100 origins. */
function decidesPerSecond(): number {
  const regions = [snapshotView(saltedOnce(), 256)];
  const excluded = new Set<string>();
  const policy = { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 } as const;
  const balance = { kind: "ring" } as const;
  const nowMs = 1_800_000_000_000;
  return perSecond((key) => decide({ key: keyPoint(key), keyed: true, regions, excluded, policy, balance, nowMs }));
}

/** Ways to hash a key that were weighed against each other (docs/decisions.md). */
function hasher(way: string): (key: string) => unknown {
  const encoder = new TextEncoder();
  const secret = secretOf("a seed of this benchmark");
  const ways: Readonly<Record<string, (key: string) => unknown>> = {
    "murmur3, characters read in place": (key) => hashText(key, 0),
    "murmur3, encoded first": (key) => murmur3(encoder.encode(key), 0),
    "FNV-1a, characters read in place": (key) => fnv1a(key),
    "SipHash-2-4 (a pool's seed)": (key) => pointOf(key, secret),
    "murmur3, for a share": (key) => fraction(key.length, "origin/weur-1"),
  };
  return ways[way] ?? (() => undefined);
}

/** 32 bits (Fowler, Noll, Vo): the smallest hash that is used for rings. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

function took(work: () => unknown): number {
  const startMs = performance.now();
  kept = work();
  return performance.now() - startMs;
}
