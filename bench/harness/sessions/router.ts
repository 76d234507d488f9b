// Limpet in a process of its own, as `limpet dev` runs it; but what its objects and KV have stored outlives it, and its objects can be aborted.
// Arguments: its port, the folder of what is stored, its module.

import { readFileSync } from "node:fs";
import { Log, LogLevel, Miniflare } from "miniflare";
import { COMPATIBILITY_DATE } from "../../../src/cli/router.ts";

const [port = "0", storage = "", module = ""] = process.argv.slice(2);
const OBJECTS = { RingObject: "RING", CarrierObject: "CARRIER", ControlObject: "CONTROL" };

process.once("disconnect", () => process.exit());
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  cf: {},
  log: new Log(LogLevel.NONE),
  logRequests: false,
  telemetry: { enabled: false },
  resourcePersistencePath: storage,
  handleStructuredLogs: ({ message }: { message: string }) => {
    if (process.env["LIMPET_BENCH_LOG"]) process.stderr.write(`${message}\n`);
  },
  workers: [
    {
      config: {
        name: "limpet",
        compatibilityDate: COMPATIBILITY_DATE,
        manifest: {
          mainModule: "index.js",
          modulesRoot: "/",
          modules: { "index.js": { type: "esm", contents: readFileSync(module, "utf8") } },
        },
        env: {
          AFFINITY: { type: "kv", id: "AFFINITY" },
          LIMPET_DEV: { type: "text", value: "1" },
          ...Object.fromEntries(
            Object.entries(OBJECTS).map(([exportName, name]) => [name, { type: "durable-object", worker: "limpet", exportName }]),
          ),
        },
        exports: Object.fromEntries(Object.keys(OBJECTS).map((name) => [name, { type: "durable-object", storage: "sqlite" }])),
      },
    },
  ],
});
const { origin: url } = await miniflare.ready;
// Ring objects begin to check health when they are first asked.
await (await fetch(`${url}/_limpet/v1/rings`, { headers: { authorization: "Bearer dev" } })).arrayBuffer();
process.send?.({ url });
