// `limpet dev` as somebody at a terminal meets it: what it prints, what it says when something is wrong, and that it leaves nothing behind.

import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { whyTaken } from "../../src/cli/ports.ts";
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
const run = (...args: string[]): Promise<Ended> => launch(...args).ended;

function launch(...args: string[]): { child: ChildProcessByStdio<null, Readable, Readable>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [LIMPET, ...args], { cwd: tmpdir(), stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  onTestFinished(() => void child.kill("SIGKILL")); // a test that fails leaves none behind
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return { child, ended };
}

/** Runs `limpet dev` until it is stopped, from when it is ready on. */
async function ready(config: string, port = 0): Promise<{ url: string; stop(): Promise<Ended> }> {
  const { child, ended } = launch("dev", "--config", config, "--port", String(port), "--json");
  const first = await Promise.race([once(child.stdout, "data"), ended]);
  if (!Array.isArray(first)) throw new Error(`it did not start: ${first.stderr}`);
  const { ready: url } = JSON.parse(String(first[0])) as { ready: string };
  return {
    url,
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

test("a faulty configuration is refused with every fault and its path, and nothing on standard output", async () => {
  const file = await fileWith(
    "c.json",
    JSON.stringify({ ...GOOD, defaultRegion: "mars", pools: { web: { ...GOOD.pools.web, carriers: 0, panicShare: 3 } }, rutes: [] }),
  );
  const { code, stdout, stderr } = await run("dev", "--config", file, "--port", "0", "--json");
  expect([code, stdout]).toEqual([1, ""]);
  for (const words of ["4 faults", "defaultRegion", "mars", "pools.web.carriers", "pools.web.panicShare", "from 0 to 1", "rutes", "routes"])
    expect(stderr).toContain(words);
  expect(stderr).not.toMatch(/\n\s+at /);
});

test.each([
  ["is not there", async () => "/nowhere/limpet.config.ts", /no such file/],
  ["is a folder", () => mkdtemp(join(tmpdir(), "limpet-cli-")), /is a folder/],
  ["is not JSON", () => fileWith("c.json", "{ nope"), /cannot be read/],
  ["is not TypeScript", () => fileWith("c.ts", "const a = 1;\n\nexport default { a: , };"), /cannot be read: .*c\.ts:3\)/],
  ["throws in its second line", () => fileWith("c.ts", 'export {};\nthrow new Error("Wednesday");'), /cannot be read: Wednesday \(.*c\.ts:2\)/],
  ["throws null", () => fileWith("c.ts", "throw null;"), /it throws null/],
  [
    "imports a package that is not installed",
    () => fileWith("c.ts", 'import a from "no-such-package";\nexport default a;'),
    /"no-such-package", which .*c\.ts imports, is not there/,
  ],
  [
    "imports a file that is not there",
    () => fileWith("c.ts", 'export { default } from "./gone.ts";'),
    /gone\.ts", which .*c\.ts imports, is not there/,
  ],
  [
    "reads a file that is not there",
    () => fileWith("c.ts", 'import { readFileSync } from "node:fs";\nexport default readFileSync("/gone.txt");'),
    /\/gone\.txt.* \(.*c\.ts:2\)/,
  ],
  ["has no default export", () => fileWith("c.ts", "export const a = 1;"), /no default export/],
  ["has no export at all", () => fileWith("c.ts", "const a: number = 1;"), /no default export/],
])("a configuration that %s is one sentence, exit code 1, and nothing on standard output", async (_, file, sentence) => {
  const { code, stdout, stderr } = await run("dev", "--config", await file(), "--port", "0", "--json");
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr.trim().split("\n")).toHaveLength(1);
});

test("a JSON file may begin with a byte order mark", async () => {
  const router = await ready(await fileWith("c.json", `\uFEFF${JSON.stringify(GOOD)}`));
  await router.stop();
});

test("what a configuration prints goes to standard error: standard output is the one line of JSON", async () => {
  const text = `console.log("one"); process.stdout.write("two\\n"); await null; console.info("three");\nexport default ${JSON.stringify(GOOD)};`;
  const router = await ready(await fileWith("c.ts", text));
  const { stdout, stderr } = await router.stop();
  expect(stdout).toBe(`${JSON.stringify({ ready: router.url })}\n`);
  expect(stderr).toBe("one\ntwo\nthree\n");
});

test.each<[name: string, admin: object | false]>([
  ["an admin API", {}],
  ["an admin API of another hostname", { host: "admin.example" }],
  ["no admin API", false],
])("with %s the router starts on a port that browsers, and `fetch`, refuse", async (_, admin) => {
  const port = await freeAmong([6000, 5060, 5061, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 10080]);
  const router = await ready(await fileWith("c.json", JSON.stringify({ ...GOOD, admin })), port);
  expect(router.url).toBe(`http://127.0.0.1:${port}`);
  await router.stop();
});

test.each(["", " ", "x", "-1", "1.5", "1e3", "0x10", "65536", "100000"])('a port "%s" is refused', async (port) => {
  const { code, stdout, stderr } = await run("dev", "--port", port);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain("a port is a whole number from 0 to 65535");
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
  const child = spawn(process.execPath, [LIMPET, "dev", "--config", await fileWith("c.json", JSON.stringify(GOOD)), "--port", "0", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
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

test("a signal that comes with the very line that says ready is heard", async () => {
  const file = await fileWith("c.json", JSON.stringify(GOOD));
  for (let time = 0; time < 4; time++) expect((await (await ready(file)).stop()).code).toBe(0);
});

async function freeAmong(ports: readonly number[]): Promise<number> {
  for (const port of ports) if ((await whyTaken(port)) === undefined) return port;
  throw new Error(`all taken: ${ports.join(", ")}`);
}

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
