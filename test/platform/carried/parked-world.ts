// A carrier object itself between visitors, origins and a ring that are played: what parking is tried in. Its memory may be lost at any moment; its
// storage, its alarm and its visitors' sockets stay.

import { vi } from "vitest";
import type { CarrierObject as Carrier } from "../../../src/platform/carrier-object.ts";
import {
  encodeLiveRequest,
  LIVE_HEADER,
  type EndedItem,
  type Envelope,
  type LiveRequest,
  type PlaceItem,
  type Placement,
} from "../../../src/core/protocol.ts";
import type { Leg } from "./fake-origin.ts";
import type { OriginFetch } from "../../../src/platform/origin-fetch.ts";
import { FakeSocket } from "./fake-socket.ts";
import { FakeState, type Life } from "./fake-state.ts";
import type { Mover } from "./fake-ring.ts";
import { CLOSE_DEADLINE_MS, PlayedWorld, REF, type Setting, type Visitor } from "./played-world.ts";

export interface ParkedSetting extends Setting {
  readonly afterMs: number;
  readonly idleMs: number;
  readonly maxConnections?: number | undefined;
}

type SettingsSource = ConstructorParameters<typeof Carrier>[2];

export class ParkedWorld extends PlayedWorld {
  readonly state: FakeState<Carrier>;
  /** What the carrier last said of its connections, and whether it slept. */
  reported: { readonly connections: number; readonly asleep: boolean } = { connections: 0, asleep: true };
  /** The ring object does not hear: what it is asked fails. Something may have been lost, and it has to look by itself. */
  deaf = false;
  ringMissed = false;
  secrets: readonly string[] = ["secret"];
  readonly #setting: ParkedSetting;
  #isBehind = false;

  constructor(setting: ParkedSetting, CarrierObject: typeof Carrier) {
    super(setting);
    this.#setting = setting;
    this.state = new FakeState((life) => {
      const { ctx } = life;
      return new CarrierObject(ctx, this.#env(life) as never, this.#source());
    });
  }

  get object(): Carrier {
    return this.state.object;
  }

  /** `undefined`: no session of it is there. */
  get carrier(): Mover {
    return {
      leave: (item) => this.#whileAlive(this.object.leave([item])),
      enter: (placement) => this.background.push(this.#enter(placement)),
    };
  }

  async #enter(placement: Placement): Promise<void> {
    const entered = await this.#whileAlive(this.object.enter([placement]));
    if (entered && entered.absent.length > 0 && this.ring.placement === placement) this.ring.placement = undefined;
  }

  join({ parks = true }: { readonly parks?: boolean } = {}): Visitor {
    const visitor = this.newVisitor();
    const live: LiveRequest = {
      ...REF,
      version: 1,
      requestId: `r${visitor.number}`,
      resume: this.#setting.resume,
      rehomeOn: [1001, 1006, 1012],
      quietMs: 100,
      originSilenceMs: this.#setting.originSilenceMs,
      parkAfterMs: parks ? this.#setting.afterMs : undefined,
    };
    const request = new Request(`http://edge/doc?visitor=${visitor.number}`, {
      headers: { [LIVE_HEADER]: encodeLiveRequest(live), upgrade: "websocket" },
    });
    this.background.push(this.#arrive(visitor, request));
    return visitor;
  }

  wake(): void {
    this.background.push(this.#whileAlive(this.object.wake(REF.keyHash)));
  }

  /** The object's memory is lost: legs break off, and so do sockets that it does not share with the runtime. */
  reset(): void {
    const lost = this.state.life?.object;
    this.state.end();
    this.ringMissed = this.#isBehind = true;
    void lost?.expel([REF.keyHash]); // what is left of it reaches nothing: its timers have an end
  }

  /** The runtime takes the memory of an object that sleeps: that has had nothing to do for a while. */
  async evict(): Promise<void> {
    await this.clock.pass(10_000);
    if (await this.object.isParked(REF.keyHash)) this.state.end();
  }

  /** The ring object reads the carrier's table, as it does where it has missed something. */
  async pull(): Promise<void> {
    const { rows } = await this.object.table();
    this.ring.reads(rows[0]);
  }

  /** Whose rows lie in storage. */
  rowsOf(table: "parked_sessions" | "parked_connections"): number {
    return this.state.rows(table).length;
  }

  /** Legs that the carrier has open. */
  openLegs(): Leg[] {
    return this.legs().filter(({ near }) => !near.ended && !near.closed);
  }

  protected override forbidden(): string | undefined {
    return this.ringMissed ? undefined : super.forbidden(); // a carrier that could not ask has decided by itself
  }

  async #arrive(visitor: Visitor, request: Request): Promise<void> {
    const response = await this.#whileAlive(this.object.fetch(request));
    const { webSocket } = (response ?? {}) as { webSocket?: FakeSocket };
    if (webSocket) this.arrived(visitor, { kind: "connected" }, () => webSocket);
    else this.arrived(visitor, { kind: "unreachable" }, never);
  }

  /** What is asked of an object whose life ends is not answered: its caller hears that it broke. */
  #whileAlive<T>(asked: Promise<T>): Promise<T | undefined> {
    const { life } = this.state;
    const broken = new Promise<undefined>((resolve) => life?.atEnd(() => resolve(undefined)));
    return Promise.race([asked, broken]);
  }

  #source(): SettingsSource {
    const { idleMs, maxConnections = 100 } = this.#setting;
    const origins = this.origins.map(({ id }) => ({ id, region: "weur", url: `http://${id}`, weight: 1, salt: 0, backup: false }));
    const pool = {
      id: "p",
      virtualNodes: 8,
      stickiness: "prefer",
      hold: true,
      affinity: "on",
      rollout: 1,
      carrier: { maxConnections },
      closeDeadlineMs: CLOSE_DEADLINE_MS,
      session: { idleMs, maxLifeMs: 86_400_000 },
      origins,
    };
    const config = { configRevision: 1, regions: { weur: { secondary: [] } }, pools: { p: pool }, routes: [] };
    const settings = { dev: false, config, secrets: this.secrets, access: new Map(), hooks: new Map(), tokenSecrets: new Map() } as never;
    return { bundled: () => settings, bundle: () => ({ revision: 1, text: "{}", hash: 0 }), read: () => settings };
  }

