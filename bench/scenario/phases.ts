// What happens in a day, in this order. Each phase leaves the fleet whole.

import { POOL } from "../harness/sessions/places.ts";
import { SCALE_OUT } from "./report.ts";
import { idsIn, REGIONS, type Region } from "./config.ts";
import { pause, type Course, type World } from "./course.ts";
import type { Seen } from "./lookout.ts";

export const CONFIGURED_COUNT = 3;
/** With the one that joins. */
export const WHOLE_COUNT = CONFIGURED_COUNT + 1;
const ALL = REGIONS.flatMap((region) => idsIn(region, WHOLE_COUNT));
const BAD = "weur-2";
const HEAVIER = { id: "weur-1", weight: 2 };
const LOST: Region = "enam";

const DRAINED_WITHIN_MS = 40_000;
/** A new path is asked for until Workers have the configuration with it: KV's minute, and some. */
const APPLIED_WITHIN_MS = 90_000;
const ASK_AGAIN_MS = 250;

export type PhaseName = typeof SCALE_OUT | "bad-deploy" | "rolling-restart" | "apply" | "region-loss";

export const PHASES: Readonly<Record<PhaseName, (course: Course, world: World) => Promise<void>>> = {
  [SCALE_OUT]: scaleOut,
  "bad-deploy": badDeploy,
  "rolling-restart": rollingRestart,
  apply,
  "region-loss": regionLoss,
};

async function scaleOut(course: Course, { fleet, limpet }: World): Promise<void> {
  for (const region of REGIONS) {
    const id = `${region}-${WHOLE_COUNT}`;
    await course.step({
      phase: SCALE_OUT,
      what: `${id} joins`,
      regions: [region],
      act: async () => limpet.join(id, region, await fleet.start(id)),
      shows: serving([id]),
    });
  }
}

/** Only plain requests find out: its checks and its sockets are well. */
async function badDeploy(course: Course, { fleet }: World): Promise<void> {
  for (const [manner, words] of [
    ["failing", "answers 500"],
    ["slow", "answers slowly"],
  ] as const) {
    await course.step({
      phase: "bad-deploy",
      what: `${BAD} ${words}, and is ejected`,
      regions: [regionOf(BAD)],
      act: async () => fleet.behave(BAD, manner),
      shows: (seen) => seen.some(({ id, health }) => id === BAD && health === "ejected"),
    });
    await course.step({
      phase: "bad-deploy",
      what: `${BAD} is mended, and comes back`,
      regions: [regionOf(BAD)],
      act: async () => fleet.behave(BAD, "well"),
      shows: serving(ALL),
    });
  }
}

async function rollingRestart(course: Course, { fleet, limpet }: World): Promise<void> {
  for (const id of ALL) {
    const regions = [regionOf(id)];
    await course.step({
      phase: "rolling-restart",
      what: `${id} is drained`,
      regions,
      act: async () => {
        await limpet.drain(id);
        await limpet.admin("GET", `rings/${POOL}/${regionOf(id)}/origins/${id}?waitFor=drained&timeoutMs=${DRAINED_WITHIN_MS}`, undefined, {
          withinMs: DRAINED_WITHIN_MS + 5_000,
        });
      },
      shows: (seen) => seen.some((origin) => origin.id === id && origin.state === "drained"),
    });
    await course.step({
      phase: "rolling-restart",
      what: `${id} is restarted, and serves again`,
      regions,
      act: async () => {
        await fleet.kill(id); // drained: nobody is in flight there
        await fleet.start(id);
        await limpet.undrain(id);
      },
      shows: serving(ALL),
    });
  }
}

/** Another weight, another policy and another route at once; and back. */
async function apply(course: Course, { limpet }: World): Promise<void> {
  const { url } = limpet;
  const path = "/pages/applied/now";
  const answers = async (): Promise<boolean> => {
    const response = await fetch(url.replace("ws", "http") + path, { headers: { "x-session-id": "applied" } });
    await response.arrayBuffer();
    return response.ok;
  };
  const answersWill = async (be: boolean): Promise<void> => {
    for (const untilMs = Date.now() + APPLIED_WITHIN_MS; Date.now() < untilMs; await pause(ASK_AGAIN_MS)) if ((await answers()) === be) return;
    throw new Error(`${path} does not ${be ? "answer, though it was applied" : "cease to answer, though it was undone"}`);
  };
  const weighs =
    (weight: number) =>
    (seen: readonly Seen[]): boolean =>
      serving(ALL)(seen) && seen.some((origin) => origin.id === HEAVIER.id && origin.weight === weight);
  await course.step({
    phase: "apply",
    what: `${HEAVIER.id} weighs ${HEAVIER.weight}, hold-down and a route are new`,
    regions: [regionOf(HEAVIER.id)],
    act: async () => {
      const { revision, config } = (await limpet.admin("GET", "config")) as { revision: number; config: Applied }; // the admin API's own shape
      await limpet.admin("PUT", "config", applied(config, revision + 1), { ifMatch: `"${revision}"` });
      await answersWill(true);
    },
    shows: weighs(HEAVIER.weight),
  });
  await course.step({
    phase: "apply",
    what: "it is undone",
    regions: [regionOf(HEAVIER.id)],
    act: async () => {
      await limpet.admin("POST", "config/undo");
      await answersWill(false);
    },
    shows: weighs(1),
  });
}

/** What is changed of a configuration. */
interface Applied {
  readonly pools: Readonly<Record<string, { readonly origins: readonly { readonly id: string }[] }>>;
  readonly routes: readonly { readonly path: string }[];
}

function applied(config: Applied, configRevision: number): object {
  const pool = config.pools[POOL];
  const page = config.routes.find(({ path }) => path === "/pages/keyed/*");
  if (!pool || !page) throw new Error("the router's configuration is not the day's");
  const origins = pool.origins.map((origin) => (origin.id === HEAVIER.id ? { ...origin, ...HEAVIER } : origin));
  return {
    ...config,
    configRevision,
    pools: { ...config.pools, [POOL]: { ...pool, holdDownMs: 3_000, origins } },
    routes: [...config.routes, { ...page, path: "/pages/applied/*" }],
  };
}

async function regionLoss(course: Course, { fleet }: World): Promise<void> {
  const lost = idsIn(LOST, WHOLE_COUNT);
  await course.step({
    phase: "region-loss",
    what: `all of ${LOST} dies`,
    regions: REGIONS,
    kills: lost,
    act: () => Promise.all(lost.map((id) => fleet.kill(id))),
    shows: (seen) => seen.every(({ id, health }) => (health === "down") === lost.includes(id)),
  });
  await course.step({
    phase: "region-loss",
    what: `${LOST} is back`,
    regions: REGIONS,
    act: () => Promise.all(lost.map((id) => fleet.start(id))),
    shows: serving(ALL),
  });
}

/** These take all that is theirs. */
export function serving(ids: readonly string[]): (seen: readonly Seen[]) => boolean {
  return (seen) =>
    ids.every((id) => seen.some((origin) => origin.id === id && origin.state === "active" && origin.health === "healthy" && origin.share === 1));
}

function regionOf(id: string): Region {
  return REGIONS.find((region) => id.startsWith(`${region}-`)) ?? REGIONS[0];
}
