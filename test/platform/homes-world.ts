// A pool whose regions change under live sessions, with its real ring and carrier objects on the platform that is played, and Workers that do not all
// have the same configuration. It watches at the origins that a session's legs are at one of them at every moment, by fences that grow.

import type { AppliedConfig } from "../../src/core/applied-config.ts";
import type { Config } from "../../src/core/config-types.ts";
import { parseConfig } from "../../src/core/config.ts";
import { homeRegion, ringsOf } from "../../src/core/home.ts";
import { carrierObjectName, ringObjectName } from "../../src/core/names.ts";
import { encodeLiveRequest, LIVE_HEADER, type LiveRequest, type SessionRef } from "../../src/core/protocol.ts";
import { ELSEWHERE_HEADER } from "../../src/platform/carrier-answers.ts";
import { CarrierObject } from "../../src/platform/carrier-object.ts";
import type { Env, Settings, SettingsSource } from "../../src/platform/env.ts";
import { accessOf } from "../../src/platform/origin-access.ts";
import { RingObject } from "../../src/platform/ring-object.ts";
import { FakeOrigin, type Leg } from "./carried/fake-origin.ts";
import type { FakeSocket } from "./carried/fake-socket.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";
import { never, PlayedObjects, type Life } from "./lost/objects.ts";

const POOL = "live";
export const HORIZON_MS = 1_600;
export const LIFE_MS = 60_000;
const MANNER = { dialMs: 3, latencyMs: 1, answerMs: 2, closeMs: 2, closeCode: 1012, flushes: false };
const ALL_REGIONS = ["weur", "enam", "apac"];

/** Weights of the regions that the pool has. */
export type Regions = Readonly<Record<string, number>>;

export interface Visit {
  readonly session: number;
  status: number | undefined;
  /** How often its Worker was sent on. */
  hops: number;
  closed: number | undefined;
  readonly leave: () => void;
}

export class HomesWorld {
  readonly clock = new VirtualClock();
  readonly objects: PlayedObjects;
  readonly origins: readonly FakeOrigin[];
  readonly violations = new Set<string>();
  readonly visits: Visit[] = [];
  readonly #bundle: Settings;
  readonly #pool: object;
  readonly #dialled = new Map<number, { readonly fence: number; readonly origin: string }>();

