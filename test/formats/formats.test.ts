// Everything that outlives a version of the code: written by one, read by the next. Each stored sample is decoded and compared with the
// value written out here, and the value is encoded and compared with the sample. A red test here says that a format has changed:
// docs/formats.md says what must happen then. `Complete` values make the compiler notice a field that was added.

import { readFileSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/core/config.ts";
import { cookieName, readClaims, packed, setCookie, type Claims } from "../../src/core/cookie.ts";
import { markFor, nextFence } from "../../src/core/fence.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { cookieIn } from "../../src/core/identity.ts";
import { newDrain, type DrainOrder } from "../../src/core/drain.ts";
import type { Told } from "../../src/core/ejection.ts";
import { mergeLayers, type Lease, type MemberOrder } from "../../src/core/lifecycle.ts";
import type { Observed } from "../../src/core/observed.ts";
import { fieldForOrigin, fieldForVisitor, LIMPET_FIELD, type OriginFieldFacts } from "../../src/core/limpet-field.ts";
import { carrierObjectName, firstKvKey, GENERATION, hintsKvKey, parseCarrierObjectName, parseRingObjectName, ringObjectName, snapshotKvKey } from "../../src/core/names.ts";
import {
  decodeLiveRequest, encodeLiveRequest, LIVE_HEADER, PROTOCOL_VERSION,
  type EndedItem, type Envelope, type FindItem, type FirstAnswer, type FirstItem, type GivenAnswer, type GuestAnswer, type GuestItem, type LeaveItem, type LiveRequest, type PlaceAnswer, type Placement, type PlaceItem, type RedirectItem, type Stray, type StrayList, type TableRow,
  type EnteredAnswer,
  type LeftItem,
  type Tally,
  type Weight,
} from "../../src/core/protocol.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import { decodeHints, decodeSnapshot, type Hints, type Snapshot } from "../../src/core/snapshot.ts";
import type { Transition } from "../../src/core/transition.ts";
import { keyedHash } from "../../src/platform/keyed-hash.ts";
import { guestId, type GuestRow } from "../../src/platform/ring-table.ts";
import { encodeAny } from "lib0/buffer";
import type { KeptConnection } from "../../src/platform/connection.ts";
import { decodeKept, encodeKept } from "../../src/platform/kept-connection.ts";
import { open, openBytes, seal, sealBytes } from "../../src/platform/seal.ts";

/** Every field written out, those that may be absent among them. */
type Complete<T> = T extends readonly (infer Item)[] ? readonly Complete<Item>[] : T extends object ? { [Name in keyof T]-?: Complete<Exclude<T[Name], undefined>> } : T;

const stored = (name: string): string => readFileSync(new URL(`samples/${name}`, import.meta.url), "utf8");
// The samples are ours; what they hold is what every test here compares.
const sample = <T = unknown>(name: string): T => JSON.parse(stored(name)) as T;
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const KEY_HASH = "320eec8987125e2172380785d4f87f98";
const OTHER_HASH = "08799791fbbcd916edb2a6332d3030ad";
const POINT = { position: 0xfec2ae0e, lot: 0xc4be4887 };

describe("names of objects and KV keys", () => {
  const { ring, slice, ringObject, carrierObject, snapshotKey, hintsKey, keyHash, firstKey, standIn, standInObject } = sample<{
    ring: { pool: string; region: string; generation: number }; slice: number; ringObject: string; carrierObject: string; snapshotKey: string; hintsKey: string; keyHash: string; firstKey: string; standIn: string; standInObject: string;
  }>("names.json");

  test("are found as they were created: another name is another, empty object", () => {
    expect([ringObjectName(ring), carrierObjectName({ ring, slice }), GENERATION]).toEqual([ringObject, carrierObject, 1]);
    expect([carrierObjectName({ ring, slice, standIn }), parseCarrierObjectName(standInObject)]).toEqual([standInObject, { ring, slice, standIn }]);
    expect([parseRingObjectName(ringObject), parseCarrierObjectName(carrierObject)]).toEqual([ring, { ring, slice }]);
    expect([snapshotKvKey(ring.pool, ring.region), hintsKvKey(ring.pool, ring.region), firstKvKey(ring.pool, keyHash)]).toEqual([snapshotKey, hintsKey, firstKey]);
  });
});

describe("the snapshot", () => {
  const configured = (id: string, weight: number, salt: number) => ({ id, url: `https://${id}.example.com`, weight, salt, backup: false });
  const value: Complete<Omit<Snapshot, "origins">> & Pick<Snapshot, "origins"> = {
    format: 1, placement: "v1", pool: "collab", region: "weur", generation: 1, epoch: 12, configRevision: 3, writtenAtMs: 1_800_000_000_000, virtualNodes: 256, hintsVersion: 4,
    kept: { from: 0.35, to: 0.7, startAtMs: 1_800_000_120_000, endAtMs: 1_800_000_180_000 },
    origins: [
      ...mergeLayers({
        members: new Map(), configured: [configured("weur-2", 1.5, 17), configured("weur-1", 1, 0)],
        drains: new Map([["weur-2", { ...newDrain(1), closedAtMs: 2, closedEpoch: 2 }]]),
        down: new Set(["weur-2"]),
      }),
      {
        id: "weur-3", url: "https://weur-3.example.com", weight: 1, salt: 0xffffffff, backup: true, lifecycle: "joining", closed: false,
        health: "ejected", ejectedUntilMs: 1_800_000_030_000, share: { from: 0.1, to: 1, startAtMs: 1_800_000_120_000, endAtMs: 1_800_000_150_000 },
      },
    ],
  };

  test("is read and written as it was stored", () => {
    expect(decodeSnapshot(sample("snapshot-kept.json"))).toStrictEqual(value);
    expect(asJson(value)).toStrictEqual(sample("snapshot-kept.json"));
  });

  test("of an origin in maintenance, one that finishes, and one that has its id from another, says so", () => {
    const [last, ...others] = value.origins.toReversed();
    const fleet = { ...value, origins: [...others.toReversed(), { ...last, maintenance: true, finishUntilMs: 1_800_000_060_000, bornFence: 460_800_000_000_031 }] };
    expect(decodeSnapshot(sample("snapshot-fleet.json"))).toStrictEqual(fleet);
    expect(asJson(fleet)).toStrictEqual(sample("snapshot-fleet.json"));
  });

  test("of a version that knew neither spill nor other placements keeps all keys, placed by v1", () => {
    expect(sample("snapshot.json")).not.toHaveProperty("kept");
    expect(decodeSnapshot(sample("snapshot.json"))).toStrictEqual({ ...value, kept: { from: 1, to: 1, startAtMs: 0, endAtMs: 0 } });
    expect(decodeSnapshot(sample("snapshot.json"))?.kept).toStrictEqual(FULL_SHARE);
  });

  test("may have got fields that are not known here, at every level; another format is refused", () => {
    const [origin, ...rest] = value.origins;
    expect(decodeSnapshot({ ...value, later: 1, origins: [{ ...origin, later: 1 }, ...rest] })).toStrictEqual(value);
    expect(decodeSnapshot({ ...value, format: 2 })).toBeUndefined();
  });

  test("of another placement cannot be read: its keys are elsewhere", () => {
    expect(sample("snapshot.json")).not.toHaveProperty("placement"); // before it was said it was v1
    expect(decodeSnapshot({ ...value, placement: "v2" })).toBeUndefined();
  });
});

test("hints are read and written as they were stored; another format is refused", () => {
  const value: Complete<Hints> = {
    format: 1, pool: "collab", region: "weur", version: 4, complete: true,
    entries: [
      { keyHash: OTHER_HASH, origin: "weur-1", region: "weur", fence: 460_800_000_000_031 },
      { keyHash: KEY_HASH, origin: "enam-2", region: "enam", fence: 460_800_000_000_032 },
    ],
  };
  expect(decodeHints(sample("hints.json"))).toStrictEqual(value);
  expect(asJson(value)).toStrictEqual(sample("hints.json"));
  expect(decodeHints({ ...value, later: 1 })).toStrictEqual(value);
  expect(decodeHints({ ...value, format: 2 })).toBeUndefined();
  const { complete: _, ...before } = value; // of a version that listed all of them
  expect(decodeHints(before)).toStrictEqual(value);
});

describe("the affinity cookie", () => {
  const { secret, nowMs, claims, sealed, setCookie: header } = sample<{ secret: string; nowMs: number; claims: unknown; sealed: string; setCookie: string }>("cookie.json");
  const value: Complete<Claims> = {
    pool: "web", issued: "3f2a1b0c9d8e7f60123456789abcdef0", keyHash: "", source: "issue", home: "weur",
    origin: "weur-1", fence: 460_800_000_000_031, issuedAtMs: 1_800_000_000_000, seenAtMs: 1_800_000_060_000,
  };
  const parsed = parseConfig(
    {
      defaultRegion: "weur", regions: { weur: {} }, pools: { web: { origins: [{ id: "weur-1", region: "weur", url: "http://weur-1.example.com" }] } },
      routes: [{ path: "/*", pool: "web", session: [{ issue: true }] }],
    },
    { dev: true },
  );
  const pool = parsed.ok ? parsed.config.pools["web"] : undefined;
  if (!pool) throw new Error("the configuration of this test is not valid");

  test("holds the claims that were stored", () => {
    expect(readClaims(claims, pool, nowMs)).toStrictEqual(value);
    expect(asJson(packed(value))).toStrictEqual(claims);
    const { home: _home, origin: _origin, issued: _issued, ...bare } = value;
    expect(readClaims(asJson(packed(bare)), pool, nowMs)).toEqual(bare);
  });

  test("still opens, by the secret that sealed it, wherever in the list that stands", async () => {
    for (const secrets of [[secret], ["newer", secret]]) expect(readClaims(await open(secrets, "cookie", sealed), pool, nowMs)).toStrictEqual(value);
  });

  test("is set, and found again, as it was", () => {
    expect(setCookie(pool, false, sealed, value)).toBe(header);
    expect(cookieIn(header.split(";")[0], cookieName(pool, false))).toBe(sealed);
  });

  test("has one text alone: no other last character is the same cookie", async () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const claims of [["a"], ["ab"], ["abc"], ["abcd"]]) {
      const one = await seal([secret], "cookie", claims);
      expect(await open([secret], "cookie", one)).toEqual(claims);
      for (const last of alphabet) if (!one.endsWith(last)) expect(await open([secret], "cookie", one.slice(0, -1) + last)).toBeUndefined();
    }
  });

  test("sealed now has the same form and opens, for its purpose alone", async () => {
    const now = await seal([secret, "older"], "cookie", packed(value));
    expect([now.slice(0, 2), now.length]).toEqual([sealed.slice(0, 2), sealed.length]);
    expect(await open([secret], "cookie", now)).toStrictEqual(asJson(packed(value)));
    expect(await open([secret], "tag", now)).toBeUndefined();
    expect(now).not.toBe(sealed);
  });

  /** A character in the middle changed for another. */
  const changed = (at: number): string => `${sealed.slice(0, at)}${sealed[at] === "A" ? "B" : "A"}${sealed.slice(at + 1)}`;

  test.each<[what: string, secrets: string[], value: string | undefined]>([
    ["absent", [secret], undefined],
    ["empty", [secret], ""],
    ["of another secret", ["other"], sealed],
    ["with no secret at all", [], sealed],
    ["of a newer format", [secret], `2${sealed.slice(1)}`],
    ["without its format", [secret], sealed.slice(2)],
    ["of the format alone", [secret], "1."],
    ["of a nonce alone", [secret], sealed.slice(0, 18)],
    ["cut short", [secret], sealed.slice(0, -1)],
    ["with one character of the nonce changed", [secret], changed(4)],
    ["with one character of the claims changed", [secret], changed(60)],
    ["with one character of the tag changed", [secret], changed(sealed.length - 8)],
    ["with padding", [secret], `${sealed}=`],
    ["with blanks", [secret], `${sealed.slice(0, 40)} ${sealed.slice(40)}`],
    ["of other characters than base64url's", [secret], `${sealed.slice(0, 40)}!${sealed.slice(41)}`],
    ["longer than any of ours", [secret], `${sealed}${"A".repeat(4096)}`],
    ["what another library makes of the same claims", [secret], `1.${btoa('{"alg":"none"}')}..${sealed.slice(2)}`],
  ])("%s is no cookie and no error", async (_, secrets, value) => {
    expect(await open(secrets, "cookie", value)).toBeUndefined();
  });
});

