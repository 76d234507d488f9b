// A pool between visitors and origins, with its real ring and carrier objects on a platform that is played: what becomes of it when one of its
// objects is lost. It watches at the origins what must hold at every moment (a session's legs are at one origin, fences grow, who is drained
// has nobody), and keeps what every visitor said and heard.

import type { Resume } from "../../../src/core/config-types.ts";
import { parseConfig } from "../../../src/core/config.ts";
import { carrierObjectName, ringObjectName } from "../../../src/core/names.ts";
import { encodeLiveRequest, LIVE_HEADER, type LiveRequest, type SessionRef } from "../../../src/core/protocol.ts";
import { CarrierObject } from "../../../src/platform/carrier-object.ts";
import type { Env, Settings, SettingsSource } from "../../../src/platform/env.ts";
import { accessOf } from "../../../src/platform/origin-access.ts";
import { RingObject } from "../../../src/platform/ring-object.ts";
import { FakeOrigin, type Leg } from "../carried/fake-origin.ts";
import type { FakeSocket } from "../carried/fake-socket.ts";
import { VirtualClock } from "../carried/virtual-clock.ts";
import { never, PlayedObjects, type Life } from "./objects.ts";

const POOL = "live";
const CARRIERS = 2;
const MANNER = { dialMs: 3, latencyMs: 1, answerMs: 2, closeMs: 2, closeCode: 1012, flushes: false };
/** A client that lost its socket, or was refused, comes back after this. */
const COMES_BACK_MS = 300;
const SAYS_EVERY_MS = 400;
const LOOKS_EVERY_MS = 250;
/** A protocol that bears a new leg and has nothing to replay. */
const BARE: Resume = { mode: "transparent", prelude: { frames: 0, bytes: 1_000, swallow: 0, mute: false } };

export interface Setup {
  /** Ids of origins; what stands before the `-` is the region. */
  readonly origins: readonly string[];
  /** How many visitors each session has. */
  readonly sessions: readonly number[];
  readonly pool?: object;
  readonly resume?: Resume;
  /** Who is cut off does not come back. */
  readonly gone?: boolean;
  /** Of each message, one way. */
  readonly underWayMs?: () => number;
}

/** One socket of a visitor's. */
export interface Connection {
  readonly carrier: string;
  readonly sent: string[];
  readonly got: string[];
  readonly socket: FakeSocket;
  closed: number | undefined;
}

export interface Visitor {
  readonly number: number;
  readonly session: number;
  readonly connections: Connection[];
  saidCount: number;
  left: boolean;
}

export class LostWorld {
  readonly clock = new VirtualClock();
  readonly objects: PlayedObjects;
  readonly origins: readonly FakeOrigin[];
  readonly regions: readonly string[];
  readonly visitors: Visitor[] = [];
  /** What must never be, and was. */
  readonly violations = new Set<string>();
  readonly #setup: Setup;
  readonly #settings: Settings;
  /** Of each session the newest placement that was dialled. */
  readonly #dialled = new Map<number, { readonly fence: number; readonly origin: string }>();

