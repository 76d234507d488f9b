// A Worker with routes of its own that mounts Limpet: what its configuration routes goes to the origins, `/_limpet` is Limpet's, and everything
// else is the Worker's. Limpet comes before any middleware that rewrites answers: an upgrade's answer (101) cannot bear that.

import { Hono } from "hono";
import { defineConfig } from "../../src/core/config.ts";
import { createLimpet } from "../../src/http/create-limpet.ts";

const config = defineConfig({
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: {
    rooms: {
      origins: [
        { id: "weur-1", region: "weur", url: "http://127.0.0.1:9301" },
        { id: "weur-2", region: "weur", url: "http://127.0.0.1:9302" },
      ],
    },
  },
  routes: [{ path: "/rooms/:room/*", pool: "rooms", session: [{ path: "room" }] }],
});

const limpet = createLimpet(config);

const worker = new Hono();
worker.route("/", limpet.app);
worker.use(async (c, next) => {
  await next();
  c.header("x-powered-by", "the worker");
});
worker.get("/hello", (c) => c.text("the Worker's own answer"));

export default worker;
export const { RingObject, CarrierObject, ControlObject } = limpet;
