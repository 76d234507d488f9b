// Parking alone: visitors of one session are parked, and whoever would carry them afterwards only notes what it is told.

import { createEncoder, toUint8Array, writeVarString, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { vi } from "vitest";
import type { Close } from "../../../src/core/close-codes.ts";
import type { Resume } from "../../../src/core/config-types.ts";
import type { Frame } from "../../../src/core/profile.ts";
import type { Placement } from "../../../src/core/protocol.ts";
import type { Connection, KeptConnection, VisitorEvents } from "../../../src/platform/connection.ts";
import { encodeKept } from "../../../src/platform/kept-connection.ts";
import { keyedHash } from "../../../src/platform/keyed-hash.ts";
import { Parking, type ParkingHost } from "../../../src/platform/parking.ts";
import type { ParkedSession } from "../../../src/platform/parking-store.ts";
import { sealBytes } from "../../../src/platform/seal.ts";
import { fakeCrypto } from "./fake-crypto.ts";
import { FakeSocket } from "./fake-socket.ts";
import { FakeState, type Hibernating, type Life } from "./fake-state.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const SECRET = "secret";
export const AT_MS = 1_000_000;
/** How long an opening takes, and a hash. */
export const WORK_MS = 10;
export const Y_WEBSOCKET: Resume = { mode: "transparent", profile: "y-websocket" };
export const PLACED: Placement = {
  keyHash: "",
  origin: "o0",
  region: "weur",
  url: "http://o0",
  epoch: 1,
  fence: 100,
  reason: "owner",
  replicas: [],
};

/** Presence as y-websocket shows it: clients with their clocks and states. */
export function presence(...states: readonly (readonly [client: number, clock: number, state: string])[]): ArrayBuffer {
  const update = createEncoder();
  writeVarUint(update, states.length);
  for (const [client, clock, state] of states) {
    writeVarUint(update, client);
    writeVarUint(update, clock);
    writeVarString(update, state);
  }
  const frame = createEncoder();
  writeVarUint(frame, 1);
  writeVarUint8Array(frame, toUint8Array(update));
  return toUint8Array(frame).slice().buffer;
}

/** The visitor's end of a parked socket. Its presence has the clock 5. */
export interface Sleeper {
  readonly number: number;
  readonly far: FakeSocket;
  readonly near: FakeSocket;
  readonly got: Frame[];
  told: Close | undefined;
}

class ParkedObject implements Hibernating {
  readonly parking: Parking;

  constructor(life: Life<ParkedObject>, host: ParkingHost) {
    this.parking = new Parking(life.ctx, host);
  }

  webSocketMessage(socket: WebSocket, frame: Frame): void {
    this.parking.said(socket, frame);
  }

  webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.parking.closed(socket, { code, reason });
  }

  webSocketError(socket: WebSocket): void {
    this.parking.lost(socket, { code: 1006, reason: "" });
  }

  async alarm(): Promise<void> {
    // It is the carrier's.
  }
}

export class ParkedBench {
  readonly state: FakeState<ParkedObject>;
  readonly sleepers: Sleeper[] = [];
  /** Who was revived, and what each was told since, in the order in which it came. */
  readonly revived: number[] = [];
  readonly fences: number[] = [];
  readonly clocks: (number | undefined)[] = [];
  readonly told: string[] = [];
  readonly ended: number[] = [];
  changedCount = 0;
  secrets: readonly string[] = [SECRET];
  heldBytes = 0;
  mostBytes = 1_000_000;
  failsToRevive = false;
  keyHash = "";
  readonly clock = new VirtualClock();
  readonly #restore: () => void;
  #workMs = 0;

