// One real collaboration origin as a process of its own: `node examples/collab/origin.ts --id weur-1 --region weur --port 9101`.
// Prints one line `{"ready":"http://127.0.0.1:PORT"}` when it listens (port 0: any free one), leaves within 2 s on SIGTERM.
// With `--with-parent` it also leaves when its standard input closes: the kernel closes that pipe however the parent ends, SIGKILL
// included, so no origin is left behind.

import { parseArgs } from "node:util";
import { OriginServer } from "./origin-server.ts";

const HOST = "127.0.0.1";

/** Past this a SIGTERM stops being graceful. */
const LEAVE_WITHIN_MS = 1_900;

const USAGE = "usage: node origin.ts --id ID --region REGION --port PORT [--with-parent]";

const options = optionsFrom(process.argv.slice(2));
const origin = new OriginServer(options);

origin.http.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EADDRINUSE") fail(`Port ${options.port} on ${HOST} is in use: choose another with --port, or end what listens there.`);
  if (error.code === "EACCES") fail(`Port ${options.port} on ${HOST} may not be used by this account: choose one from 1024 on.`);
  fail(`The origin cannot listen on port ${options.port}: ${error.message}`);
});
origin.http.listen(options.port, HOST, () => {
  const address = origin.http.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  console.log(JSON.stringify({ ready: `http://${HOST}:${port}` }));
});

process.once("SIGTERM", () => void leave());
process.once("SIGINT", () => void leave());
if (options.withParent)
  process.stdin
    .on("error", () => process.exit(0))
    .on("close", () => process.exit(0))
    .resume();

async function leave(): Promise<void> {
  setTimeout(() => process.exit(0), LEAVE_WITHIN_MS).unref();
  await origin.close();
  process.exit(0);
}

function optionsFrom(args: string[]): { id: string; region: string; port: number; withParent: boolean } {
  const { id, region, port, withParent } = parsed(args);
  for (const [name, value] of [
    ["--id", id],
    ["--region", region],
  ] as const) {
    if (!/^[a-z0-9-]{1,32}$/.test(value)) fail(`${name} must be 1 to 32 of a-z, 0-9 and "-", found ${JSON.stringify(value)}. ${USAGE}`);
  }
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) fail(`--port must be 0 to 65535, found ${JSON.stringify(port)}. ${USAGE}`);
  return { id, region, port: Number(port), withParent };
}

function parsed(args: string[]): { id: string; region: string; port: string; withParent: boolean } {
  try {
    const { values } = parseArgs({
      args,
      options: {
        id: { type: "string", default: "" },
        region: { type: "string", default: "" },
        port: { type: "string", default: "" },
        "with-parent": { type: "boolean", default: false },
      },
    });
    return { ...values, withParent: values["with-parent"] };
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}. ${USAGE}`);
  }
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}