  #env(life: Life<Carrier>): object {
    // A socket that this life makes is its own until it is accepted for hibernation.
    const sockets: FakeSocket[] = [];
    const latencyMs = this.#setting.visitorLatencyMs;
    stubPair((near) => {
      sockets.push(near);
      return life.handleOf(near);
    }, latencyMs);
    life.atEnd(() => {
      for (const socket of sockets) if (!this.state.accepted.some((each) => each.socket === socket)) socket.reset();
      for (const leg of this.legs()) {
        leg.near.onSend = undefined;
        leg.near.reset();
      }
    });
    const send: OriginFetch = (...asked) => {
      if (life.ended) return new Promise(() => undefined);
      const dialled = this.sendToOrigin(...asked);
      void dialled.then(
        (response) => {
          if (life.ended) (response as unknown as { webSocket?: FakeSocket }).webSocket?.reset();
        },
        () => undefined,
      );
      return life.whileAlive(dialled);
    };
    return { RING: { idFromName: (name: string) => name, get: () => this.#ringFor(life) }, send };
  }

  #ringFor(life: Life<Carrier>): object {
    const heard = async <T>(work: () => Promise<T>): Promise<T> => {
      if (life.ended) return new Promise(() => undefined);
      if (this.deaf) {
        this.ringMissed = this.#isBehind = true;
        throw new Error("the ring object cannot be reached");
      }
      if (this.#isBehind) {
        this.#isBehind = false;
        await this.pull();
      }
      return life.whileAlive(work());
    };
    return {
      place: (_: Envelope, items: readonly PlaceItem[]) => heard(() => Promise.all(items.map((item) => this.ring.place(item, life)))),
      ended: (_: Envelope, items: readonly EndedItem[]) => heard(() => Promise.all(items.map(({ fence }) => this.ring.end(fence)))),
      report: (_: Envelope, counts: Readonly<Record<string, number>>, __: unknown, asleep: boolean) =>
        heard(async () => {
          this.reported = { connections: Object.values(counts).reduce((sum, count) => sum + count, 0), asleep };
        }),
      endOrder: async () => undefined,
    };
  }
}

function stubPair(handleOf: (near: FakeSocket) => WebSocket, latencyMs: number): void {
  vi.stubGlobal("WebSocketPair", function () {
    const [visitor, router] = FakeSocket.pair(latencyMs);
    return { 0: visitor, 1: handleOf(router) };
  });
}

function never(): never {
  throw new Error("there is no socket");
}
