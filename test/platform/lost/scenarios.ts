// What may be under way when an object is lost, each with what must have come of it in the end.

import { ringName, type LostWorld, type Setup } from "./lost-world.ts";

export interface Scenario extends Setup {
  /** How things come to be as they are before. */
  readonly prepare?: (world: LostWorld) => Promise<void>;
  /** What begins then. Its value is what was acknowledged; nothing was if it rejects. */
  readonly act: (world: LostWorld) => unknown;
  /** How long that takes undisturbed: objects are lost within. */
  readonly lastsMs: number;
  /** Time after the last loss in which everything is as it should be; default `SETTLES_MS`. */
  readonly settlesMs?: number;
  /** No session moves, whoever is lost. */
  readonly stays?: boolean;
  /** An origin dies, and takes with it what it had not answered. */
  readonly loses?: boolean;
  /** Visitors' sockets may be closed: their protocol bears no other origin. */
  readonly restarts?: boolean;
  /** Something is wrong in the end beside what is wrong anywhere. */
  readonly fault?: (world: LostWorld, acknowledged: unknown) => Promise<string | undefined> | string | undefined;
}

const THREE = { origins: ["weur-0", "weur-1", "weur-2"], sessions: [2, 2, 1, 1] };
const TWO_REGIONS = { origins: ["weur-0", "weur-1", "enam-0", "enam-1"], sessions: [2, 1, 1] };
const PRELUDE = { frames: 0, bytes: 1_000, swallow: 0, mute: false };

/** Whoever came back has been placed, and reported. */
export const SETTLES_MS = 3_000;
/** A drain goes on with the next alarm, which the health checks set or the platform repeats. */
const DRAIN_SETTLES_MS = 5_000;
/** Without anybody who comes back, a lost carrier's next life is begun by its alarm, every 5 s. */
const COUNTS_SETTLE_MS = 5_300;
/** A session that has left, and whose ring object has forgotten where to, asks after MOVE_DEADLINE_MS. */
const ORDER_SETTLES_MS = 7_500;

const drain = {
  act: async (world: LostWorld) => {
    const id = world.ownerOf(0);
    await world.ring().drain(id, "tester");
    return id;
  },
  lastsMs: 4_000,
  settlesMs: DRAIN_SETTLES_MS,
  fault: (world: LostWorld, id: unknown) => notDrained(world, id),
};

