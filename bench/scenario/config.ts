// The day's fleet and how its router is set: as an operator would, but everything that takes minutes takes seconds, so that a day takes minutes.

import type { Placed } from "../harness/sessions/limpet.ts";
import { PAGES } from "../harness/sessions/names.ts";
import { POOL } from "../harness/sessions/places.ts";

export const REGIONS = ["weur", "enam"] as const;
export type Region = (typeof REGIONS)[number];
export const HORIZON_MS = 1_000;

/** Sessions of which everyone agrees and that follow the ring; pages of keys that a header names, and of visitors with a cookie. */
export function dayConfig(origins: readonly Placed[]) {
  const page = { pool: POOL, replay: { bodyBytes: 1_000 }, retry: { idempotencyKey: true } };
  return {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } },
    pools: {
      [POOL]: {
        balance: "ring",
        hold: false,
        horizonMs: HORIZON_MS,
        holdDownMs: 2_000,
        health: { intervalMs: 1_000, timeoutMs: 1_000, rise: 2, fall: 3 },
        ejection: { faults: 5, baseMs: 8_000, maxShare: 0.5 },
        slowStart: { windowMs: 4_000 },
        drain: { deadlineMs: 20_000, graceMs: 500 },
        origins: origins.map(({ id, region, url }) => ({ id, region, url, weight: 1 })),
      },
    },
    routes: [
      {
        path: "/s/:session",
        pool: POOL,
        session: [{ path: "session" }],
        home: "session",
        quietMs: 300, // an origin on a machine as full as this one may take so long to answer
        resume: { mode: "transparent", prelude: { frames: 1, bytes: 1_000, swallow: 0, mute: false } },
      },
      { ...page, path: `${PAGES}keyed/*`, session: [{ header: "x-session-id" }], home: "session" },
      { ...page, path: `${PAGES}own/*`, session: [{ issue: true }], home: "visitor" },
    ],
  };
}

export type DayConfig = ReturnType<typeof dayConfig>;

export function idsIn(region: Region, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${region}-${index + 1}`);
}