test("the keyed hash of a session key is the one that tables, KV and records hold", async () => {
  const { secret, hashes } = sample<{ secret: string; hashes: { pool: string; key: string; keyHash: string }[] }>("keyed-hash.json");
  for (const { pool, key, keyHash: hash } of hashes) expect(await keyedHash(secret, pool, key)).toBe(hash);
});

test("a fence and its mark are made as they were", () => {
  const { placedAtMs, last, fence, mark } = sample<{ placedAtMs: number; last: number; fence: number; mark: number }>("fence.json");
  expect([nextFence(last, placedAtMs), markFor(fence, last), Math.floor(fence / 256)]).toEqual([fence, mark, placedAtMs]);
});

describe("the live request", () => {
  const { header, request } = sample<{ header: string; request: unknown }>("live-request.json");
  const value: Complete<Omit<LiveRequest, "learned" | "drawn" | "sentOn" | "originSilenceMs" | "parkAfterMs" | "visitor">> = {
    version: 1, position: 0x8115ecba, lot: 0x91975d13, keyHash: OTHER_HASH, keyed: true, key: "Zürich 🐚", claim: { origin: "weur-1", fence: 460_800_000_000_031 },
    requestId: "8f2c1d3e4a5b6c7d-FRA", resume: { mode: "transparent", profile: "y-websocket" }, rehomeOn: [1001, 1006, 1012], quietMs: 100,
  };

  test("is read from its header and written into it as it was", () => {
    expect(LIVE_HEADER).toBe("limpet-live");
    expect(decodeLiveRequest(header)).toStrictEqual(value);
    expect(request).toStrictEqual(value);
    const padded = header.replaceAll("-", "+").replaceAll("_", "/");
    expect(JSON.parse(Buffer.from(padded, "base64").toString())).toStrictEqual(value);
    expect(decodeLiveRequest(encodeLiveRequest(value))).toStrictEqual(value);
  });

  test("may say which network the visitor came from, and need not", () => {
    const more: Complete<Pick<LiveRequest, "visitor">> = { visitor: "5ea1b0c4d7f24a0d8c3b6a59e1f00742" };
    expect(decodeLiveRequest(encodeLiveRequest({ ...value, ...more }))).toStrictEqual({ ...value, ...more });
  });

  test("says where its home was drawn by its key, and that another region's ring has sent it on", () => {
    const more: Complete<Pick<LiveRequest, "drawn" | "sentOn">> = { drawn: true, sentOn: true };
    expect(decodeLiveRequest(encodeLiveRequest({ ...value, ...more }))).toStrictEqual({ ...value, ...more });
  });

  test("carries the hashes of placement v1", () => {
    expect(keyPoint(value.key)).toEqual({ position: value.position, lot: value.lot });
  });
});

