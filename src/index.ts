// Limpet's front door: the Worker, and the Durable Object classes.
//
//   http/    create-limpet.ts  settings, our own paths, everything else to the router
//            route.ts          the way of a request: identify, locate, decide, carry, record (start reading there)
//            admin.ts          /_limpet: the admin API and the pages
//   platform/           the only files that touch KV, Durable Objects, fetch, sockets and the clock
//            ring-*     the ring object: who is where, and why          carrier-*, carry-*  the live connections
//            control-object, *-settings  what is configured, and what was applied since
//            snapshots  what an isolate knows of the rings              seal, keyed-hash    secrets
//   core/               pure: hash, ring, decide, home, identity, cookie, snapshot, protocol, profiles, config
//   cli/                Node: the command line and the local stack
//
// Imports go down only: index → http → platform → core.

import limpetConfig from "../limpet.config.ts";
import { createLimpet } from "./http/create-limpet.ts";

const limpet = createLimpet(limpetConfig);

export default { fetch: limpet.fetch };
export const { RingObject, CarrierObject, ControlObject } = limpet;
