// Your Limpet: regions, pools of origins, and which requests go where. `npm start` runs this file against four local collaboration
// servers; for your own, change the urls. Every name is explained in docs/configuration.md.

import { defineConfig } from "./src/core/config.ts";

export default defineConfig({
  configRevision: 1,
  defaultRegion: "weur",
  regions: {
    weur: { secondary: ["enam"] },
    enam: { secondary: ["weur"] },
  },
  pools: {
    collab: {
      health: { intervalMs: 1_000, timeoutMs: 500, rise: 2, fall: 3 },
      // Short, so that there is something to see: a server that comes back is trusted after seconds.
      holdDownMs: 5_000,
      slowStart: { windowMs: 3_000 },
      origins: [
        { id: "weur-1", region: "weur", url: "http://127.0.0.1:9101" },
        { id: "weur-2", region: "weur", url: "http://127.0.0.1:9102" },
        { id: "enam-1", region: "enam", url: "http://127.0.0.1:9103" },
        { id: "enam-2", region: "enam", url: "http://127.0.0.1:9104" },
      ],
    },
  },
  routes: [
    // A document: everyone of it on one server, in the region that its name draws. Its sockets survive the server.
    {
      path: "/collab/:session",
      pool: "collab",
      session: [{ path: "session" }],
      home: "session",
      resume: { mode: "transparent", profile: "y-websocket" },
    },
    // A stream of events: resumed at the next server by Last-Event-ID.
    { path: "/events/:session", pool: "collab", session: [{ path: "session" }], home: "session" },
    // A visitor's own requests: kept on one server near them by a cookie.
    { path: "/api/*", pool: "collab", session: [{ header: "x-session-id" }, { issue: true }], home: "visitor" },
  ],
});
