// `npm start` when it cannot start: one sentence each, before anything runs that would have to be ended again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { assertOriginsFree, demoOrigins } from "../../src/cli/demo-origins.ts";
import { CommandFault } from "../../src/cli/fault.ts";
import type { Config } from "../../src/core/config-types.ts";
import { parseConfig } from "../../src/core/config.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function configOf(urls: Record<string, string>, pool = "collab"): Config {
  const parsed = parseConfig(
    {
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: { [pool]: { origins: Object.entries(urls).map(([id, url]) => ({ id, region: "weur", url })) } },
      routes: [{ path: "/*", pool, session: [{ header: "x-session-id" }], home: "session" }],
    },
    { dev: true },
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

async function takenPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  endings.push(() => server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

test("the router's port in use: said before anything else is started", async () => {
  const port = await takenPort();
  const child = spawn(process.execPath, [LIMPET, "start", "--port", String(port)], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(`Port ${port} is in use on this machine: end what listens there, or choose another with --port.\n`);
});

test("the servers are started where the configuration says", () => {
  expect(demoOrigins(configOf({ a: "http://127.0.0.1:9101", b: "http://localhost:9102" }))).toEqual([
    { id: "a", region: "weur", port: 9101 },
    { id: "b", region: "weur", port: 9102 },
  ]);
});

test("origins that are no servers of this machine are all named, and where to run them instead", () => {
  const config = configOf({ a: "https://a.example", b: "http://127.0.0.1:9102", c: "http://192.0.2.1:9103", d: "http://127.0.0.1" });
  const start = (): unknown => demoOrigins(config);
  expect(start).toThrow(CommandFault);
  expect(start).toThrow(
    /http:\/\/127\.0\.0\.1:PORT, but a has https:\/\/a\.example.*, c has http:\/\/192\.0\.2\.1:9103.*, d has http:\/\/127\.0\.0\.1.*npm run dev/,
  );
  expect(start).not.toThrow(/b has/);
});

test("a configuration without the page's pool is told so", () => {
  expect(() => demoOrigins(configOf({ a: "http://127.0.0.1:9101" }, "web"))).toThrow(/no pool "collab".*npm run dev/);
});

test("ports of origins in use are one sentence with every one of them", async () => {
  const [one, two] = [await takenPort(), await takenPort()];
  const plan = (id: string, port: number) => ({ id, region: "weur", port });
  await expect(assertOriginsFree([plan("a", one), plan("b", 0)])).rejects.toThrow(`the port ${one} (a), as it is in use`);
  await expect(assertOriginsFree([plan("a", one), plan("b", 0), plan("c", two)])).rejects.toThrow(
    `the ports ${one} (a), ${two} (c), as they are in use`,
  );
  await expect(assertOriginsFree([plan("b", 0)])).resolves.toBeUndefined();
});
