// `limpet dev` as somebody at a terminal meets it: what it prints, what it says when something is wrong, and that it leaves nothing behind.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { eventually } from "../support/stack.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));

const GOOD = {
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: { web: { origins: [{ id: "a", region: "weur", url: "http://127.0.0.1:9" }] } },
  routes: [{ path: "/*", pool: "web", session: [{ header: "x-session-id" }], home: "session" }],
};

async function fileWith(name: string, text: string): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), "limpet-cli-")), name);
  await writeFile(file, text);
  return file;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in another folder, until it ends by itself. */
async function run(...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [LIMPET, ...args], { cwd: tmpdir(), stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

test("a faulty configuration is refused with every fault and its path, and nothing on standard output", async () => {
  const file = await fileWith("c.json", JSON.stringify({ ...GOOD, defaultRegion: "mars", pools: { web: { ...GOOD.pools.web, carriers: 0, hold: false } }, rutes: [] }));
  const { code, stdout, stderr } = await run("dev", "--config", file, "--port", "0", "--json");
  expect([code, stdout]).toEqual([1, ""]);
  for (const words of ["4 faults", "defaultRegion", "mars", "pools.web.carriers", "pools.web.hold", "not yet", "rutes", "routes"]) expect(stderr).toContain(words);
  expect(stderr).not.toMatch(/\n\s+at /);
});

test.each([
  ["is not there", async () => "/nowhere/limpet.config.ts", /no such file/],
  ["is not JSON", () => fileWith("c.json", "{ nope"), /cannot be read/],
  ["is not TypeScript", () => fileWith("c.ts", "export default {"), /cannot be read/],
  ["has no default export", () => fileWith("c.ts", "export const a = 1;"), /no default export/],
])("a configuration that %s is one sentence, exit code 1, and nothing on standard output", async (_, file, sentence) => {
  const { code, stdout, stderr } = await run("dev", "--config", await file(), "--port", "0", "--json");
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toMatch(/\n\s+at /);
});

test("a port in use is a sentence that says what to do", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { code, stdout, stderr } = await run("dev", "--config", await fileWith("c.json", JSON.stringify(GOOD)), "--port", String(port));
  server.close();
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain(`Port ${port} is in use`);
  expect(stderr).toContain("--port");
});

test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)("%s ends the router and everything it started", async (signal) => {
  const child = spawn(process.execPath, [LIMPET, "dev", "--config", await fileWith("c.json", JSON.stringify(GOOD)), "--port", "0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  expect(JSON.parse(line.toString())).toEqual({ ready: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as string });
  const started = descendantsOf(child.pid ?? 0);
  expect(started.length).toBeGreaterThan(0); // workerd
  const exit = once(child, "exit");
  child.kill(signal);
  const [code] = (await exit) as [number | null];
  expect(code).toBe(signal === "SIGKILL" ? null : 0);
  await eventually("every process it started is gone", () => started.every((pid) => !isAlive(pid)));
});

/** Processes below one, as Linux's /proc tells. */
function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // it ended while we looked
    }
  }
  const below = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
  return below.flatMap((child) => [child, ...descendantsOf(child)]);
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
