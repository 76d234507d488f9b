// `npm start`: the router, four real collaboration servers in two regions, a page to try it, and the dashboard. Ctrl-C ends all of it.

import { fileURLToPath } from "node:url";
import { Fleet } from "../../examples/collab/fleet.ts";
import { startControl } from "../../examples/collab/fleet-control.ts";
import { loadConfig } from "./config-file.ts";
import { assertOriginsFree, demoOrigins } from "./demo-origins.ts";
import { CommandFault } from "./fault.ts";
import { builtPages } from "./pages.ts";
import { assertFree } from "./ports.ts";
import { startRouter } from "./router.ts";
import { untilStopped } from "./until-stopped.ts";

const CONFIG_FILE = fileURLToPath(new URL("../../limpet.config.ts", import.meta.url));

export async function start({ port }: { port: number }): Promise<void> {
  const endings: (() => Promise<void>)[] = [];
  try {
    await startAll(port, endings);
    await untilStopped();
    console.log("\nEnding …");
  } finally {
    for (const end of endings.reverse()) await end();
  }
  process.exit(0);
}

async function startAll(port: number, endings: (() => Promise<void>)[]): Promise<void> {
  const { raw, config } = await loadConfig(CONFIG_FILE);
  const origins = demoOrigins(config);
  await assertFree(port);
  await assertOriginsFree(origins);
  const pagesDir = await step("Building the pages", builtPages);

  const fleet = new Fleet(origins);
  await step(`Starting ${origins.length} collaboration servers`, async () => {
    try {
      await fleet.start();
    } catch (error) {
      throw new CommandFault(error instanceof Error ? error.message : String(error));
    }
  });
  endings.push(() => fleet.stop());
  const routerOrigins: string[] = []; // known when the router has its port; nobody has a page of it before
  const control = await startControl(fleet, { routerOrigins });
  endings.push(() => control.stop());

  const router = await step("Starting the router", () =>
    startRouter({ raw, port, pagesDir, devInfo: { control: control.url }, onLog: () => undefined }),
  );
  endings.push(() => router.stop());
  routerOrigins.push(router.url, router.url.replace("127.0.0.1", "localhost"));

  console.log(`
  Try it      ${router.url}/
  Dashboard   ${router.url}/_limpet/

Open the first in a browser, open a second window from there, type in both, and kill the server that holds
the document: you go on typing. Ctrl-C ends everything.`);
}

async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  process.stdout.write(`${what} … `);
  const result = await work().catch((error: unknown) => {
    process.stdout.write("failed\n");
    throw error;
  });
  process.stdout.write(`${((performance.now() - startMs) / 1000).toFixed(1)} s\n`);
  return result;
}
