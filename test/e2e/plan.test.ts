// What `plan` and `explain` say is what then really happens, and neither changes anything.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

interface Planned {
  readonly epoch: number;
  readonly movedShare: number;
  readonly optimumShare: number;
  readonly elsewhere: { readonly after: number };
  readonly origins: readonly { id: string; before: number; after: number; gained: number; lost: number }[];
  readonly sessions: {
    readonly live: number;
    readonly moved: number;
    readonly stranded: number;
    readonly guests: number;
    readonly origins: readonly { id: string; region: string; gained: number; lost: number }[];
  };
}

let stack: LiveStack;

afterEach(() => stack.stop());

const SESSIONS = 40;
const KEYS = names("key-", 200);
/** Nobody falls because this machine is busy. */
const health = { intervalMs: 1_000, timeoutMs: 900, rise: 1, fall: 10 };
/** Many questions on a busy machine. */
const LONG = { timeout: 120_000 };
const IDS = ["o0", "o1", "o2"];

async function order<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await stack.client.fetch(`/_limpet/v1/${path}`, {
    method,
    headers: { authorization: "Bearer dev" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

const plan = (...changes: readonly object[]): Promise<Planned> => order("POST", "rings/live/weur/plan", { changes });

/** Where each live session is, as the origins know. */
function owners(): Map<string, string> {
  return new Map(stack.origins.flatMap((origin) => origin.open().map(({ session }) => [session, origin.id] as const)));
}

/** Of each origin how many sessions it has got and lost, by id. */
function changes(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): [id: string, gained: number, lost: number][] {
  const moved = [...before].filter(([session, id]) => after.get(session) !== id);
  const ids = [...new Set(moved.flatMap(([session, id]) => [id, after.get(session) ?? ""]))].toSorted();
  return ids.map((id) => [id, moved.filter(([session]) => after.get(session) === id).length, moved.filter(([, from]) => from === id).length]);
}

/** Where the ring has each of many keys: as the ring object explains it. */
async function places(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let first = 0; first < KEYS.length; first += 10) {
    await Promise.all(
      KEYS.slice(first, first + 10).map(async (key) => {
        const { ring } = await order<{ ring: { decision: { origin: string } } }>("POST", "explain", { url: `https://app.example.com/live/${key}` });
        found.set(key, ring.decision.origin);
      }),
    );
  }
  return found;
}

const planned = ({ sessions }: Planned): [string, number, number][] => sessions.origins.map(({ id, gained, lost }) => [id, gained, lost]);

/** Carries out what was planned, and holds both the live sessions and many keys against it. */
async function expectAsPlanned(change: object, carryOut: () => Promise<unknown>): Promise<void> {
  const [sessionsBefore, placesBefore] = [owners(), await places()];
  const ring = await stack.ring();
  const told = await plan(change);
  expect(await plan(change)).toEqual(told);
  expect([(await stack.ring()).epoch, told.epoch, told.sessions.live, told.sessions.guests, told.sessions.stranded]).toEqual([
    ring.epoch,
    ring.epoch,
    SESSIONS,
    0,
    0,
  ]);
  expect(owners()).toEqual(sessionsBefore);
  await carryOut();
  await eventually("the sessions are where they were planned", () => {
    const now = owners();
    return now.size === SESSIONS && JSON.stringify(changes(sessionsBefore, now)) === JSON.stringify(planned(told));
  }).catch(() => expect(changes(sessionsBefore, owners())).toEqual(planned(told)));
  await stack.settled();
  expect(changes(sessionsBefore, owners())).toEqual(planned(told));
  expect(told.sessions.moved).toBe(planned(told).reduce((sum, [, gained]) => sum + gained, 0));
  const placesNow = await places();
  const movedCount = [...placesBefore].filter(([key, id]) => placesNow.get(key) !== id).length;
  const TOLERANCE = 4 * Math.sqrt((told.movedShare * (1 - told.movedShare)) / KEYS.length); // four times a sample's deviation
  expect(Math.abs(movedCount / KEYS.length - told.movedShare)).toBeLessThan(TOLERANCE);
  expect(told.movedShare).toBeGreaterThan(0);
  // Which keys a region keeps is drawn apart from where they stand: some go to a neighbour while some of its own go abroad.
  if (told.elsewhere.after === 0) expect(told.movedShare).toBeLessThan(told.optimumShare * 1.05);
  for (const { id, lost, gained } of told.origins) {
    const really = changes(placesBefore, placesNow).find(([each]) => each === id) ?? [id, 0, 0];
    if (lost === 0) expect([id, really[2]]).toEqual([id, 0]);
    if (gained === 0) expect([id, really[1]]).toEqual([id, 0]);
  }
}

test("hold: true: a drain moves what was planned, then a removal does", LONG, async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { health, slowStart: { windowMs: 500 } } });
  await stack.joinAll(names("s", SESSIONS));
  await expectAsPlanned({ drain: "o0" }, () => stack.drain("o0"));
  const held = owners();
  const back = await plan({ undrain: "o0" });
  expect([back.sessions.moved, back.movedShare > 0]).toEqual([0, true]); // keys come back, sessions stay
  await stack.undrain("o0");
  await eventually("it has its share", async () => (await stack.ring()).origins.every(({ share }) => share === 1));
  await stack.settled();
  expect(owners()).toEqual(held);
  await order("GET", "rings/live/weur/origins/o0?waitFor=serving&timeoutMs=20000"); // a plan compares how things are when shares are there
  await expectAsPlanned({ remove: "o1" }, () => order("DELETE", "rings/live/weur/origins/o1"));
});