  constructor(regions: Regions, { pool = {}, underWayMs = () => 1 }: { readonly pool?: object; readonly underWayMs?: () => number } = {}) {
    this.#pool = pool;
    this.#bundle = settingsOf(rawOf(1, regions, pool));
    this.origins = ALL_REGIONS.flatMap((region) => [0, 1].map((n) => new FakeOrigin(`${region}-${n}`, MANNER)));
    const source: SettingsSource = {
      bundled: () => this.#bundle,
      bundle: () => ({ revision: 1, text: JSON.stringify(rawOf(1, regions, pool)), hash: 0 }),
      read: (text) => settingsOf(JSON.parse(text) as object),
    };
    const make = (kind: typeof RingObject | typeof CarrierObject) => (ctx: DurableObjectState, env: never) => new kind(ctx, env as Env, source);
    const makers = { RING: make(RingObject), CARRIER: make(CarrierObject) };
    this.objects = new PlayedObjects(this.clock, makers, (life) => ({ fetch: (request: Request) => this.#send(life, request) }), underWayMs);
  }

  get bundle(): Config {
    return this.#bundle.config;
  }

  close(): void {
    this.objects.close();
  }

  configOf(revision: number, regions: Regions): Config {
    return settingsOf(rawOf(revision, regions, this.#pool)).config;
  }

  /** A ring hears of a configuration. */
  tell(region: string, revision: number, regions: Regions): Promise<unknown> {
    const text = JSON.stringify(rawOf(revision, regions, this.#pool));
    const applied: AppliedConfig = { format: 1, revision, text, over: 0, retired: [] };
    return this.ring(region).applyConfig(applied);
  }

  /** Every ring that there was or is does. */
  async apply(revision: number, regions: Regions): Promise<Config> {
    for (const region of ALL_REGIONS) if (regions[region] !== undefined || this.life(region)) await this.ask(this.tell(region, revision, regions));
    return this.configOf(revision, regions);
  }

  ring(region: string): RingObject {
    return this.#object("RING", ringName(region)) as RingObject;
  }

  life(region: string): Life | undefined {
    return this.objects.objects.get(ringName(region))?.life;
  }

  async ask<T>(question: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => void (settled = true);
    question.then(done, done);
    for (let waitedMs = 0; !settled; waitedMs += 5) {
      if (waitedMs > 30_000) throw new Error("a question is not answered");
      await this.clock.pass(5);
    }
    return question;
  }

  /** Somebody comes to a session by a Worker that has this configuration; what becomes of it is in the visit. */
  visit(session: number, config: Config): Visit {
    let socket: FakeSocket | undefined;
    let left = false;
    const visit: Visit = {
      session,
      status: undefined,
      hops: 0,
      closed: undefined,
      leave: () => {
        left = true;
        if (socket && visit.closed === undefined && !socket.ended) socket.close(1000, "");
      },
    };
    this.visits.push(visit);
    const arrived = async (): Promise<void> => {
      let response = await this.#handshake(session, homeOf(config, session), false);
      const elsewhere = response.headers.get(ELSEWHERE_HEADER);
      if (elsewhere !== null) {
        visit.hops++;
        response = await this.#handshake(session, elsewhere, true);
      }
      socket = (response as unknown as { readonly webSocket?: FakeSocket }).webSocket;
      visit.status = socket ? 101 : response.status;
      if (!socket) return;
      socket.addEventListener("close", ({ code }: CloseEvent) => {
        visit.closed = code;
        if (socket && !socket.ended) socket.close(code);
      });
      socket.accept({ allowHalfOpen: true });
      if (left) socket.close(1000, "");
    };
    void arrived().catch(() => (visit.status = 0)); // an object died under it
    return visit;
  }

  /** The same, and its answer. */
  async arrive(session: number, config: Config): Promise<Visit> {
    const visit = this.visit(session, config);
    for (let waitedMs = 0; visit.status === undefined; waitedMs += 5) {
      if (waitedMs > 30_000) throw new Error("a visitor is not answered");
      await this.clock.pass(5);
    }
    return visit;
  }

  legsOpen(session: number): Leg[] {
    return this.origins.flatMap(({ legs }) => legs.filter((leg) => leg.visitor === session && isOpen(leg)));
  }

  ownerOf(session: number): string {
    return this.legsOpen(session)[0]?.origin ?? "nobody";
  }

  async #handshake(session: number, region: string, sentOn: boolean): Promise<Response> {
    const live: LiveRequest = {
      ...refOf(session),
      drawn: true,
      ...(sentOn && { sentOn }),
      version: 1,
      key: `s${session}`,
      requestId: "r",
      resume: { mode: "transparent", prelude: { frames: 0, bytes: 1_000, swallow: 0, mute: false } },
      rehomeOn: [1001, 1006, 1012],
      quietMs: 100,
    };
    const headers = { [LIVE_HEADER]: encodeLiveRequest(live), upgrade: "websocket" };
    const name = carrierObjectName({ ring: { pool: POOL, region, generation: 1 }, slice: session % 2 });
    return (this.#object("CARRIER", name) as CarrierObject).fetch(new Request(`http://router/live/${session}?visitor=${session}`, { headers }));
  }

  #object(binding: "RING" | "CARRIER", name: string): unknown {
    return (this.objects.envOf()[binding] as { get: (name: string) => unknown }).get(name);
  }

  async #send(life: Life, request: Request): Promise<Response> {
    await life.written();
    if (life.dead) await never;
    const { hostname, pathname, searchParams } = new URL(request.url);
    const origin = this.origins.find(({ id }) => id === hostname);
    if (!origin) throw new Error(`no origin ${hostname}`);
    if (pathname === "/healthz") return new Response("ok");
    const fence = Number(/fence=(\d+)/.exec(request.headers.get("limpet") ?? "")?.[1]);
    this.#dials(Number(searchParams.get("visitor")), origin.id, fence);
    const response = await origin.dial(request.url, fence, request.signal);
    const socket = (response as unknown as { readonly webSocket?: FakeSocket }).webSocket;
    if (life.dead) socket?.reset("close");
    else if (socket) life.sockets.add(socket);
    return response;
  }

  #dials(session: number, origin: string, fence: number): void {
    const before = this.#dialled.get(session);
    if (before && (fence < before.fence || (fence === before.fence && origin !== before.origin)))
      this.violations.add(`s${session}: ${origin} is dialled by ${fence} after ${before.origin} by ${before.fence}`);
    this.#dialled.set(session, { origin, fence: Math.max(fence, before?.fence ?? 0) });
    for (const leg of this.legsOpen(session))
      if (leg.fence !== fence)
        this.violations.add(`s${session}: ${origin} is dialled by ${fence} while a leg of ${leg.fence} is open at ${leg.origin}`);
  }
}

export const ringName = (region: string): string => ringObjectName({ pool: POOL, region, generation: 1 });

export function refOf(session: number): SessionRef {
  const SPREAD = 0x9e37_79b1; // 2³² ÷ the golden ratio
  return { keyHash: session.toString(16).padStart(32, "0"), position: (session * SPREAD + 0x1234_5678) >>> 0, lot: session, keyed: true };
}

export function homeOf(config: Config, session: number): string {
  const [route] = config.routes;
  if (!route) throw new Error("no route");
  return homeRegion(config, route, refOf(session).lot, () => ({}), undefined);
}

export function regionsOf(config: Config): string[] {
  return ringsOf(config).map(({ region }) => region);
}

function isOpen({ near, far }: Leg): boolean {
  return [near, far].every(({ ended, closed }) => !ended && closed === undefined);
}

function rawOf(configRevision: number, regions: Regions, pool: object): object {
  const ids = Object.keys(regions);
  const origins = ids.flatMap((region) => [0, 1].map((n) => `${region}-${n}`));
  return {
    configRevision,
    defaultRegion: ids[0],
    regions: Object.fromEntries(ids.map((id) => [id, { weight: regions[id], secondary: ids.filter((other) => other !== id) }])),
    pools: {
      [POOL]: {
        carriers: 2,
        health: { intervalMs: 2_000, timeoutMs: 500, rise: 1, fall: 2 },
        closeDeadlineMs: 500,
        horizonMs: HORIZON_MS,
        holdDownMs: 600,
        slowStart: { windowMs: 0 },
        drain: { graceMs: 100 },
        session: { idleMs: LIFE_MS, maxLifeMs: LIFE_MS },
        virtualNodes: 32,
        origins: origins.map((id) => ({ id, region: id.split("-")[0], url: `http://${id}`, binding: "ORIGINS", salt: 0 })),
        ...pool,
      },
    },
    routes: [{ path: "/live/:session", pool: POOL, session: [{ path: "session" }], home: "session" }],
  };
}

/** Whoever has left the configuration is reached by the same binding. */
function bound(config: Config): Config {
  const pool = config.pools[POOL];
  const [one] = pool?.origins ?? [];
  if (!pool || !one) return config;
  const origins = ALL_REGIONS.flatMap((region) => [0, 1].map((n) => ({ ...one, id: `${region}-${n}`, region, url: `http://${region}-${n}` })));
  return { ...config, pools: { [POOL]: { ...pool, origins } } };
}

const parsedOnce = new Map<string, Settings>();

function settingsOf(raw: object): Settings {
  const text = JSON.stringify(raw);
  const known = parsedOnce.get(text);
  if (known) return known;
  const parsed = parseConfig(raw, { dev: true });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const { config } = parsed;
  const settings = {
    config,
    dev: true,
    secrets: [],
    retired: [],
    tokenSecrets: new Map(),
    access: accessOf(bound(config), new Map()),
    hooks: new Map(),
  };
  parsedOnce.set(text, settings);
  return settings;
}