describe("what is kept of a parked connection", () => {
  const { secret, sealed, kept } = sample<{ secret: string; sealed: string; kept: { live: LiveRequest } }>("parked.json");
  interface Store {
    sessions(): unknown[];
    connections(): unknown[];
    sealed(id: string): Uint8Array | undefined;
    deleteSession(keyHash: string): void;
  }
  const value: Complete<KeptConnection> = {
    live: { ...sample<{ request: LiveRequest }>("live-request.json").request, parkAfterMs: 60_000 } as Complete<LiveRequest>,
    target: "/collab/doc-1?token=t", headers: { authorization: "Bearer b" }, subprotocol: "s",
    memory: { frames: [new Uint8Array([0, 0, 1, 0]), "text"], sentCount: 3, passedCount: 2 },
  };
  const texts = (each: KeptConnection): unknown => JSON.parse(JSON.stringify(each, (_, member: unknown) => (member instanceof Uint8Array ? [...member] : member)));

  test("is read as it was written, and written as it is read", async () => {
    const opened = await openBytes([secret], "parked", new Uint8Array(Buffer.from(sealed, "base64")));
    expect(opened && texts(decodeKept(opened) as KeptConnection)).toEqual({ format: 1, ...kept });
    expect(texts(value)).toEqual(kept);
    const again = await openBytes([secret], "parked", await sealBytes([secret], "parked", encodeKept(value)));
    expect(again && texts(decodeKept(again) as KeptConnection)).toEqual({ format: 1, ...kept });
  });

  test("of another format, or by another secret, it is not read: its visitor is told to come back", async () => {
    expect(decodeKept(encodeAny({ ...value, format: 2 }).slice().buffer)).toBeUndefined();
    expect(await openBytes(["another"], "parked", new Uint8Array(Buffer.from(sealed, "base64")))).toBeUndefined();
    expect(await openBytes([secret], "cookie", new Uint8Array(Buffer.from(sealed, "base64")))).toBeUndefined();
  });

  test("stands in tables that are found as they were created", async () => {
    const database = new DatabaseSync(":memory:");
    database.exec(stored("carrier-store.sql"));
    const { ParkingStore } = (await import(/* @vite-ignore */ new URL("../../src/platform/parking-store.ts", import.meta.url).pathname)) as { ParkingStore: new (sql: unknown) => Store };
    const store = new ParkingStore({ exec: (sql: string, ...values: SQLInputValue[]) => database.prepare(sql).all(...values) });
    expect(store.sessions()[0]).toMatchObject({ ref: { keyHash: OTHER_HASH }, placement: { origin: "weur-2", fence: 460_800_000_000_032 }, beganAtMs: 1_800_000_000_000, busyAtMs: 1_800_000_060_000 });
    expect(store.connections()).toEqual([{ id: "c-1", keyHash: OTHER_HASH }]);
    expect(Buffer.from(store.sealed("c-1") ?? []).toString("hex")).toBe("010203");
    store.deleteSession(OTHER_HASH);
    expect([store.sessions(), store.connections()]).toEqual([[], []]);
  });
});