  /** Time and Web Crypto are played from here on, until `end`. */
  constructor() {
    vi.stubGlobal(
      "crypto",
      fakeCrypto(() => this.#workMs),
    );
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    this.clock.nowMs = AT_MS;
    this.#restore = this.clock.install();
    this.state = new FakeState((life) => new ParkedObject(life, this.#host()));
  }

  end(): void {
    this.#restore();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  }

  /** So many visitors are parked; from now on every opening takes its time. */
  async parked(...[count, resume, kept]: Parameters<ParkedBench["park"]>): Promise<void> {
    await this.park(count, resume, kept);
    await this.clock.pass(1);
    this.#workMs = WORK_MS;
  }

  /** All that is under way is through. */
  through(): Promise<void> {
    return this.clock.pass(20 * WORK_MS);
  }

  /** With which code each visitor was closed. */
  codes(): (number | undefined)[] {
    return this.sleepers.map(({ told }) => told?.code);
  }

  get parking(): Parking {
    return this.state.object.parking;
  }

  /** A visitor who is awake. */
  accept(): Connection {
    const number = this.sleepers.length;
    const [far, near] = FakeSocket.pair(0);
    const sleeper: Sleeper = { number, far, near, got: [], told: undefined };
    this.sleepers.push(sleeper);
    far.addEventListener("message", ({ data }: MessageEvent) => void sleeper.got.push(data as Frame));
    far.addEventListener("close", ({ code, reason }: CloseEvent) => {
      sleeper.told ??= { code, reason };
      if (code !== 1006) far.close(code, reason);
    });
    far.accept({ allowHalfOpen: true });
    const connection = this.#listener(number) as unknown as Connection & VisitorEvents; // as a connection is both
    const { parking } = this; // begins a life
    parking.accepting(this.keyHash)(this.state.life?.handleOf(near) as WebSocket, connection);
    return connection;
  }

  /** So many visitors, parked. */
  async park(
    count: number,
    resume = Y_WEBSOCKET,
    kept: (plain: KeptConnection, number: number) => Promise<Uint8Array> | Uint8Array = this.#seal,
  ): Promise<void> {
    this.keyHash = await keyedHash(this.secrets.at(-1) ?? "", "p", "doc");
    const { ref } = this.session();
    const connections = Array.from({ length: count }, () => this.accept());
    const keeping = connections.map(async (_, number) => {
      const frames = resume === Y_WEBSOCKET ? [new Uint8Array(presence([number + 1, 5, "{}"]))] : [];
      const live = { ...ref, version: 1, key: "doc", requestId: `r${number}`, resume, rehomeOn: [], quietMs: 100, parkAfterMs: 1_000 };
      const memory = { frames, sentCount: 2, passedCount: 0 };
      return kept({ live, target: `/doc?${number}`, headers: {}, subprotocol: null, memory }, number);
    });
    this.parking.keep(this.session(), connections, await Promise.all(keeping));
  }

  session(): ParkedSession {
    const { keyHash } = this;
    return { ref: { keyHash, position: 1, lot: 2, keyed: true }, placement: { ...PLACED, keyHash }, beganAtMs: AT_MS, busyAtMs: AT_MS };
  }

  say(number: number, ...frames: readonly Frame[]): void {
    for (const frame of frames) this.sleepers[number]?.far.send(frame);
  }

  /** The object's memory is lost. */
  evict(): void {
    this.state.end();
  }

  rows(): { readonly sessions: number; readonly connections: number } {
    return { sessions: this.state.rows("parked_sessions").length, connections: this.state.rows("parked_connections").length };
  }

  readonly #seal = (kept: KeptConnection): Promise<Uint8Array> => sealBytes([SECRET], "parked", encodeKept(kept));

  #listener(number: number): VisitorEvents {
    return {
      said: (frame) => void this.told.push(`${number} says ${typeof frame === "string" ? frame : "bytes"}`),
      closed: ({ code }) => void this.told.push(`${number} closes ${code}`),
      lost: () => void this.told.push(`${number} is lost`),
    };
  }

  #host(): ParkingHost {
    return {
      secrets: this.secrets,
      hashOf: (key) => keyedHash(this.secrets.at(-1) ?? "", "p", key),
      budgetOfSession: () => ({
        add: (bytes) => this.heldBytes + bytes <= this.mostBytes && ((this.heldBytes += bytes), true),
        remove: (bytes) => void (this.heldBytes -= bytes),
      }),
      revive: (session, revived) => {
        if (this.failsToRevive) throw new Error("a fault of the code");
        this.fences.push(session.placement.fence);
        this.clocks.push(...revived.map(({ visitor }) => visitor.clock));
        return new Map(
          revived.map(({ id, kept }) => {
            const number = Number(kept.target.split("?")[1]);
            this.revived.push(number);
            return [id, this.#listener(number)];
          }),
        );
      },
      ended: ({ placement }) => void this.ended.push(placement.fence),
      changed: () => void this.changedCount++,
    };
  }
}
