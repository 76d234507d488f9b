// One scenario with the faults of a plan, and everything that is wrong with what came of it.

import { hintsKvKey, snapshotKvKey } from "../../../src/core/names.ts";
import type { Hints, Snapshot } from "../../../src/core/snapshot.ts";
import { LostWorld, ringName } from "./lost-world.ts";
import type { Crossing, Fault } from "./objects.ts";
import { SETTLES_MS, type Scenario } from "./scenarios.ts";

export interface Outcome {
  readonly crossings: readonly Crossing[];
  readonly wrong: readonly string[];
}

export async function outcomeOf(scenario: Scenario, plan: readonly Fault[]): Promise<Outcome> {
  const world = new LostWorld(scenario);
  const restore = world.clock.install();
  const random = Math.random;
  Math.random = seeded(1); // the same crossings every time
  try {
    await world.begin();
    await scenario.prepare?.(world);
    const before = new Map(world.sessions().map((session) => [session, placeOf(world, session)]));
    const sockets = world.visitors.map(({ connections }) => connections.at(-1));
    const { objects } = world;
    Object.assign(objects, { plan, counting: true });
    const acted = Promise.resolve(scenario.act(world)).catch(() => undefined); // its object died under it
    await world.clock.pass(scenario.lastsMs);
    objects.counting = false;
    const acknowledged = await world.ask(acted);
    await world.clock.pass(Math.max(0, objects.struckAtMs + (scenario.settlesMs ?? SETTLES_MS) - world.clock.nowMs));

    const wrong = [...world.violations, ...objects.faults, ...sleepers(world)]; // before anybody is asked: that would wake them
    for (const session of world.sessions()) wrong.push(...(await wrongOf(world, session, scenario, before.get(session))));
    for (const [number, connection] of sockets.entries()) {
      const { left } = world.visitors[number] ?? { left: true };
      const isCut = connection !== undefined && objects.lostCountOf(connection.carrier) > 0;
      if (!left && !isCut && !scenario.restarts && connection?.closed !== undefined) wrong.push(`v${number} was closed: ${connection.closed}`);
    }
    wrong.push(...unheard(world, scenario), ...(await miscounted(world)));
    const fault = await scenario.fault?.(world, acknowledged);
    if (fault !== undefined) wrong.push(fault);
    return { crossings: objects.crossings, wrong };
  } finally {
    Math.random = random;
    restore();
    world.close();
  }
}

/** Every fault that the crossings of an undisturbed run allow. */
export function faultsOf(crossings: readonly Crossing[]): Fault[] {
  return crossings.flatMap(({ caller, callee }, index) =>
    (["before", "after"] as const).flatMap((when) => [
      ...(caller === undefined ? [] : [{ crossing: index + 1, when, victim: "caller" as const }]),
      ...(callee === undefined ? [] : [{ crossing: index + 1, when, victim: "callee" as const }]),
    ]),
  );
}

export function describe({ crossing, when, victim }: Fault, crossings: readonly Crossing[]): string {
  const { what, caller, callee } = crossings[crossing - 1] ?? { what: "what did not come", caller: undefined, callee: undefined };
  return `${crossing}: ${victim === "caller" ? caller : callee} is lost ${when} ${what} (${caller} → ${callee})`;
}

export function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
}

interface Place {
  readonly origin: string;
  readonly fence: number;
}

function placeOf(world: LostWorld, session: number): Place {
  const [leg] = world.legsOpen(session);
  return { origin: leg?.origin ?? "nobody", fence: leg?.fence ?? 0 };
}

/** Objects that have something to do and will not do it by themselves. */
function sleepers(world: LostWorld): string[] {
  const rings = world.regions.map(ringName);
  const carriers = world.sessions().map((session) => world.carrierOf(session));
  return [...rings, ...carriers].filter((name) => world.objects.objects.get(name)?.willWake !== true).map((name) => `${name} will not wake`);
}

/** Everyone of it is served, by one origin, and the ring object and its published hints say the same. */
async function wrongOf(world: LostWorld, session: number, { stays }: Scenario, before: Place | undefined): Promise<string[]> {
  const wrong: string[] = [];
  const legs = world.legsOpen(session);
  const places = [...new Set(legs.map(({ origin, fence }) => `${origin} by ${fence}`))];
  const visitors = world.present(session).length;
  if (legs.length !== visitors || places.length !== 1) wrong.push(`s${session}: ${legs.length} legs for ${visitors}, at ${places.join()}`);
  const told = await world.ask(world.ring().session(world.refOf(session).keyHash));
  if (`${told?.origin} by ${told?.fence}` !== places[0])
    wrong.push(`s${session} is at ${places[0]}, the ring says ${told?.origin} by ${told?.fence}`);
  const now = placeOf(world, session);
  if (before && now.fence < before.fence) wrong.push(`s${session}: ${now.fence} after ${before.fence}`);
  const isAlone = world.objects.lostCountOf(ringName("weur")) > 1; // the carrier may have had to decide: its repeated call was lost, too
  if (before && stays && !isAlone && now.origin !== before.origin) wrong.push(`s${session} was at ${before.origin}, and is at ${now.origin}`);
  const hint = published<Hints>(world, hintsKvKey("live", "weur"))?.entries.find(({ keyHash }) => keyHash === world.refOf(session).keyHash);
  if (hint && (hint.origin !== now.origin || hint.fence !== now.fence)) wrong.push(`s${session}: a hint to ${hint.origin} by ${hint.fence}`);
  return wrong;
}

/** Nothing is heard twice; and on a socket that stayed open, where no origin died, nothing is missing. */
function unheard(world: LostWorld, { loses }: Scenario): string[] {
  return world.visitors.flatMap(({ number, left, connections }) =>
    connections.flatMap(({ sent, got, closed }) => {
      const answered = got.map((answer) => answer.split(" ")[0] ?? "");
      const twice = answered.filter((frame, index) => answered.indexOf(frame) !== index);
      const missing = loses || left || closed !== undefined ? [] : sent.slice(0, -1).filter((frame) => !answered.includes(frame));
      return [...twice.map((frame) => `v${number} hears ${frame} twice`), ...missing.map((frame) => `v${number} misses ${frame}`)];
    }),
  );
}

/** What operators are told, beside what is. */
async function miscounted(world: LostWorld): Promise<string[]> {
  const wrong: string[] = [];
  const expect = (what: string, told: number, is: number): void => void (told === is || wrong.push(`${told} ${what}, there are ${is}`));
  for (const region of world.regions) {
    const status = await world.ask(world.ring(region).status());
    expect(`are between two origins (${region})`, status.moving + status.waiting, 0);
    for (const { id, sessions } of status.origins) expect(`sessions at ${id}`, sessions, world.at(id).sessions);
    const snapshot = published<Snapshot>(world, snapshotKvKey("live", region));
    expect(`is ${region}'s epoch on KV`, snapshot?.epoch ?? 0, status.epoch);
    expect(`is ${region}'s version of hints on KV`, snapshot?.hintsVersion ?? 0, status.hintsVersion);
    if (region !== "weur") continue; // everyone's home
    expect("sessions", status.sessions, world.sessions().length);
    expect("connections", status.connections, world.present().length);
    for (const { id } of world.origins) expect(`connections to ${id}`, status.connectionsByOrigin[id] ?? 0, world.at(id).connections);
  }
  return wrong;
}

function published<T>(world: LostWorld, key: string): T | undefined {
  const text = world.objects.kv.get(key);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}