describe("carrier and ring object", () => {
  // `learned` is said only where an origin issues the key: a version that does not know it places such a session by its claim all the same.
  const session = { keyHash: KEY_HASH, ...POINT, keyed: true };
  const placement: Complete<Placement> = {
    keyHash: KEY_HASH, origin: "weur-2", region: "weur", fence: 460_800_000_000_032, url: "https://weur-2.example.com", epoch: 12, reason: "next",
    replicas: ["weur-3", "enam-1"], movedFrom: "weur-1",
  };
  const values: {
    readonly envelope: Complete<Envelope>;
    readonly placeItem: Complete<Omit<PlaceItem, "learned" | "drawn" | "opening" | "visitor" | "sentOn">>;
    readonly placeItemOpening: Complete<Omit<PlaceItem, "learned" | "live" | "claim" | "unreached">>;
    readonly moving: Complete<Extract<PlaceAnswer, { kind: "moving" }>>;
    readonly elsewhere: Complete<Extract<PlaceAnswer, { kind: "elsewhere" }>>;
    readonly placed: Complete<Extract<PlaceAnswer, { kind: "placed" }>>;
    readonly refused: Complete<Extract<PlaceAnswer, { kind: "refused" }>>;
    readonly refusedOpening: Complete<Extract<PlaceAnswer, { kind: "refused" }>>;
    readonly leaveItem: Complete<LeaveItem>;
    readonly leftItem: Complete<LeftItem>;
    readonly weight: Complete<Weight>;
    readonly entered: Complete<EnteredAnswer>;
    readonly tally: Complete<Tally>;
    readonly endedItem: Complete<EndedItem>;
    readonly table: { readonly rows: readonly Complete<Omit<TableRow, "learned" | "drawn" | "opening">>[]; readonly asking: readonly string[] };
    readonly tableRowOpening: Complete<Omit<TableRow, "learned" | "movedFrom">>;
    readonly guestItem: Complete<Omit<GuestItem, "learned" | "drawn">>;
    readonly guestPlaced: Complete<Extract<GuestAnswer, { kind: "placed" }>>;
    readonly guestLater: Complete<Extract<GuestAnswer, { kind: "later" }>>;
    readonly guestRefused: Complete<Extract<GuestAnswer, { kind: "refused" }>>;
    readonly guestList: { readonly rows: readonly Complete<Omit<GuestRow, "homeRegion" | "learned" | "drawn">>[]; readonly coming: readonly string[]; readonly partial: true };
    readonly findItem: Complete<Omit<FindItem, "drawn">>;
    readonly firstItem: Complete<FirstItem>;
    readonly firstAnswers: Complete<readonly FirstAnswer[]>;
    readonly redirectItem: Complete<Omit<RedirectItem, "drawn">>;
    readonly givenAnswers: Complete<readonly GivenAnswer[]>;
    readonly strayList: Complete<StrayList>;
    readonly regions: Complete<Pick<Transition, "now" | "before">>;
    readonly told: Complete<Told>;
    readonly placedHeader: Complete<Pick<Placement, "origin" | "region" | "epoch" | "reason" | "fence">>;
  } = {
    envelope: { version: PROTOCOL_VERSION, slice: 3, incarnation: "001800000000000-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", seq: 17 },
    placeItem: {
      ...session, live: { origin: "weur-1", region: "weur", url: "https://weur-1.example.com", fence: 460_800_000_000_031 }, claim: { origin: "weur-2", fence: 460_799_999_999_000 }, excluded: ["weur-1"],
      unreached: true,
    },
    placeItemOpening: { ...session, drawn: true, excluded: [], opening: true, visitor: "5ea1b0c4d7f24a0d8c3b6a59e1f00742", sentOn: true },
    moving: { kind: "moving", keyHash: KEY_HASH },
    elsewhere: { kind: "elsewhere", keyHash: KEY_HASH, region: "enam" },
    placed: { kind: "placed", placement, probedAtMs: 1_800_000_000_000 },
    refused: { kind: "refused", keyHash: KEY_HASH, why: "owner-lost", epoch: 12 },
    refusedOpening: { kind: "refused", keyHash: KEY_HASH, why: "too-many-sessions", epoch: 12 },
    leaveItem: { keyHash: KEY_HASH, fence: 460_800_000_000_031, planned: true },
    leftItem: { keyHash: KEY_HASH, connections: 2, reached: true },
    weight: { keyHash: KEY_HASH, connections: 2, frames: 120 },
    entered: { absent: [OTHER_HASH], failed: [KEY_HASH] },
    tally: { gaps: [0, 4, 2, 1, 0, 0, 0, 0], heldFrames: 31, refused: 1 },
    endedItem: { keyHash: KEY_HASH, fence: 460_800_000_000_032 },
    table: { rows: [{ ...session, origin: "weur-2", region: "weur", url: "https://weur-2.example.com", fence: 460_800_000_000_032, connections: 2, reason: "next", movedFrom: "weur-1" }], asking: [OTHER_HASH] },
    tableRowOpening: { ...session, drawn: true, origin: "weur-2", region: "weur", url: "https://weur-2.example.com", fence: 460_800_000_000_032, connections: 1, reason: "next", opening: true },
    guestItem: { ...session, homeRegion: "weur", excluded: ["enam-2"], held: "enam-1", fence: 460_800_000_000_033, tokens: { count: 2, urgent: true } },
    guestPlaced: { kind: "placed", origin: "enam-1", url: "https://enam-1.example.com", epoch: 30, waitMs: 40 },
    guestLater: { kind: "later" },
    guestRefused: { kind: "refused" },
    guestList: {
      rows: [{ ...session, origin: "enam-1", fence: 460_800_000_000_033 }],
      coming: [guestId({ keyHash: OTHER_HASH, fence: 460_800_000_000_034 })],
      partial: true,
    },
    findItem: { ...session, learned: true, claim: { origin: "weur-2", fence: 460_799_999_999_000 }, excluded: ["weur-1"] },
    firstItem: { keyHash: KEY_HASH, nearest: "weur", visitor: "8a5edab282632443219e051e4ade2d1d", lot: POINT.lot, handedOn: true },
    firstAnswers: [{ kind: "region", region: "weur" }, { kind: "too-many-sessions" }],
    redirectItem: { ...session, learned: true, claim: { origin: "weur-1", fence: 460_799_999_999_000 }, from: "weur-1", to: "weur-2" },
    givenAnswers: [{ kind: "here" }, { kind: "yours", fence: 460_800_000_000_032 }, { kind: "elsewhere", region: "apac" }, { kind: "unknown" }],
    strayList: { strays: [{ keyHash: KEY_HASH, origin: "weur-2", region: "weur", fence: 460_800_000_000_032 }], partial: true },
    regions: {
      now: [{ id: "enam", weight: 2 }, { id: "weur", weight: 1 }],
      before: [{ regions: [{ id: "weur", weight: 1 }], untilMs: 1_800_086_400_000 }],
    },
    told: { ok: 7, errors: 2, unreached: 5, slow: 1, keys: [POINT.lot, 17], slowKeys: [4] },
    placedHeader: { origin: "weur-2", region: "weur", epoch: 12, reason: "next", fence: 460_800_000_000_032 },
  };
  const samples = sample<Record<string, unknown>>("protocol.json");

  test.each(Object.entries(values))("%s has the shape that was stored, and passes by value", (name, value) => {
    expect(value).toStrictEqual(samples[name]);
    expect(structuredClone(value)).toStrictEqual(value);
  });

  test("has a sample of everything", () => {
    expect(Object.keys(samples)).toEqual(Object.keys(values));
  });

  test("a carrier's later life is the larger text", () => {
    const { incarnation } = values.envelope;
    const [startedAtMs = ""] = incarnation.split("-");
    expect([Number(startedAtMs), startedAtMs.length]).toEqual([1_800_000_000_000, 15]);
    expect(incarnation.replace("0018", "0019") > incarnation).toBe(true);
  });
});

