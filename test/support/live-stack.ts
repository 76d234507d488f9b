// A router over fake origins of live sessions, for tests of re-homing: short checks, no slack that a test would have to wait for, visitors
// that number what they send, and what must hold in any case of what the origins have handled.

import { fileURLToPath } from "node:url";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { GAP_BOUNDS_MS } from "../../src/core/protocol.ts";
import { Cap, LiveOrigin, type Journal, type Leg } from "./live-origin.ts";
import { openDoor, type Door } from "./door.ts";
import { clientOf, eventually, type RingView } from "./stack.ts";
import { Talker } from "./talker.ts";
import { visit } from "./visitor.ts";

export interface Options {
  /** Ids of origins; what stands before the first `-` is the region, else `weur`. */
  readonly ids: readonly string[];
  readonly pool?: object;
  readonly route?: object;
  /** What one origin has beside its id. */
  readonly origin?: Readonly<Record<string, object>>;
  readonly regions?: object;
  readonly cap?: Cap;
  /** Whether a door stands before each origin. */
  readonly doors?: boolean;
  /** Whether objects can be made to die. */
  readonly mortal?: boolean;
  /** Whether calls of ring objects are counted. */
  readonly counting?: boolean;
  /** Whether the runtime's heap can be looked at. */
  readonly inspect?: boolean;
  readonly newSessionsPerMinute?: number;
  /** The folder of what is stored, where it is to outlive the router. */
  readonly storage?: string;
}

type BundleChange = (config: { readonly configRevision: number; readonly pools: object; readonly routes: readonly object[] }) => object;

export interface LiveRing extends RingView {
  readonly hintsVersion: number;
  readonly orders: number;
  readonly sessions: number;
  readonly connections: number;
  readonly waiting: number;
  readonly moving: number;
  readonly moved: Readonly<Record<string, number>>;
  readonly gaps: readonly number[];
  readonly heldFrames: number;
  readonly refused: number;
  readonly quarantined: readonly string[];
}

/** A protocol that bears a new leg and has nothing to replay: each frame must arrive once. */
export const BARE = { resume: { mode: "transparent", prelude: { frames: 0, swallow: 0 } } };

const WORKER = (kind: "mortal" | "counting"): string => fileURLToPath(new URL(`../platform/${kind}-worker.ts`, import.meta.url));

export class LiveStack {
  readonly router: Router;
  readonly client: ReturnType<typeof clientOf>;
  readonly origins: readonly LiveOrigin[];
  readonly doors: readonly Door[];
  readonly journal: Journal;
  readonly records: Readonly<Record<string, unknown>>[];
  /** Another router over the same origins, with a bundle that may be changed. */
  readonly startAgain: (change: BundleChange) => Promise<Router>;
  readonly #talkers: Talker[] = [];

  private constructor(parts: Pick<LiveStack, "router" | "origins" | "doors" | "journal" | "records" | "startAgain">) {
    this.router = parts.router;
    this.client = clientOf(parts.router.url);
    this.origins = parts.origins;
    this.doors = parts.doors;
    this.journal = parts.journal;
    this.records = parts.records;
    this.startAgain = parts.startAgain;
  }

  static async start({
    ids,
    pool,
    route,
    origin = {},
    regions = { weur: {} },
    cap,
    doors: withDoors = false,
    mortal = false,
    counting = false,
    inspect = false,
    newSessionsPerMinute,
    storage,
  }: Options): Promise<LiveStack> {
    const journal: Journal = [];
    const records: Record<string, unknown>[] = [];
    const origins = ids.map((id) => new LiveOrigin(id, journal, cap));
    await Promise.all(origins.map((each) => each.start()));
    const doors = withDoors ? await Promise.all(origins.map(({ url }) => openDoor(url))) : [];
    const raw = {
      configRevision: 1,
      defaultRegion: "weur",
      regions,
      pools: {
        live: {
          health: { intervalMs: 200, timeoutMs: 400, rise: 1, fall: 2 },
          closeDeadlineMs: 500,
          horizonMs: 400,
          holdDownMs: 500,
          slowStart: { windowMs: 0 },
          origins: origins.map(({ id, url }, index) => ({ id, region: regionOf(id), url: doors[index]?.url ?? url, ...origin[id] })),
          ...pool,
        },
      },
      routes: [{ path: "/live/:session", pool: "live", session: [{ path: "session" }], home: "weur", ...BARE, ...route }],
    };
    const startAgain = (change: BundleChange): Promise<Router> =>
      startRouter({
        ...(mortal ? { entry: WORKER("mortal") } : counting ? { entry: WORKER("counting") } : {}),
        raw: change(raw),
        port: 0,
        pagesDir: new URL(".", import.meta.url).pathname,
        devInfo: {},
        inspect,
        ...(newSessionsPerMinute === undefined ? {} : { newSessionsPerMinute }),
        ...(storage === undefined ? {} : { storage }),
        onLog: (line) => {
          if (process.env["LIMPET_TEST_LOG"]) process.stderr.write(`${line}\n`);
          if (line.startsWith("{")) records.push(JSON.parse(line) as Record<string, unknown>);
        },
      });
    const router = await startAgain((config) => config);
    return new LiveStack({ router, origins, doors, journal, records, startAgain });
  }

  /** Another router over the same origins and the same storage, once this one has stopped; its bundle may be another. */
  async restarted(change: BundleChange = (config) => config): Promise<LiveStack> {
    const { origins, doors, journal, records, startAgain } = this;
    return new LiveStack({ router: await startAgain(change), origins, doors, journal, records, startAgain });
  }