/** Sessions stay for so long, then they go. */
const FINISH_MS = 1_500;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "a drain": { ...THREE, ...drain },
  "a drain of sessions that hand their state over": {
    ...THREE,
    ...drain,
    resume: { mode: "handover", handover: { path: "/handover", maxBytes: 1_000, timeoutMs: 500 }, prelude: PRELUDE },
    restarts: true,
  },
  "a drain of sessions that are restarted": { ...THREE, ...drain, resume: { mode: "restart" }, restarts: true },
  "a drain, and who is cut off does not come back": { ...THREE, ...drain, settlesMs: COUNTS_SETTLE_MS, gone: true },
  "a drain that lets sessions finish": {
    ...THREE,
    ...drain,
    act: async (world) => {
      const id = world.ownerOf(0);
      await world.ring().drain(id, "tester", { mode: "finish", deadlineMs: FINISH_MS });
      return id;
    },
    lastsMs: 4_000 + FINISH_MS,
  },
  "a drain whose origin dies in the middle": {
    ...THREE,
    ...drain,
    act: async (world) => {
      const id = world.ownerOf(0);
      const ordered = world.ring().drain(id, "tester");
      world.origin(id).dies("close");
      await ordered;
      return id;
    },
    loses: true,
  },
  "the death of an origin": {
    ...THREE,
    act: (world) => world.origin(world.ownerOf(0)).dies("close"),
    lastsMs: 2_500,
    loses: true,
  },
  arrivals: {
    ...THREE,
    stays: true,
    act: (world) => [0, 4, 5].forEach((session) => world.join(session)),
    lastsMs: 1_000,
  },
  "ends of sessions": { ...THREE, stays: true, act: (world) => world.leave(0, 1, 4), lastsMs: 1_000, settlesMs: COUNTS_SETTLE_MS },
  "an operator's move": {
    ...THREE,
    act: async (world) => {
      const to = world.otherThan(world.ownerOf(0));
      const answer = await world.ring().moveSession(world.refOf(0).keyHash, to);
      return answer.kind === "told" ? to : undefined;
    },
    lastsMs: 2_000,
    settlesMs: ORDER_SETTLES_MS,
    fault: (world, to) => notAt(world, 0, to),
  },
  "an origin's order": {
    ...THREE,
    act: async (world) => {
      const to = world.otherThan(world.ownerOf(0));
      const answer = await world.ring().redirect({ ...world.refOf(0), from: world.ownerOf(0), to });
      return answer.kind === "placed" ? to : undefined;
    },
    lastsMs: 2_000,
    settlesMs: ORDER_SETTLES_MS,
    fault: (world, to) => notAt(world, 0, to),
  },
  "the first visitor of a session that was ordered elsewhere": {
    ...THREE,
    prepare: async (world) => {
      const found = await world.ask(world.ring().find({ ...world.refOf(9), excluded: [] }));
      if (found.kind !== "routed" || found.origin.id === "weur-1") throw new Error("the ring has it there already");
      await world.ask(world.ring().redirect({ ...world.refOf(9), from: found.origin.id, to: "weur-1" }));
    },
    act: (world) => world.join(9),
    lastsMs: 1_000,
    fault: (world) => notAt(world, 9, "weur-1"),
  },
  "sessions that are not where the ring says, and more visitors of theirs": {
    ...THREE,
    stays: true,
    prepare: async (world) => {
      await world.ask(world.ring().drain("weur-1", "tester"));
      await world.clock.pass(4_000);
      await world.ask(world.ring().undrain("weur-1", "tester"));
      await world.ask(world.ring().moveSession(world.refOf(0).keyHash, world.otherThan(world.ownerOf(0))));
      await world.clock.pass(1_000);
    },
    act: (world) => [0, 1, 2].forEach((session) => world.join(session)),
    lastsMs: 1_500,
  },
  "sessions that follow the ring": {
    ...THREE,
    pool: { hold: false },
    prepare: async (world) => {
      await world.ask(world.ring().drain("weur-1", "tester"));
      await world.clock.pass(4_000);
    },
    act: (world) => world.ring().undrain("weur-1", "tester"),
    lastsMs: 2_000,
  },
  "the loss of a region": {
    ...TWO_REGIONS,
    act: (world) => ["weur-0", "weur-1"].forEach((id) => world.origin(id).dies("close")),
    lastsMs: 2_000,
    loses: true,
  },
  "a failback": {
    ...TWO_REGIONS,
    prepare: abroad,
    act: (world) => ["weur-0", "weur-1"].forEach((id) => world.origin(id).becomes("well")),
    lastsMs: 5_000,
    settlesMs: DRAIN_SETTLES_MS,
    loses: true,
    fault: (world) =>
      world
        .sessions()
        .map((session) => world.ownerOf(session))
        .find((owner) => !owner.startsWith("weur")),
  },
  "a drain abroad": {
    ...TWO_REGIONS,
    prepare: abroad,
    act: async (world) => {
      const id = world.ownerOf(0);
      await world.ring("enam").drain(id, "tester");
      return id;
    },
    lastsMs: 4_000,
    settlesMs: DRAIN_SETTLES_MS,
    loses: true,
    fault: (world, id) => notDrained(world, id),
  },
  "a drain abroad that lets sessions finish": {
    ...TWO_REGIONS,
    prepare: abroad,
    act: async (world) => {
      const id = world.ownerOf(0);
      await world.ring("enam").drain(id, "tester", { mode: "finish", deadlineMs: FINISH_MS });
      return id;
    },
    lastsMs: 4_000 + FINISH_MS,
    settlesMs: DRAIN_SETTLES_MS,
    loses: true,
    fault: (world, id) => notDrained(world, id),
  },
  nothing: { ...THREE, stays: true, act: () => undefined, lastsMs: 5_500 },
  "nothing, with one origin and nobody there": { origins: ["weur-0"], sessions: [], act: () => undefined, lastsMs: 2_500 },
};

async function abroad(world: LostWorld): Promise<void> {
  for (const id of ["weur-0", "weur-1"]) world.origin(id).dies("close");
  await world.until("all are abroad", () => world.sessions().every((session) => world.ownerOf(session).startsWith("enam")));
  await world.clock.pass(1_000);
}

async function notDrained(world: LostWorld, id: unknown): Promise<string | undefined> {
  if (typeof id !== "string") return undefined;
  const origin = await world.ask(world.ring(id.split("-")[0]).origin(id));
  return origin?.state === "drained" ? undefined : `${id} is ${origin?.state}`;
}

/** A ring object that is lost in the repeated call, too, has the carrier decide alone. */
function notAt(world: LostWorld, session: number, to: unknown): string | undefined {
  const isAlone = world.objects.lostCountOf(ringName("weur")) > 1;
  if (typeof to !== "string" || isAlone || world.ownerOf(session) === to) return undefined;
  return `s${session} was ordered to ${to}, and is at ${world.ownerOf(session)}`;
}
