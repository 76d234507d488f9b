// Durable Objects that are played, so that one can be lost at any moment: lives with their memory, storage that outlives them (SQLite, alarms),
// calls between them that take time, and KV. As workerd (1.20261117) has it: writes of one turn are on disk together or not at all, and nothing
// leaves an object before they are; who calls an object that dies is told so (`durableObjectReset`), and that stub stays broken; an alarm whose
// handler was cut off comes again. What passes between objects is counted, and an object dies at the k-th such crossing, by the test's word.

import type { FakeSocket } from "../carried/fake-socket.ts";
import type { VirtualClock } from "../carried/virtual-clock.ts";
import { Disk } from "./disk.ts";

/** Of a message, one way; of a write until it is on disk; of an object's start; of an alarm that was cut off, before it comes again. */
const [UNDER_WAY_MS, WRITE_MS, START_MS, ALARM_AGAIN_MS] = [1, 1, 5, 2_500];

/** A moment at which an object is lost: the k-th crossing, before it is carried out, or after that and before anybody hears of it. */
export interface Fault {
  readonly crossing: number;
  readonly when: "before" | "after";
  readonly victim: "caller" | "callee";
}

export interface Crossing {
  readonly what: string;
  /** Those objects that take part, by name. */
  readonly caller: string | undefined;
  readonly callee: string | undefined;
}

type Methods = Readonly<Record<string, (...values: unknown[]) => unknown>>;
type Make = (ctx: DurableObjectState, env: never) => object;

export const never = new Promise<never>(() => undefined);
/** Questions by which a test looks how things are. */
const LOOKS: ReadonlySet<string> = new Set(["status", "origin", "session"]);

class Lost extends Error {
  readonly durableObjectReset = true;
}

/** One life of an object: what it has in memory. */
export class Life {
  readonly object: PlayedObject;
  /** Ends of connections that are its own: lost with it. */
  readonly sockets = new Set<FakeSocket>();
  readonly end = Promise.withResolvers<never>();
  begun: Promise<void> = never;
  methods: Methods = {};
  dead = false;
  #writing: PromiseWithResolvers<void> | undefined;

