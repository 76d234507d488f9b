// The rings that are compared, each behind the same few calls, with the settings that suit it best. Virtual nodes are points on the ring.

import { createRequire } from "node:module";
import { hashText, POSITION_SEED } from "../../src/core/hash.ts";
import { buildRing, ownerOf, type RingMember } from "../../src/core/ring.ts";
import { saltsOf } from "../../src/core/salts.ts";

export interface Contestant {
  readonly name: string;
  /** A ring of equal origins. */
  readonly build: (ids: readonly string[], virtualNodes: number) => Contender;
}

export interface Contender {
  readonly ownerOf: (key: string) => string;
  /** Each may change the ring itself or give a new one. */
  readonly join: (id: string) => Contender;
  readonly leave: (id: string) => Contender;
  /** Twice the weight for one origin; absent where the package knows no weights. */
  readonly double?: (id: string) => Contender;
}

const require = createRequire(import.meta.url);

export const LIMPET: Contestant = {
  name: "limpet",
  build: (ids, virtualNodes) => limpet(salted(ids, virtualNodes), virtualNodes),
};

/** A fleet whose origins joined one after the other, each with the salt it was given then. */
export function joined(ids: readonly string[], virtualNodes: number): RingMember[] {
  return ids.reduce<RingMember[]>((fleet, id) => {
    const salt = saltsOf([...fleet, { id, weight: 1 }], virtualNodes).get(id) ?? 0;
    return [...fleet, { id, weight: 1, salt }];
  }, []);
}

/** A fleet with its canonical salts. */
export function salted(ids: readonly string[], virtualNodes: number): RingMember[] {
  const fleet = ids.map((id) => ({ id, weight: 1 }));
  const salts = saltsOf(fleet, virtualNodes);
  return fleet.map((member) => ({ ...member, salt: salts.get(member.id) ?? 0 }));
}

export function limpet(fleet: readonly RingMember[], virtualNodes: number): Contender {
  const ring = buildRing(fleet, virtualNodes);
  return {
    ownerOf: (key) => ownerOf(ring, hashText(key, POSITION_SEED)) ?? "",
    join: (id) => limpet([...fleet, { id, weight: 1, salt: saltsOf([...fleet, { id, weight: 1 }], virtualNodes).get(id) ?? 0 }], virtualNodes),
    leave: (id) =>
      limpet(
        fleet.filter((member) => member.id !== id),
        virtualNodes,
      ),
    double: (id) =>
      limpet(
        fleet.map((member) => (member.id === id ? { ...member, weight: member.weight * 2 } : member)),
        virtualNodes,
      ),
  };
}

interface HashRing {
  get(key: string): string;
  add(servers: Record<string, { vnodes: number }>): HashRing;
  remove(server: string): HashRing;
}

/** npm hashring 3.2.0: MD5, four points a digest. Its cache of 5,000 keys stays on, as users have it. */
const hashring: Contestant = {
  name: "hashring",
  build: (ids, virtualNodes) => {
    const HashRing = require("hashring") as new (servers: Record<string, { vnodes: number }>, algorithm: string) => HashRing;
    const vnodes = virtualNodes / 4;
    const servers = (fleet: readonly string[], doubled?: string) =>
      Object.fromEntries(fleet.map((id) => [id, { vnodes: id === doubled ? vnodes * 2 : vnodes }]));
    const contender = (ring: HashRing): Contender => ({
      ownerOf: (key) => ring.get(key),
      join: (id) => contender(ring.add(servers([id]))),
      leave: (id) => contender(ring.remove(id)),
      double: (id) => contender(new HashRing(servers(ids, id), "md5")),
    });
    return contender(new HashRing(servers(ids), "md5"));
  },
};

interface ConsistentHash {
  get(key: string): string;
  add(node: string, points: number): ConsistentHash;
  remove(node: string): ConsistentHash;
}

/**
 * npm consistent-hash 1.2.2, its points by chance as it does by default (so no two routers agree). Its other way, evenly spaced points, is even
 * only for those who are there at the start: joined one by one, one origin gets all keys. The range is wide enough for these points.
 */
const consistentHash: Contestant = {
  name: "consistent-hash",
  build: (ids, virtualNodes) => {
    const ConsistentHash = require("consistent-hash") as new (options: { range: number }) => ConsistentHash;
    const ring = new ConsistentHash({ range: 1_000_003 * 97 });
    for (const id of ids) ring.add(id, virtualNodes);
    const contender: Contender = {
      ownerOf: (key) => ring.get(key),
      join: (id) => (ring.add(id, virtualNodes), contender),
      leave: (id) => (ring.remove(id), contender),
      double: (id) => (ring.add(id, virtualNodes), contender),
    };
    return contender;
  },
};

interface NodeHashring {
  findNode(key: string): string;
  addNode(node: string): void;
  removeNode(node: string): void;
}

/** npm node-hashring 1.0.2: MurmurHash3 and a binary search. */
const nodeHashring: Contestant = {
  name: "node-hashring",
  build: (ids, virtualNodes) => {
    const NodeHashring = require("node-hashring") as new (nodes: readonly string[], virtualNodes: number) => NodeHashring;
    const ring = new NodeHashring(ids, virtualNodes);
    const contender: Contender = {
      ownerOf: (key) => ring.findNode(key),
      join: (id) => (ring.addNode(id), contender),
      leave: (id) => (ring.removeNode(id), contender),
    };
    return contender;
  },
};

export const CONTESTANTS: readonly Contestant[] = [LIMPET, hashring, consistentHash, nodeHashring];