  constructor(setup: Setup) {
    this.#setup = setup;
    this.regions = [...new Set(setup.origins.map(regionOf))];
    this.#settings = settingsOf(setup, this.regions);
    this.origins = setup.origins.map((id) => new FakeOrigin(id, MANNER));
    for (const origin of this.origins) origin.onHanded = (leg) => this.#handed(leg);
    const make = (kind: typeof RingObject | typeof CarrierObject) => (ctx: DurableObjectState, env: never) =>
      new kind(ctx, env as Env, sourceOf(this.#settings));
    const makers = { RING: make(RingObject), CARRIER: make(CarrierObject) };
    this.objects = new PlayedObjects(this.clock, makers, (life) => ({ fetch: (request: Request) => this.#send(life, request) }), setup.underWayMs);
    for (const [session, count] of setup.sessions.entries()) for (let n = 0; n < count; n++) this.#invite(session);
  }

  /** Everyone comes, and is served. */
  async begin(): Promise<void> {
    setInterval(() => this.#look(), LOOKS_EVERY_MS);
    for (const region of this.regions) await this.ask(this.ring(region).status());
    for (const visitor of this.visitors) void this.#visit(visitor); // never rejects
    await this.until("everyone is served", () =>
      this.visitors.every(({ number }) => this.#legs().some((leg) => leg.visitor === number && isOpen(leg))),
    );
    await this.clock.pass(1_000);
  }

  close(): void {
    for (const visitor of this.visitors) visitor.left = true;
    this.objects.close();
  }

  ring(region = "weur"): RingObject {
    return this.#worker("RING", ringName(region)) as RingObject;
  }

  /** An answer, and the time that it takes. */
  async ask<T>(question: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => void (settled = true);
    question.then(done, done);
    await this.until("a question is answered", () => settled);
    return question;
  }

  async until(what: string, look: () => boolean, limitMs = 30_000): Promise<void> {
    const STEP_MS = 5;
    for (let waitedMs = 0; !look(); waitedMs += STEP_MS) {
      if (waitedMs > limitMs) throw new Error(`did not happen within ${limitMs} ms: ${what}`);
      await this.clock.pass(STEP_MS);
    }
  }

  join(session: number): void {
    void this.#visit(this.#invite(session)); // never rejects
  }

  leave(...numbers: readonly number[]): void {
    for (const visitor of this.visitors.filter(({ number }) => numbers.includes(number))) {
      visitor.left = true;
      visitor.connections.at(-1)?.socket.close(1000, "");
    }
  }

  /** Sessions that somebody is in. */
  sessions(): number[] {
    return [...new Set(this.present().map(({ session }) => session))];
  }

  present(session?: number): Visitor[] {
    return this.visitors.filter((visitor) => !visitor.left && visitor.session === (session ?? visitor.session));
  }

  /** Legs of a session that neither side has ended. */
  legsOpen(session: number): Leg[] {
    return this.#legs().filter((leg) => this.#sessionOf(leg) === session && isOpen(leg));
  }

  /** What an origin holds: sessions, and their connections. */
  at(origin: string): { readonly sessions: number; readonly connections: number } {
    const legs = this.origin(origin).legs.filter(isOpen);
    return { sessions: new Set(legs.map((leg) => this.#sessionOf(leg))).size, connections: legs.length };
  }

  origin(id: string): FakeOrigin {
    const found = this.origins.find((origin) => origin.id === id);
    if (!found) throw new Error(`no origin ${id}`);
    return found;
  }

  ownerOf(session: number): string {
    return this.legsOpen(session)[0]?.origin ?? "nobody";
  }

  /** The first that is not the owner. */
  otherThan(owner: string): string {
    return this.origins.find(({ id }) => id !== owner)?.id ?? "nobody";
  }

  carrierOf(session: number): string {
    return carrierObjectName({ ring: { pool: POOL, region: "weur", generation: 1 }, slice: session % CARRIERS });
  }

  refOf(session: number): SessionRef {
    const SPREAD = 0x9e37_79b1; // 2³² ÷ the golden ratio
    return { keyHash: session.toString(16).padStart(32, "0"), position: (session * SPREAD + 0x1234_5678) >>> 0, lot: session, keyed: true };
  }

  #invite(session: number): Visitor {
    const visitor: Visitor = { number: this.visitors.length, session, connections: [], saidCount: 0, left: false };
    this.visitors.push(visitor);
    return visitor;
  }

  /** As long as they have not left they come back, whatever they are told. */
  async #visit(visitor: Visitor): Promise<void> {
    while (!visitor.left) {
      await this.#connect(visitor).catch(() => undefined); // their carrier died under it
      await new Promise((resolve) => setTimeout(resolve, COMES_BACK_MS));
    }
  }

  async #connect(visitor: Visitor): Promise<void> {
    const { number, session } = visitor;
    const live: LiveRequest = {
      ...this.refOf(session),
      version: 1,
      key: `s${session}`,
      requestId: `r${number}`,
      resume: this.#setup.resume ?? BARE,
      rehomeOn: [1001, 1006, 1012],
      quietMs: 100,
    };
    const headers = { [LIVE_HEADER]: encodeLiveRequest(live), upgrade: "websocket" };
    const carrier = this.carrierOf(session);
    const object = this.#worker("CARRIER", carrier) as CarrierObject;
    const answer = await object.fetch(new Request(`http://router/live/${session}?visitor=${number}`, { headers }));
    const socket = socketOf(answer);
    if (!socket) return;
    const connection: Connection = { carrier, sent: [], got: [], socket, closed: undefined };
    visitor.connections.push(connection);
    const closed = Promise.withResolvers<void>();
    socket.addEventListener("message", ({ data }: MessageEvent) => void connection.got.push(String(data)));
    socket.addEventListener("close", ({ code }: CloseEvent) => {
      connection.closed = code;
      if (code === 1006 && this.#setup.gone) visitor.left = true;
      if (!socket.ended) socket.close(code);
      closed.resolve();
    });
    socket.accept({ allowHalfOpen: true });
    const talk = setInterval(() => {
      if (visitor.left || connection.closed !== undefined) return clearInterval(talk);
      const frame = `${number}:${visitor.saidCount++}`;
      connection.sent.push(frame);
      socket.send(frame);
    }, SAYS_EVERY_MS);
    await closed.promise;
  }

  /** An object, as a Worker calls it. */
  #worker(binding: "RING" | "CARRIER", name: string): unknown {
    return (this.objects.envOf()[binding] as { get: (name: string) => unknown }).get(name);
  }

  /** How one life of an object reaches an origin: health checks, hand-over, legs. */
  async #send(life: Life, request: Request): Promise<Response> {
    await life.written();
    const { hostname, pathname } = new URL(request.url);
    const crossing = this.objects.cross(`${pathname.split("/")[1]} of ${hostname}`, life, undefined);
    if (life.dead) await never;
    try {
      return await this.#answer(life, request, this.origin(hostname));
    } finally {
      crossing.done();
      if (life.dead) await never;
    }
  }

  async #answer(life: Life, request: Request, origin: FakeOrigin): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/healthz") {
      await new Promise((resolve) => setTimeout(resolve, MANNER.dialMs));
      if (origin.health === "refusing") throw new Error("nobody listens");
      return new Response("ok");
    }
    if (request.method === "POST") return origin.post();
    const fence = Number(/fence=(\d+)/.exec(request.headers.get("limpet") ?? "")?.[1]);
    this.#dials(this.visitors[Number(searchParams.get("visitor"))]?.session ?? -1, origin.id, fence);
    const response = await origin.dial(request.url, fence, request.signal);
    const socket = socketOf(response);
    if (life.dead) socket?.reset("close");
    else if (socket) life.sockets.add(socket);
    return response;
  }

  #dials(session: number, origin: string, fence: number): void {
    const what = `s${session}: ${origin} is dialled by ${fence}`;
    const before = this.#dialled.get(session);
    if (before && fence < before.fence) this.violations.add(`${what} after ${before.fence}`);
    if (before && fence === before.fence && origin !== before.origin) this.violations.add(`${what}, as ${before.origin} was`);
    this.#dialled.set(session, { origin, fence: Math.max(fence, before?.fence ?? 0) });
    for (const leg of this.legsOpen(session)) {
      if (leg.fence !== fence) this.violations.add(`${what} while a leg of ${leg.fence} is open at ${leg.origin}`);
    }
  }

  #handed(leg: Leg): void {
    const newest = this.#dialled.get(this.#sessionOf(leg))?.fence ?? 0;
    if (leg.fence < newest && !leg.near.cut) this.violations.add(`a frame to ${leg.origin} by ${leg.fence} after ${newest} was dialled`);
  }

  /** Who is drained, as the disks have it, has no connection and gets none. */
  #look(): void {
    for (const region of this.regions) {
      const disk = this.objects.objects.get(ringName(region))?.disk;
      const rows = (disk?.run("SELECT origin FROM drains WHERE drained_at_ms IS NOT NULL", []) ?? []) as { readonly origin: string }[];
      for (const { origin } of rows) if (this.at(origin).connections > 0) this.violations.add(`${origin} is drained and has connections`);
    }
  }

  #sessionOf({ visitor }: Leg): number {
    return this.visitors[visitor]?.session ?? -1;
  }