  constructor(object: PlayedObject) {
    this.object = object;
    this.end.promise.catch(() => undefined); // heard by whoever has called
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    if (this.#writing) this.object.disk.rollback();
    this.object.life = undefined;
    this.object.lostCount++;
    for (const socket of this.sockets) socket.reset("close");
    this.end.reject(new Lost());
  }

  /** Resolves when all that was written is on disk; never in a life that is over. */
  async written(): Promise<void> {
    while (this.#writing) await this.#writing.promise;
    if (this.dead) await never;
  }

  /** A write begins, or joins those of the same turn. `false`: nobody writes any more. */
  write(): boolean {
    if (this.dead) return false;
    if (this.#writing) return true;
    const writing = (this.#writing = Promise.withResolvers<void>());
    this.object.disk.begin();
    setTimeout(() => {
      const crossing = this.dead ? undefined : this.object.world.cross("write", undefined, this);
      if (this.dead) return;
      this.object.disk.commit();
      this.object.alarmChanged();
      this.#writing = undefined;
      crossing?.done();
      if (!this.dead) writing.resolve();
    }, WRITE_MS);
    return true;
  }
}

export class PlayedObject {
  readonly name: string;
  readonly world: PlayedObjects;
  readonly disk = new Disk();
  life: Life | undefined;
  /** Lives that were lost. */
  lostCount = 0;
  readonly #make: Make;
  /** An alarm's handler runs. */
  #ringing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(world: PlayedObjects, name: string, make: Make) {
    this.world = world;
    this.name = name;
    this.#make = make;
  }

  /** Whether something happens here by itself. */
  get willWake(): boolean {
    return this.#ringing || this.disk.alarmAtMs !== undefined;
  }

  /** The present life, or the next one, once it has begun. */
  async wake(): Promise<Life> {
    const life = (this.life ??= this.#begin());
    await life.begun;
    if (life.dead) throw new Lost();
    return life;
  }

  alarmChanged(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    const { alarmAtMs } = this.disk;
    this.#timer = alarmAtMs === undefined ? undefined : setTimeout(() => void this.#ring(), Math.max(0, alarmAtMs - Date.now())); // never rejects
  }

  #begin(): Life {
    const life = new Life(this);
    life.begun = pause(START_MS).then(() => {
      if (!life.dead) life.methods = this.#make(this.#ctx(life), this.world.envOf(life) as never) as Methods;
    });
    return life;
  }

  async #ring(): Promise<void> {
    if (this.#ringing) return;
    this.#ringing = true;
    this.disk.alarmAtMs = undefined;
    const crossing = this.world.cross("alarm", undefined, this);
    try {
      const life = await this.wake();
      await Promise.race([life.methods["alarm"]?.(), life.end.promise]);
      await Promise.race([life.written(), life.end.promise]);
      crossing.done();
    } catch (error) {
      if (!(error instanceof Lost)) this.world.faults.push(`the alarm of ${this.name}: ${String(error)}`);
      this.disk.alarmAtMs ??= Date.now() + ALARM_AGAIN_MS;
    }
    this.#ringing = false;
    this.alarmChanged();
  }

  /** As much of the state as our objects ask for. What a dead one asks or writes comes to nothing. */
  #ctx(life: Life): DurableObjectState {
    const { disk, world } = this;
    const exec = (query: string, ...values: unknown[]): unknown[] =>
      (query.startsWith("SELECT") ? !life.dead : life.write()) ? disk.run(query, values) : [];
    const storage = {
      sql: { exec },
      kv: { get: (key: string) => disk.kv.get(key), put: (key: string, value: unknown) => void (life.write() && disk.kv.set(key, value)) },
      setAlarm: async (atMs: number) => {
        if (life.write()) disk.alarmAtMs = atMs;
        await life.written();
      },
    };
    const waitUntil = (work: Promise<unknown>): void =>
      void work.catch((error: unknown) => life.dead || world.faults.push(`in the background of ${this.name}: ${String(error)}`));
    const awake = { getWebSockets: () => [], setWebSocketAutoResponse: () => undefined }; // nobody is parked here
    return { id: { name: this.name }, storage, waitUntil, ...awake } as unknown as DurableObjectState;
  }
}

export class PlayedObjects {
  readonly objects = new Map<string, PlayedObject>();
  readonly kv = new Map<string, string>();
  readonly crossings: Crossing[] = [];
  /** What no code of ours may do: background work that rejects, alarms that throw. */
  readonly faults: string[] = [];
  /** Nothing is counted, and nobody dies, unless the test says so. */
  counting = false;
  plan: readonly Fault[] = [];
  /** When the last fault of the plan came. */
  struckAtMs = 0;
  readonly #clock: VirtualClock;
  readonly #makers: Readonly<Record<string, Make>>;
  readonly #originsOf: (life: Life) => unknown;
  readonly #underWayMs: () => number;

  /** `originsOf`: how one life of an object reaches the origins. */
  constructor(
    clock: VirtualClock,
    makers: Readonly<Record<string, Make>>,
    originsOf: (life: Life) => unknown,
    underWayMs: () => number = () => UNDER_WAY_MS,
  ) {
    this.#clock = clock;
    this.#makers = makers;
    this.#originsOf = originsOf;
    this.#underWayMs = underWayMs;
  }

  close(): void {
    for (const { disk } of this.objects.values()) disk.close();
  }

  lostCountOf(name: string): number {
    return this.objects.get(name)?.lostCount ?? 0;
  }

  /** The bindings of one life; without one, a Worker's. */
  envOf(life?: Life): Readonly<Record<string, unknown>> {
    const namespaces = Object.keys(this.#makers).map((kind) => [
      kind,
      { idFromName: (name: string) => name, get: (name: string) => this.#stub(life, this.#object(kind, name)) },
    ]);
    const put = async (key: string, value: string): Promise<void> => {
      await life?.written();
      const crossing = this.cross(`put ${key}`, life, undefined);
      if (life?.dead) await never;
      await pause(this.#underWayMs());
      this.kv.set(key, value);
      crossing.done();
      if (life?.dead) await never;
    };
    return { ...Object.fromEntries(namespaces), AFFINITY: { put }, ORIGINS: life && this.#originsOf(life) };
  }

  /** Something passes between two objects, or one and the world: its moments before and after. */
  cross(what: string, caller: Life | undefined, callee: Life | PlayedObject | undefined): { readonly done: () => void } {
    if (!this.counting || LOOKS.has(what)) return { done: () => undefined };
    const called = callee instanceof Life ? callee.object : callee;
    const crossing = this.crossings.push({ what, caller: caller?.object.name, callee: called?.name });
    const strike = (when: Fault["when"]): void => {
      for (const fault of this.counting ? this.plan : []) {
        if (fault.crossing !== crossing || fault.when !== when) continue;
        if (fault.victim === "caller") caller?.die();
        else called?.life?.die();
        this.struckAtMs = this.#clock.nowMs;
      }
    };
    strike("before");
    return { done: () => strike("after") };
  }

  #object(kind: string, name: string): PlayedObject {
    let object = this.objects.get(name);
    if (!object) this.objects.set(name, (object = new PlayedObject(this, name, (ctx, env) => this.#makers[kind]?.(ctx, env) ?? {})));
    return object;
  }

  #stub(caller: Life | undefined, object: PlayedObject): object {
    let known: Life | undefined;
    const call = async (method: string, values: unknown[]): Promise<unknown> => {
      await (caller?.dead ? never : caller?.written());
      if (known?.dead) throw new Lost();
      known ??= object.life;
      const crossing = this.cross(method, caller, object);
      if (caller?.dead) await never;
      await pause(this.#underWayMs()); // what is under way arrives, whatever becomes of its sender
      if (known?.dead) throw new Lost();
      const life = (known = await object.wake());
      const byValue = method !== "fetch";
      const answer = await Promise.race([life.methods[method]?.(...(byValue ? structuredClone(values) : values)), life.end.promise]);
      await Promise.race([life.written(), life.end.promise]);
      const socket = (answer as { readonly webSocket?: FakeSocket } | undefined)?.webSocket;
      if (socket) life.sockets.add(socket);
      crossing.done();
      if (life.dead) throw new Lost();
      await (caller?.dead ? never : pause(this.#underWayMs()));
      if (caller?.dead) await never;
      return byValue ? structuredClone(answer) : answer;
    };
    return new Proxy({}, { get: (_, method) => (method === "then" ? undefined : (...values: unknown[]) => call(String(method), values)) });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
