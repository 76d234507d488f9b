// A ring object or a carrier object is aborted in workerd at every call of a planned move and of a move after an origin's death, before it is carried
// out and after: one pool for each, all at once. test/platform/lost.test.ts does the same for everything else, and for writes, on a platform that
// is played.

import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { LiveOrigin, type Journal } from "../support/live-origin.ts";
import { BARE, type LiveRing } from "../support/live-stack.ts";
import { clientOf, eventually } from "../support/stack.ts";
import { visit, type Visitor } from "../support/visitor.ts";

const ORIGINS = ["o0", "o1"];
const WHEN = ["before", "after"] as const;
const VICTIMS = ["RING", "CARRIER"] as const;

interface Doom {
  readonly pool: string;
  /** Whose method. */
  readonly of: "RING" | "CARRIER";
  readonly method: string;
  readonly when: (typeof WHEN)[number];
  readonly victim: (typeof VICTIMS)[number];
}

/** From a fault until all is as it should be: carriers report at least every 5 s, and a drain has waits of its own. The machine may be busy. */
const SETTLED_WITHIN_MS = 20_000;

let router: Router;
let origins: LiveOrigin[];
let client: ReturnType<typeof clientOf>;
let visitors: Map<string, Visitor[]>;

beforeEach(async () => {
  visitors = new Map();
  const journal: Journal = [];
  origins = ORIGINS.map((id) => new LiveOrigin(id, journal));
  await Promise.all(origins.map((origin) => origin.start()));
});
afterEach(async () => {
  const all = [...visitors.values()].flat();
  visitors.clear(); // nobody comes back any more
  for (const { socket } of all) socket.terminate();
  await router.stop();
  await Promise.all(origins.map((origin) => origin.kill()));
});

/** Each of the calls, at each moment, with each victim: a pool for each. */
function doomsOf(calls: readonly (readonly [of: Doom["of"], method: string])[]): Doom[] {
  const all = calls.flatMap(([of, method]) => WHEN.flatMap((when) => VICTIMS.map((victim) => ({ of, method, when, victim }))));
  return all.map((doom, index) => ({ ...doom, pool: `p${index}` }));
}

async function start(pools: readonly string[]): Promise<void> {
  const pool = {
    carriers: 1,
    health: { intervalMs: 10_000, timeoutMs: 8_000, rise: 1, fall: 2 }, // a busy machine is no sick origin
    closeDeadlineMs: 500,
    horizonMs: 1_000,
    origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
  };
  const raw = {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: Object.fromEntries(pools.map((id) => [id, pool])),
    routes: pools.map((id) => ({ path: `/${id}/:session`, pool: id, session: [{ path: "session" }], home: "weur", ...BARE })),
  };
  router = await startRouter({
    entry: fileURLToPath(new URL("../platform/mortal-worker.ts", import.meta.url)),
    raw,
    port: 0,
    pagesDir: new URL("../support", import.meta.url).pathname,
    devInfo: {},
    onLog: (line) => {
      if (process.env["LIMPET_TEST_LOG"]) process.stderr.write(`${line}\n`);
    },
  });
  client = clientOf(router.url);
}

/** `undefined`: it died under the question. */
const ringOf = (pool: string): Promise<LiveRing | undefined> => client.admin<LiveRing>(`rings/${pool}/weur`).catch(() => undefined);
const nameOf = (pool: string, binding: Doom["of"]): string => `v1:${pool}@weur#g1${binding === "RING" ? "" : "/0"}`;

/** Of each pool one session, at o0, with one visitor who comes back when cut off. */
async function gather(pools: readonly string[]): Promise<void> {
  await order(pools, "o1/drain");
  await Promise.all(
    pools.map((pool) => {
      visitors.set(pool, []);
      return eventually(`${pool} is served`, () => succeeds(come(pool)));
    }),
  );
  await order(pools, "o1/undrain");
  for (const pool of pools) await owned(pool, "o0");
}