  async stop(): Promise<void> {
    for (const talker of this.#talkers) talker.leave();
    await this.router.stop();
    for (const door of this.doors) door.close();
    await Promise.all(this.origins.map((origin) => origin.kill()));
  }

  origin(id: string): LiveOrigin {
    const found = this.origins.find((origin) => origin.id === id);
    if (!found) throw new Error(`no origin ${id}`);
    return found;
  }

  door(id: string): Door {
    const found = this.doors[this.origins.findIndex((origin) => origin.id === id)];
    if (!found) throw new Error(`no door before ${id}`);
    return found;
  }

  url(session: string, name = "a"): string {
    return `${this.router.url.replace("http", "ws")}/live/${session}?${name}`;
  }

  async join(session: string, name = "a"): Promise<Talker> {
    const talker = new Talker(session, name, await visit(this.url(session, name)), () => this.legsOf(session));
    this.#talkers.push(talker);
    return talker;
  }

  joinAll(sessions: readonly string[]): Promise<Talker[]> {
    return Promise.all(sessions.map((session) => this.join(session)));
  }

  session(key: string): ReturnType<ReturnType<typeof clientOf>["session"]> {
    return this.client.session(key, "live");
  }

  async ownerOf(key: string): Promise<LiveOrigin> {
    const session = await this.session(key);
    if (!session) throw new Error(`no session ${key}`);
    return this.origin(session.origin);
  }

  ring(region = "weur"): Promise<LiveRing> {
    return this.client.admin<LiveRing>(`rings/live/${region}`);
  }

  async drain(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.client.admin(`rings/live/${regionOf(id)}/origins/${id}/drain`, "POST");
  }

  async undrain(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.client.admin(`rings/live/${regionOf(id)}/origins/${id}/undrain`, "POST");
  }

  /** Sessions that are all at one origin, which the others, being undrained again, do not get back. */
  async gatherAt(id: string, sessions: readonly string[]): Promise<Talker[]> {
    const others = this.origins.map((origin) => origin.id).filter((other) => other !== id);
    await this.drain(...others);
    const talkers = await this.joinAll(sessions);
    await this.undrain(...others);
    const home = regionOf(id);
    await eventually("all take their share again", async () => {
      const { origins } = await this.ring(home);
      return origins.every(({ id: each, share }) => share === 1 || !others.includes(each));
    });
    await this.settled();
    return talkers;
  }

  /** Nothing waits and nothing moves. */
  settled(region = "weur"): Promise<LiveRing> {
    return eventually("nothing moves any more", async () => {
      const ring = await this.ring(region);
      return ring.waiting === 0 && ring.moving === 0 && ring;
    });
  }

  /** An object dies, and with it everything that it holds in memory. */
  async abort(binding: "RING" | "CARRIER" | "CONTROL", name: string): Promise<void> {
    await this.client.fetch(`/abort/${binding}/${encodeURIComponent(name)}`, { method: "POST" });
  }

  /** Objects cannot be reached, or can be again. */
  async mute(how: "throw" | "hang" | "no", ...objects: readonly string[]): Promise<void> {
    for (const name of objects) await this.client.fetch(`/mute/${encodeURIComponent(name)}/${how}`, { method: "POST" });
  }

  /** Until an origin has none of the sessions that are live. */
  async emptied(...ids: readonly string[]): Promise<void> {
    await eventually(`${ids.join()} are empty`, async () => {
      const ring = await this.ring();
      return ring.moving === 0 && ids.every((id) => ring.origins.find((origin) => origin.id === id)?.sessions === 0);
    });
  }

  healthy(id: string): Promise<unknown> {
    return eventually(`${id} is healthy`, async () =>
      (await this.ring(regionOf(id))).origins.some((each) => each.id === id && each.health === "healthy"),
    );
  }

  down(id: string): Promise<unknown> {
    return eventually(`${id} is down`, async () => (await this.ring(regionOf(id))).origins.some((each) => each.id === id && each.health === "down"));
  }

  /** Every leg that any origin has had of a session, in the order in which they opened. */
  legsOf(session: string): Leg[] {
    return this.origins.flatMap(({ legs }) => legs.filter((leg) => leg.session === session)).toSorted((a, b) => a.openedAtMs - b.openedAtMs);
  }

  /** No two origins had frames of one session in overlapping time, and each next one had a higher fence. */
  expectOneOwner(): void {
    const latest = new Map<string, Leg>();
    for (const { leg } of this.journal) {
      const before = latest.get(leg.session);
      if (before && (leg.fence < before.fence || (leg.fence === before.fence && leg.origin !== before.origin))) {
        throw new Error(`${leg.session}: ${leg.origin} had a frame by fence ${leg.fence} after ${before.origin} by ${before.fence}`);
      }
      latest.set(leg.session, leg);
    }
  }
}

export const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

/** The greatest number of instants within any span of time. */
export function mostWithin(atMs: readonly number[], spanMs: number): number {
  const sorted = atMs.toSorted((a, b) => a - b);
  return Math.max(0, ...sorted.map((fromMs, index) => sorted.slice(index).filter((ms) => ms < fromMs + spanMs).length));
}

export const BUCKETS = GAP_BOUNDS_MS.length + 1;

function regionOf(id: string): string {
  return id.includes("-") ? (id.split("-")[0] ?? "") : "weur";
}
