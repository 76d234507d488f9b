// What limpet.config.ts would be: four origins in one region, a session for each connection, and sockets that survive their origin, so that a
// frame takes the way that remembers; or sockets that are spliced. Everything that costs something is as it is by default, the number of carriers too.

/** Each carrier's part of the connections that are held at once, and half as much again. */
const MAX_CONNECTIONS = 4_000;

/** Everything but the way of its one route. */
const SHARED = {
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: {
    live: {
      carrier: { maxConnections: MAX_CONNECTIONS },
      origins: ["web-1", "web-2", "web-3", "web-4"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com` })),
    },
  },
  expose: false,
};
const ROUTE = { path: "/live/:session", pool: "live", session: [{ path: "session" }], home: "session" };

export const CONFIG = { ...SHARED, routes: [{ ...ROUTE, resume: { mode: "transparent", prelude: { frames: 1, swallow: 1 } } }] };
export const PARK_AFTER_MS = 1_000;
export const PARKED = { ...SHARED, routes: CONFIG.routes.map((route) => ({ ...route, park: { afterMs: PARK_AFTER_MS } })) };
export const SPLICED = { ...SHARED, routes: [{ ...ROUTE, carry: "splice" }] };