test("the Limpet field is written as origins and visitors parse it", () => {
  const { toOrigin, toOriginDisplayString, toVisitor } = sample<Record<"toOrigin" | "toOriginDisplayString" | "toVisitor", string>>("limpet-field.json");
  const facts: Complete<OriginFieldFacts> = {
    session: "doc-1", origin: "weur-1", region: "weur", epoch: 12, fence: 460_800_000_000_031, reason: "owner", replicas: ["weur-2", "enam-1"], movedFrom: "weur-4",
    request: "8f2c1d3e4a5b6c7d-FRA", attempt: 2, handover: "take",
  };
  const { handover: _handover, fence: _fence, movedFrom: _movedFrom, request: _request, attempt: _attempt, ...stateless } = facts;
  expect(LIMPET_FIELD).toBe("Limpet");
  expect(fieldForOrigin(facts)).toBe(toOrigin);
  expect(fieldForOrigin({ ...stateless, session: "Zürich 🐚", reason: "claim", replicas: [] })).toBe(toOriginDisplayString);
  expect(fieldForVisitor(facts)).toBe(toVisitor);
});

describe("the database of a ring object", () => {
  interface Given { readonly region: string; readonly untilMs: number }
  type Known = Stray & { readonly home: string };
  interface Store {
    text(key: string): string | undefined;
    number(key: string): number;
    set(key: string, value: string | number): void;
    config(): unknown;
    setConfig(config: object): void;
    drains(): Map<string, DrainOrder>;
    setDrain(origin: string, drain: DrainOrder | undefined): void;
    members(): Map<string, MemberOrder>;
    setMember(origin: string, order: MemberOrder | undefined): void;
    down(): Set<string>;
    setDown(origin: string, down: boolean): void;
    observed(): Map<string, Observed>;
    setObserved(origin: string, facts: Observed | undefined): void;
    readonly side: { leases(): Map<string, Lease>; setLease(id: string, lease: Lease | undefined): void; births(): Map<string, number>; setBirth(id: string, fence: number | undefined): void; given(): Map<string, Given>; setGiven(keyHash: string, given: Given | undefined): void; strays(): Map<string, Known>; setStray(keyHash: string, stray: Known | undefined): void };
    pins(): Map<string, unknown>;
    setPin(pin: object): void;
    deletePin(keyHash: string): void;
  }

  /** Opened by the store itself, on Node's SQLite in place of the platform's. Loaded by name: its types are the platform's. */
  async function openStore(db: DatabaseSync): Promise<Store> {
    const { RingStore } = (await import(/* @vite-ignore */ new URL("../../src/platform/ring-store.ts", import.meta.url).pathname)) as { RingStore: new (sql: unknown) => Store };
    return new RingStore({ exec: (sql: string, ...values: SQLInputValue[]) => db.prepare(sql).all(...values) });
  }
  function database(sql = ""): DatabaseSync {
    const db = new DatabaseSync(":memory:");
    db.exec(sql);
    return db;
  }
  const rowsOf = (db: DatabaseSync, select: string): unknown[] => db.prepare(select).all().map((row) => ({ ...row }));
  const schemaOf = (db: DatabaseSync): unknown[] => rowsOf(db, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name");
  const SIDE = ["drain_terms", "departures", "leases", "births", "given", "strays"];
  const contentOf = (db: DatabaseSync): unknown => ["meta", "drains", "members", "down", "observed", "pins", "orders", ...SIDE].map((table) => rowsOf(db, `SELECT * FROM ${table} ORDER BY 1`));

  const RING_STORE = stored("ring-store.sql") + stored("ring-side-store.sql");
  const meta = { schema: 1, name: "v1:collab@weur#g1", epoch: 12, hintsVersion: 4, fenceMark: 460_800_002_560_031, published: "12.4", kept: '{"from":0.7,"to":1,"startAtMs":1800000030000,"endAtMs":1800000060000}', regionDown: '[["weur-2",1800000000000]]', regions: '{"now":[{"id":"enam","weight":2},{"id":"weur","weight":1}],"before":[{"regions":[{"id":"weur","weight":1}],"untilMs":1800086400000}],"untold":["apac"]}' };
  const origins = [{ id: "weur-1", url: "https://weur-1.example.com", weight: 1, salt: 0, backup: false }];
  const config = { revision: 3, content: JSON.stringify([256, origins]), virtualNodes: 256, origins };
  const steps = { orderedAtMs: 1_800_000_000_000, closedAtMs: 1_800_000_060_000, closedEpoch: 11, publishedAtMs: 1_800_000_061_000, drainedAtMs: undefined };
  const drain: DrainOrder = { ...steps, mode: "finish", deadlineMs: 60_000, by: "ann" };
  const unsaid = { url: undefined, weight: undefined, salt: undefined, backup: undefined, leavingAtMs: undefined, goneAtMs: undefined, leftBy: undefined };
  const members = new Map<string, MemberOrder>([
    ["weur-1", { ...unsaid, weight: 2 }],
    ["weur-3", { ...unsaid, url: "https://weur-3.example.com", weight: 0.5, salt: 4_294_967_295, backup: true, leavingAtMs: 1_800_000_050_000, leftBy: "config" }],
    ["weur-4", { ...unsaid, backup: false, leavingAtMs: 1_800_000_000_000, goneAtMs: 1_800_000_040_000, leftBy: "bob" }],
  ]);
  const whole: { readonly [Fact in keyof Observed]-?: NonNullable<Observed[Fact]> } = {
    joining: true, fellAtMs: 1_800_000_000_000, share: { from: 0, to: 0.75, startAtMs: 1_800_000_120_000, endAtMs: 1_800_000_150_000 },
    ejection: { why: "errors", times: 2, untilMs: 1_800_000_060_000, boundAtMs: 1_800_000_211_000, endedAtMs: 1_800_000_060_100 },
    word: { down: false, maintenance: true, drain: true, share: 0.75 },
  };
  const observed = new Map<string, Observed>([["weur-1", whole], ["weur-3", { joining: true }]]);
  const leases = new Map<string, Lease>([
    ["weur-5", { url: "https://weur-5.example.com", weight: 0.5, ttlMs: 30_000, instance: "pod-7", by: "pods", lapsedAtMs: 1_800_000_070_000 }],
    ["weur-6", { url: "https://weur-6.example.com", weight: 1, ttlMs: 10_000, instance: undefined, by: "pods", lapsedAtMs: undefined }],
  ]);
  const births = new Map([["weur-5", 460_800_000_000_040]]);
  const given = new Map<string, Given>([[OTHER_HASH, { region: "apac", untilMs: 1_800_000_240_000 }]]);
  const strays = new Map<string, Known>([[OTHER_HASH, { keyHash: OTHER_HASH, home: "enam", origin: "enam-1", region: "enam", fence: 460_800_000_000_041 }]]);
  const pin = { keyHash: KEY_HASH, ...POINT, keyed: true, origin: "enam-2", region: "enam", fence: 460_800_000_000_032, orderedUntilMs: 1_800_000_180_000 };

  test("written by the stored version is read", async () => {
    const store = await openStore(database(RING_STORE));
    for (const [key, value] of Object.entries(meta)) expect([key, store.text(key), typeof value === "number" ? store.number(key) : value]).toEqual([key, String(value), value]);
    expect(store.config()).toStrictEqual(config);
    expect(store.drains()).toStrictEqual(new Map([["weur-2", drain]]));
    expect(store.down()).toEqual(new Set(["weur-2"]));
    expect(store.observed()).toStrictEqual(observed);
    expect(store.members()).toStrictEqual(members);
    expect([store.side.leases(), store.side.births(), store.side.given(), store.side.strays()]).toStrictEqual([leases, births, given, strays]);
    expect(store.pins()).toStrictEqual(new Map([[KEY_HASH, pin]]));
  });

  test("made and written now is the stored version's, table by table and row by row", async () => {
    const [then, now] = [database(RING_STORE), database()];
    const store = await openStore(now);
    expect(schemaOf(now)).toEqual(schemaOf(then));
    for (const [key, value] of Object.entries(meta)) if (key !== "schema") store.set(key, value); // it writes that one itself
    store.setConfig(config);
    store.setDrain("weur-2", drain);
    store.setDown("weur-2", true);
    for (const [id, facts] of observed) store.setObserved(id, facts);
    for (const [id, order] of members) store.setMember(id, order);
    for (const [id, lease] of leases) store.side.setLease(id, lease);
    for (const [id, fence] of births) store.side.setBirth(id, fence);
    for (const [keyHash, each] of given) store.side.setGiven(keyHash, each);
    for (const [keyHash, each] of strays) store.side.setStray(keyHash, each);
    store.setPin(pin);
    expect(contentOf(now)).toEqual(contentOf(then));
  });

  test("of a version that knew no orders has none", async () => {
    const db = database(RING_STORE);
    db.exec("DROP TABLE orders");
    expect((await openStore(db)).pins()).toStrictEqual(new Map([[KEY_HASH, { ...pin, orderedUntilMs: 0 }]]));
  });

  test("of a version that observed no more than who is down has every origin active, with its full share", async () => {
    const db = database(stored("ring-store.sql"));
    db.exec("DROP TABLE observed");
    expect((await openStore(db)).observed()).toEqual(new Map());
  });

  test("of a version that knew no orders on membership has none", async () => {
    const db = database(RING_STORE);
    db.exec("DROP TABLE members");
    expect((await openStore(db)).members()).toEqual(new Map());
  });

  test("of a version that knew no terms and no leases has none, and what that has written since is not what stands beside it", async () => {
    const db = database(stored("ring-store.sql"));
    const store = await openStore(db);
    expect(store.drains()).toStrictEqual(new Map([["weur-2", { ...steps, mode: "move", deadlineMs: undefined, by: "" }]]));
    expect([...store.members().values()].map(({ leftBy }) => leftBy)).toEqual([undefined, undefined, undefined]);
    store.setDrain("weur-2", drain);
    for (const [id, order] of members) store.setMember(id, order);
    db.exec("UPDATE drains SET ordered_at_ms = ordered_at_ms + 1; UPDATE members SET leaving_at_ms = leaving_at_ms + 1");
    expect([...store.drains().values(), ...store.members().values()].map((order) => ("by" in order ? order.by : order.leftBy))).toEqual(["", undefined, undefined, undefined]);
  });

  test("is left as it was by whoever opens it again, a later version's number too", async () => {
    const db = database(RING_STORE);
    const before = [schemaOf(db), contentOf(db)];
    await openStore(db);
    expect([schemaOf(db), contentOf(db)]).toEqual(before);
    db.exec("UPDATE meta SET value = '2' WHERE key = 'schema'");
    expect((await openStore(db)).number("schema")).toBe(2);
  });

  test("forgets what is taken back", async () => {
    const db = database(RING_STORE);
    const store = await openStore(db);
    const ordered = newDrain(1);
    store.setDrain("weur-2", ordered);
    expect(store.drains()).toStrictEqual(new Map([["weur-2", ordered]]));
    store.setDrain("weur-2", undefined);
    store.setDown("weur-2", false);
    store.deletePin(KEY_HASH);
    for (const id of members.keys()) store.setMember(id, undefined);
    for (const id of observed.keys()) store.setObserved(id, undefined);
    expect(store.observed()).toEqual(new Map());
    for (const id of leases.keys()) store.side.setLease(id, undefined);
    for (const id of births.keys()) store.side.setBirth(id, undefined);
    for (const keyHash of given.keys()) store.side.setGiven(keyHash, undefined);
    for (const keyHash of strays.keys()) store.side.setStray(keyHash, undefined);
    for (const table of SIDE) expect([table, rowsOf(db, `SELECT * FROM ${table}`)]).toEqual([table, []]);
    expect([store.drains(), store.down(), store.pins(), store.members()]).toEqual([new Map(), new Set(), new Map(), new Map()]);
  });
});