/** Until it is taken: an order may be sent twice. */
async function order(pools: readonly string[], what: string): Promise<void> {
  const send = (pool: string): Promise<boolean> => succeeds(client.admin(`rings/${pool}/weur/origins/${what}`, "POST"));
  await Promise.all(pools.map((pool) => eventually(`${what} of ${pool} is ordered`, () => send(pool))));
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

async function come(pool: string): Promise<void> {
  const visitor = await visit(`${router.url.replace("http", "ws")}/${pool}/${pool}`);
  visitors.get(pool)?.push(visitor);
  void visitor.closed.then(() => comeBack(pool)); // never rejects
}

async function comeBack(pool: string): Promise<void> {
  const COMES_BACK_MS = 250;
  for (let done = false; !done && visitors.has(pool);) {
    await new Promise((resolve) => setTimeout(resolve, COMES_BACK_MS));
    done = await succeeds(come(pool));
  }
}

async function doom({ pool, of, method, when, victim }: Doom): Promise<void> {
  const words = [of, nameOf(pool, of), method, when, victim, nameOf(pool, victim)].map(encodeURIComponent);
  expect((await client.fetch(`/doom/${words.join("/")}`, { method: "POST" })).status).toBe(200);
}

/** One leg at that origin and none elsewhere, and the ring says and counts the same. */
async function owned(pool: string, owner: string): Promise<void> {
  await eventually(
    `${pool} is at ${owner} alone, and counted there`,
    async () => {
      const ring = await ringOf(pool);
      if (!ring) return false;
      const { sessions, connections, moving, origins: counted } = ring;
      const legs = origins.map((origin) => origin.open(pool).length);
      const told = ORIGINS.map((id) => counted.find((each) => each.id === id)?.sessions);
      const is = ORIGINS.map((id) => Number(id === owner));
      return moving === 0 && sessions === 1 && connections === 1 && `${legs.join()} ${told.join()}` === `${is.join()} ${is.join()}`;
    },
    SETTLED_WITHIN_MS,
  );
}

/** Whoever's carrier lived has the socket that they had. Each doomed object has died. */
async function expectDeaths(dooms: readonly Doom[]): Promise<void> {
  const struck = (await (await client.fetch("/struck")).json()) as string[];
  expect(struck.toSorted()).toEqual(dooms.map(({ pool, method, when, victim }) => `${nameOf(pool, victim)}: ${when} ${method}`).toSorted());
  for (const { pool, victim, method, when } of dooms) {
    expect(visitors.get(pool)?.length, `sockets of the visitor: the ${victim} died ${when} ${method}`).toBe(victim === "CARRIER" ? 2 : 1);
  }
}

/** In the order in which they were dialled, nobody's fence falls, and nobody is at two origins by one fence. */
function expectFences(pools: readonly string[]): void {
  for (const pool of pools) {
    const legs = origins.flatMap((origin) => origin.legs.filter(({ session }) => session === pool)).toSorted((a, b) => a.openedAtMs - b.openedAtMs);
    const places = legs.map(({ fence, origin }) => `${fence} ${origin}`);
    expect(places, pool).toEqual(places.toSorted());
    expect(new Set(legs.map(({ fence }) => fence)).size, pool).toBe(new Set(places).size);
  }
}

test("in a drain: at each call, before and after it", async () => {
  const dooms = doomsOf([
    ["CARRIER", "weigh"],
    ["CARRIER", "leave"],
    ["CARRIER", "enter"],
    ["CARRIER", "adopt"],
    ["RING", "report"],
  ]);
  const pools = dooms.map(({ pool }) => pool);
  await start(pools);
  await gather(pools);
  await Promise.all(dooms.map(doom));
  await order(pools, "o0/drain");
  for (const pool of pools) {
    await owned(pool, "o1");
    await eventually(`o0 of ${pool} is drained`, async () => (await ringOf(pool))?.origins[0]?.state === "drained");
  }
  await expectDeaths(dooms);
  expectFences(pools);
}, 90_000);

test("when an origin has died: at each call, before and after it", async () => {
  const dooms = doomsOf([
    ["RING", "place"],
    ["CARRIER", "leave"],
    ["CARRIER", "enter"],
    ["RING", "report"],
  ]);
  const pools = dooms.map(({ pool }) => pool);
  await start(pools);
  await gather(pools);
  await Promise.all(dooms.map(doom));
  await origins[0]?.kill();
  for (const pool of pools) await owned(pool, "o1");
  await expectDeaths(dooms);
  expectFences(pools);
}, 90_000);
