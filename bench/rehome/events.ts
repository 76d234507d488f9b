// What happens to a fleet and its router, one event after another, and how each is undone.

import type { Contestant } from "../harness/sessions/contestant.ts";
import type { Fleet } from "../harness/sessions/fleet.ts";
import type { Member } from "../harness/sessions/places.ts";

export const REGIONS = ["weur", "enam"] as const;
const ORIGINS_PER_REGION = 4;
export const ORIGIN_IDS: readonly string[] = REGIONS.flatMap((region) =>
  Array.from({ length: ORIGINS_PER_REGION }, (_, index) => `${region}-${index + 1}`),
);
const LATECOMER = "weur-5";
const HEAVIER = 2;

export interface World {
  readonly fleet: Fleet;
  readonly contestant: Contestant;
}

export interface FleetEvent {
  readonly name: "drain" | "kill" | "hang" | "join" | "reweight" | "region" | "failback" | "carrierReset" | "routerRestart";
  /** The origins that it is about. */
  readonly origins: readonly string[];
  /** Who dies, or hangs: these origins, the router or a part of it, nobody. */
  readonly deadly: "origins" | "router" | "nobody";
  /** What only some contestants can; absent: it befalls all of them. */
  readonly needs?: "resetCarrier";
  act(world: World): Promise<void>;
  /** How a router must show its fleet once it knows; also what is expected of one that does not say. */
  change(members: readonly Member[]): Member[];
  /** A second act, which changes nothing any more for who is where. */
  wake?(world: World): Promise<void>;
  /** Absent: the next event goes on from here. */
  undo?(world: World): Promise<void>;
}

const ENAM = ORIGIN_IDS.filter((id) => regionOf(id) === "enam");

export const EVENTS: readonly FleetEvent[] = [
  {
    name: "drain",
    origins: ["weur-1"],
    deadly: "nobody",
    act: ({ contestant }) => contestant.drain("weur-1"),
    change: changing(["weur-1"], { state: "draining" }),
    undo: ({ contestant }) => contestant.undrain("weur-1"),
  },
  {
    name: "kill",
    origins: ["weur-2"],
    deadly: "origins",
    act: ({ fleet }) => fleet.kill("weur-2"),
    change: changing(["weur-2"], { health: "down" }),
    undo: async ({ fleet, contestant }) => {
      await fleet.start("weur-2");
      await contestant.forgive();
    },
  },
  {
    name: "hang",
    origins: ["weur-3"],
    deadly: "origins",
    act: async ({ fleet }) => fleet.hang("weur-3"),
    change: changing(["weur-3"], { health: "down" }),
    wake: async ({ fleet }) => fleet.wake("weur-3"),
    undo: ({ contestant }) => contestant.forgive(),
  },
  {
    name: "join",
    origins: [LATECOMER],
    deadly: "nobody",
    act: async ({ fleet, contestant }) => contestant.join(LATECOMER, "weur", await fleet.start(LATECOMER)),
    change: (members) => [...members, { ...like(members), id: LATECOMER, region: "weur" }],
    undo: ({ contestant }) => contestant.leave(LATECOMER),
  },
  {
    name: "reweight",
    origins: ["weur-4"],
    deadly: "nobody",
    act: ({ contestant }) => contestant.reweight("weur-4", HEAVIER),
    change: changing(["weur-4"], { weight: HEAVIER }),
    undo: ({ contestant }) => contestant.reweight("weur-4", 1),
  },
  {
    name: "region",
    origins: ENAM,
    deadly: "origins",
    act: async ({ fleet }) => void (await Promise.all(ENAM.map((id) => fleet.kill(id)))),
    change: changing(ENAM, { health: "down" }),
  },
  {
    name: "failback",
    origins: ENAM,
    deadly: "nobody",
    act: async ({ fleet }) => void (await Promise.all(ENAM.map((id) => fleet.start(id)))),
    change: changing(ENAM, { health: "healthy" }),
  },
  {
    name: "carrierReset",
    origins: [],
    deadly: "router",
    needs: "resetCarrier",
    act: async ({ contestant }) => contestant.resetCarrier?.(),
    change: (members) => [...members],
  },
  {
    name: "routerRestart",
    origins: [],
    deadly: "router",
    act: ({ contestant }) => contestant.restart(),
    change: (members) => [...members],
  },
];

export function regionOf(id: string): string {
  return id.split("-")[0] ?? "";
}

function changing(ids: readonly string[], change: Partial<Member>): (members: readonly Member[]) => Member[] {
  return (members) => members.map((member) => (ids.includes(member.id) ? { ...member, ...change } : member));
}

/** One like the others; a router that says which salt it has found is believed. */
function like(members: readonly Member[]): Member {
  const [first] = members;
  if (!first) throw new Error("the fleet is empty");
  return first;
}

/** Whether a router shows its fleet as it should be: the same origins, weights and conditions. (`drained` comes after `draining`.) */
export function shows(seen: readonly Member[], wanted: readonly Member[]): boolean {
  const texts = (members: readonly Member[]): string =>
    members
      .map(({ id, weight, state, health }) => `${id} ${weight} ${state === "drained" ? "draining" : state} ${health}`)
      .toSorted()
      .join(", ");
  return texts(seen) === texts(wanted);
}