test("hold: false: sessions follow another weight, and one who joins, as planned", LONG, async () => {
  stack = await LiveStack.start({ ids: [...IDS, "o3"], pool: { health, hold: false, slowStart: { windowMs: 0 } } });
  await order("DELETE", "rings/live/weur/origins/o3");
  await eventually("o3 is gone", async () => !(await stack.ring()).origins.some(({ id }) => id === "o3"));
  await stack.joinAll(names("s", SESSIONS));
  await expectAsPlanned({ reweight: { id: "o0", weight: 3 } }, () => order("PATCH", "rings/live/weur/origins/o0", { weight: 3 }));
  const url = stack.origin("o3").url;
  await expectAsPlanned({ put: { id: "o3", url } }, () => order("PUT", "rings/live/weur/origins/o3", { url }));
});

test("where a region is left with less than it needs, what it would no longer keep goes abroad as planned", LONG, async () => {
  const regions = { weur: { secondary: ["enam"] }, enam: {} };
  stack = await LiveStack.start({ ids: [...IDS, "enam-1"], regions, pool: { health } });
  await stack.joinAll(names("s", SESSIONS));
  const two = await plan({ drain: "o0" }, { drain: "o1" });
  expect(two.elsewhere.after).toBeCloseTo(1 - 1.4 / 3, 6);
  expect(two.sessions.origins.filter(({ region }) => region === "enam").map(({ id, lost }) => [id, lost])).toEqual([["enam-1", 0]]);
  await stack.drain("o0");
  await stack.emptied("o0");
  await stack.settled();
  await expectAsPlanned({ drain: "o1" }, () => stack.drain("o1"));
});

test("a plan of all origins says who would be stranded, and what a whole region's fall brings", async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { health } });
  await stack.joinAll(names("s", SESSIONS));
  const all = await plan({ down: true });
  expect([all.movedShare, all.elsewhere.after, all.sessions.moved, all.sessions.stranded]).toEqual([1, 1, 0, SESSIONS]);
  const two = await plan({ drain: "o0" }, { remove: "o1" });
  expect(two.origins.map(({ id, after }) => [id, after])).toEqual([
    ["o0", 0],
    ["o1", 0],
    ["o2", 1],
  ]);
  expect(await plan({ drain: "o0" }, { undrain: "o0" })).toMatchObject({ movedShare: 0, sessions: { moved: 0 } });
});

test("explain tells a live session's place, a pin, a drained owner; and places nobody", async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { health } });
  await stack.joinAll(["doc"]);
  const origin = (await stack.session("doc"))?.origin ?? "";
  type Explained = {
    identify: { key: string; pool: string; route: string; source: string };
    locate: { region: string };
    carry: { how: string; carrier: number; decidedBy: string };
    worker: { decision: { origin: string; reason: string }; steps: { step: string; origin: string; outcome: string }[] };
    ring: {
      session?: { origin: string };
      pin?: { origin: string };
      decision: { origin: string; reason: string };
      steps: { step: string; origin: string; outcome: string }[];
    };
  };
  const socket = { upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" };
  const explain = (key: string): Promise<Explained> => order("POST", "explain", { url: `https://app.example.com/live/${key}`, headers: socket });
  const live = await explain("doc");
  expect(live).toMatchObject({
    identify: { outcome: "identified", key: "doc", pool: "live", route: "/live/:session", source: "path" },
    locate: { region: "weur", why: "the route names it", regions: ["weur"] },
    carry: { how: "relay", decidedBy: "ring" },
    worker: { decision: { kind: "routed", origin, reason: "owner" }, steps: [{ step: "walk", origin, outcome: "taken" }] },
    ring: {
      session: { origin, moving: false },
      decision: { kind: "routed", origin, reason: "claim" },
      steps: [{ step: "claim", origin, outcome: "taken" }],
    },
  });
  const before = await stack.ring();
  const fresh = await explain("nobody-yet");
  expect([fresh.ring.session, fresh.ring.pin, fresh.ring.decision.reason]).toEqual([undefined, undefined, "owner"]);
  expect(await stack.session("nobody-yet")).toBeUndefined();
  expect(await stack.ring()).toMatchObject({ sessions: before.sessions, epoch: before.epoch, hintsVersion: before.hintsVersion });
  await stack.drain(origin);
  await stack.emptied(origin);
  const moved = await explain("doc");
  expect(moved.ring.session?.origin).not.toBe(origin);
  await stack.undrain(origin);
  const pinned = await explain("doc");
  expect(pinned.ring.pin?.origin).toBe(moved.ring.session?.origin);
});
