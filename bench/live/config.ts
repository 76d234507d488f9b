// What limpet.config.ts would be: four origins in one region, a session for each connection, and sockets that survive their origin, so that a
// frame takes the way that remembers. Everything that costs something is as it is by default, the number of carriers too.

/** Each carrier's part of the connections that are held at once, and half as much again. */
const MAX_CONNECTIONS = 4_000;

export const CONFIG = {
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: {
    live: {
      carrier: { maxConnections: MAX_CONNECTIONS },
      origins: ["web-1", "web-2", "web-3", "web-4"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com` })),
    },
  },
  routes: [
    {
      path: "/live/:session",
      pool: "live",
      session: [{ path: "session" }],
      home: "session",
      resume: { mode: "transparent", prelude: { frames: 1, swallow: 1 } },
    },
  ],
  expose: false,
};