  #legs(): Leg[] {
    return this.origins.flatMap(({ legs }) => legs);
  }
}

export const regionOf = (id: string): string => id.split("-")[0] ?? "";
export const ringName = (region: string): string => ringObjectName({ pool: POOL, region, generation: 1 });

function isOpen({ near, far }: Leg): boolean {
  return [near, far].every(({ ended, closed }) => !ended && closed === undefined);
}

function socketOf(response: Response): FakeSocket | undefined {
  return (response as unknown as { readonly webSocket?: FakeSocket }).webSocket;
}

/** The bundle's alone. */
function sourceOf(settings: Settings): SettingsSource {
  return { bundled: () => settings, bundle: () => ({ revision: settings.config.configRevision, text: "{}", hash: 0 }), read: () => settings };
}

function settingsOf(setup: Setup, regions: readonly string[]): Settings {
  const pool = {
    carriers: CARRIERS,
    health: { intervalMs: 2_000, timeoutMs: 500, rise: 1, fall: 2 },
    closeDeadlineMs: 500,
    horizonMs: 1_600,
    holdDownMs: 600,
    overprovisioning: 2, // one of two keeps all: where sessions go is what a scenario says
    slowStart: { windowMs: 0 },
    drain: { graceMs: 100 },
    virtualNodes: 32,
    origins: setup.origins.map((id) => ({ id, region: regionOf(id), url: `http://${id}`, binding: "ORIGINS", salt: 0 })), // none is searched for
    ...setup.pool,
  };
  const raw = {
    configRevision: 1,
    defaultRegion: "weur",
    regions: Object.fromEntries(regions.map((region) => [region, { secondary: regions.filter((other) => other !== region) }])),
    pools: { [POOL]: pool },
    routes: [{ path: "/live/:session", pool: POOL, session: [{ path: "session" }], home: "weur" }],
  };
  const parsed = parseConfig(raw, { dev: true });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const { config } = parsed;
  return { config, dev: true, secrets: [], retired: [], tokenSecrets: new Map(), access: accessOf(config, new Map()), hooks: new Map() };
}
