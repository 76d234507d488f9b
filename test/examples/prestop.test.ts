// The pre-stop examples, run as their supervisors run them: a real router, real origins as processes, visitors who type while theirs is
// stopped. An origin ends only when it is drained, nobody's socket closes, and a router that is away keeps no process from ending.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { clientOf, eventually } from "../support/stack.ts";

const PRESTOP = fileURLToPath(new URL("../../examples/prestop/", import.meta.url));
const ORIGIN = fileURLToPath(new URL("../../examples/collab/origin.ts", import.meta.url));
const SCRIPT = `${PRESTOP}limpet-origin.sh`;
const IDS = ["weur-1", "weur-2", "weur-3"];
const ORDER = `rings/collab/weur/origins`;

let router: Router;
let client: ReturnType<typeof clientOf>;
const ports = new Map<string, number>();
const processes: ChildProcess[] = [];
const editors: Editor[] = [];
let rooms = 0;

beforeAll(async () => {
  for (const id of IDS) ports.set(id, await freePort());
  router = await startRouter({
    raw: {
      configRevision: 1,
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: {
        collab: {
          health: { intervalMs: 300, timeoutMs: 500, rise: 1, fall: 2 },
          slowStart: { windowMs: 0 },
          holdDownMs: 0, // each test ends origins, and the next begins with them
          origins: IDS.map((id) => ({ id, region: "weur", url: `http://127.0.0.1:${ports.get(id)}` })),
        },
      },
      routes: [
        {
          path: "/collab/:session",
          pool: "collab",
          session: [{ path: "session" }],
          home: "session",
          resume: { mode: "transparent", profile: "y-websocket" },
        },
      ],
    },
    secrets: { LIMPET_ADMIN_TOKENS: "hooks:register:collab/weur-:hook-token" },
    port: 0,
    pagesDir: PRESTOP,
    devInfo: {},
    onLog: () => undefined,
  });
  client = clientOf(router.url);
});
afterAll(() => router.stop());
afterEach(async () => {
  for (const editor of editors.splice(0)) editor.close();
  for (const child of processes.splice(0)) await ended(child, "SIGKILL");
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, "exit");
  if (signal) child.kill(signal);
  return ((await exit) as [number | null])[0];
}

/** What an example's environment has, for an origin of this test. */
function environment(id: string, more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const limpet = { LIMPET_URL: router.url, LIMPET_TOKEN: "hook-token", LIMPET_RING: "collab/weur", LIMPET_ORIGIN: id };
  return { ...process.env, ...limpet, LIMPET_DRAIN_SECONDS: "30", LIMPET_ORIGIN_SH: SCRIPT, PORT: String(ports.get(id)), ...more };
}

/** A command of an example, with this machine's paths in the place of its own. */
function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  processes.push(child);
  return child;
}

const originArgs = (id: string): string[] => [ORIGIN, "--id", id, "--region", "weur", "--port", String(ports.get(id))];

async function startOrigin(id: string): Promise<ChildProcess> {
  const child = start(process.execPath, originArgs(id), process.env);
  await once(createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }), "line");
  return child;
}

const stateOf = async (id: string): Promise<{ state: string; health: string; sessions: number }> => client.admin(`${ORDER}/${id}`);
const healthy = (...ids: readonly string[]): Promise<unknown> =>
  eventually(`${ids.join()} serve`, async () =>
    (await Promise.all(ids.map(stateOf))).every(({ state, health }) => state === "active" && health === "healthy"),
  );

/** Visitors of documents, two of which are at this origin. */
async function visitorsOf(id: string): Promise<{ readonly all: Editor[]; readonly there: Editor[] }> {
  const all: Editor[] = [];
  const there: Editor[] = [];
  while (there.length < 2) {
    const room = `stopped-${rooms++}`;
    const editor = await openEditor(router.url.replace("http", "ws"), room, room);
    editors.push(editor);
    all.push(editor);
    if ((await client.session(room))?.origin === id) there.push(editor);
  }
  return { all, there };
}

/** The states of an origin in the router's eyes, until its process is gone. */
async function watched(id: string, child: ChildProcess): Promise<readonly string[]> {
  const states: string[] = [];
  while (child.exitCode === null && child.signalCode === null) {
    const { state } = await stateOf(id);
    if (states.at(-1) !== state) states.push(state);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return states;
}

/** Nobody has noticed: one connection all the time, and what is typed now arrives. */
async function unnoticed({ all, there }: { readonly all: readonly Editor[]; readonly there: readonly Editor[] }): Promise<void> {
  for (const editor of all) expect(editor.statuses).toEqual(["connected"]);
  for (const editor of there) {
    editor.type("afterwards");
    await converged([editor], ["afterwards"]);
  }
}

const yaml = (file: string): readonly Record<string, unknown>[] =>
  parseAllDocuments(readFileSync(PRESTOP + file, "utf8")).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Record<string, unknown>;
  });

interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly lifecycle?: {
    readonly preStop: { readonly exec?: { readonly command: readonly string[] }; readonly httpGet?: { path: string; port: number } };
  };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
}

function podOf(file: string): { readonly sidecar: Container; readonly server: Container; readonly graceSeconds: number } {
  const [set] = yaml(file) as unknown as readonly { readonly kind: string; readonly spec: { readonly template: { readonly spec: PodSpec } } }[];
  expect(set?.kind).toBe("StatefulSet");
  const spec = set?.spec.template.spec;
  const [sidecar, server] = [spec?.initContainers[0], spec?.containers[0]];
  if (!spec || !sidecar || !server) throw new Error(`${file} has no pod`);
  return { sidecar, server, graceSeconds: spec.terminationGracePeriodSeconds };
}

const here = (command: readonly string[] = []): string[] => command.map((word) => word.replace("/limpet/limpet-origin.sh", SCRIPT));
const drainSeconds = ({ env = [] }: Container): number => Number(env.find(({ name }) => name === "LIMPET_DRAIN_SECONDS")?.value ?? 240);

/** Kubernetes: the hook first, and the process is told when that has ended. */
async function stopPod(id: string, server: ChildProcess, hook: () => Promise<unknown>): Promise<readonly string[]> {
  const states = watched(id, server);
  await hook();
  expect(server.exitCode).toBeNull();
  expect((await stateOf(id)).state).toBe("drained");
  server.kill("SIGTERM");
  return states;
}

describe("Kubernetes", () => {
  test("a preStop command: the server is told to end when it is drained", async () => {
    const { server, graceSeconds } = podOf("kubernetes/statefulset.yaml");
    expect(graceSeconds).toBeGreaterThan(drainSeconds(server) + 15);
    const [child] = await Promise.all(IDS.map(startOrigin));
    if (!child) throw new Error("no origin");
    await healthy(...IDS);
    const visitors = await visitorsOf("weur-1");
    const [command = "", ...args] = here(server.lifecycle?.preStop.exec?.command);
    const states = await stopPod("weur-1", child, async () => {
      expect(await ended(start(command, args, environment("weur-1")))).toBe(0);
    });
    expect(states).toEqual(["active", "draining", "drained"]);
    await unnoticed(visitors);
    await client.admin(`${ORDER}/weur-1/undrain`, "POST");
  });

  test("a lease by the sidecar: the pod is in the ring while it renews, and its hook drains it", async () => {
    const { sidecar, server } = podOf("kubernetes/statefulset.yaml");
    expect(sidecar.restartPolicy).toBe("Always");
    expect(sidecar.env).toEqual(server.env);
    await Promise.all(IDS.map(startOrigin));
    const port = await freePort();
    ports.set("weur-9", port);
    const pod = await startOrigin("weur-9");
    const env = environment("weur-9", { LIMPET_ORIGIN_URL: `http://127.0.0.1:${port}`, LIMPET_LEASE_SECONDS: "3" });
    const [lease = "", ...leaseArgs] = here(sidecar.command);
    const holder = start(lease, leaseArgs, env);
    await eventually("it has joined", () => stateOf("weur-9").then(() => true, () => false)); // prettier-ignore
    await healthy(...IDS, "weur-9");
    const visitors = await visitorsOf("weur-9");
    const [command = "", ...args] = here(server.lifecycle?.preStop.exec?.command);
    const states = await stopPod("weur-9", pod, async () => {
      expect(await ended(start(command, args, env))).toBe(0);
    });
    expect(states).toEqual(["active", "draining", "drained"]);
    expect(await ended(holder, "SIGTERM")).toBe(0); // Kubernetes ends it last
    await unnoticed(visitors);
  });

  test("a preStop request to the sidecar: answered when it is drained", async () => {
    const { sidecar, server } = podOf("kubernetes/http-hook.yaml");
    expect(sidecar.restartPolicy).toBe("Always"); // ends after the server
    const [, origin] = await Promise.all(IDS.map(startOrigin));
    if (!origin) throw new Error("no origin");
    await healthy(...IDS);
    const visitors = await visitorsOf("weur-2");
    const { path = "", port = 0 } = server.lifecycle?.preStop.httpGet ?? {};
    expect(sidecar.env).toContainEqual({ name: "LIMPET_HOOK_PORT", value: String(port) });
    expect(sidecar.command).toEqual(["node", "/limpet/http-hook.mjs"]);
    const hookPort = await freePort();
    const env = environment("weur-2", { LIMPET_HOOK_PORT: String(hookPort) });
    start(process.execPath, [`${PRESTOP}kubernetes/http-hook.mjs`], env);
    const url = `http://127.0.0.1:${hookPort}${path}`;
    await eventually("the sidecar listens", () => fetch(`http://127.0.0.1:${hookPort}/`).then(() => true, () => false)); // prettier-ignore
    const states = await stopPod("weur-2", origin, async () => {
      const answers = await Promise.all([fetch(url), fetch(url)]); // Kubernetes may ask twice
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    });
    expect(states.at(-1)).toBe("drained");
    await unnoticed(visitors);
    await client.admin(`${ORDER}/weur-2/undrain`, "POST");
  });
});

/** The directives of a unit's [Service]. */
function unitOf(file: string): ReadonlyMap<string, string> {
  const [, service = ""] = readFileSync(PRESTOP + file, "utf8").split("[Service]");
  const lines = (service.split("\n[")[0] ?? "").split("\n").filter((line) => /^[A-Z]/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** As systemd runs a command line: no shell, variables filled in. */
function execOf(line: string | undefined, env: NodeJS.ProcessEnv): [command: string, args: string[]] {
  const words = (line ?? "").replace(/^-/, "").split(" ").map((word) => word.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => env[name] ?? "")); // prettier-ignore
  const [command = "", ...args] = words.flatMap((word) => {
    if (word === "/usr/bin/node") return process.execPath;
    if (word === "/srv/collab/server.js") return [ORIGIN, "--region", "weur"];
    return word.replace("/usr/local/lib/limpet/limpet-origin.sh", SCRIPT);
  });
  return [command, args];
}

test("systemd: a restart drains first, ends then, and undrains what is back", async () => {
  const unit = unitOf("systemd/limpet-origin@.service");
  expect(Number(unit.get("TimeoutStopSec"))).toBeGreaterThan(Number(/LIMPET_DRAIN_SECONDS=(\d+)/.exec(unit.get("Environment") ?? "")?.[1]) + 15);
  await Promise.all([startOrigin("weur-1"), startOrigin("weur-2")]);
  const env = environment("weur-3");
  const [command, args] = execOf(unit.get("ExecStart"), env);
  const server = start(command, args, env);
  await healthy(...IDS);
  const visitors = await visitorsOf("weur-3");

  const states = watched("weur-3", server);
  const stop = start(...execOf(unit.get("ExecStop"), env), env);
  expect(await ended(stop)).toBe(0);
  expect(server.exitCode).toBeNull();
  server.kill("SIGTERM");
  expect(await states).toEqual(["active", "draining", "drained"]);

  start(command, args, env);
  const post = start(...execOf(unit.get("ExecStartPost"), env), env);
  expect(await ended(post)).toBe(0);
  await healthy(...IDS);
  await unnoticed(visitors);
});

test("Fly: the kill signal drains, and the server ends after that", async () => {
  const toml = readFileSync(`${PRESTOP}fly/fly.toml`, "utf8");
  const value = (name: string): string => new RegExp(`^\\s*${name} = "(.+)"`, "m").exec(toml)?.[1] ?? "";
  expect(value("kill_timeout")).toBe("5m");
  expect(Number(value("LIMPET_DRAIN_SECONDS"))).toBeLessThanOrEqual(300 - 15);
  expect(toml).toMatch(/^\[processes\]\napp = "\/limpet\/entry\.sh node /m);

  await Promise.all([startOrigin("weur-2"), startOrigin("weur-3")]);
  const machine = start(`${PRESTOP}fly/entry.sh`, [process.execPath, ...originArgs("weur-1")], environment("weur-1"));
  await healthy(...IDS);
  const visitors = await visitorsOf("weur-1");
  const states = watched("weur-1", machine);
  machine.kill(value("kill_signal") as NodeJS.Signals);
  await eventually("it drains", async () => (await stateOf("weur-1")).state !== "active");
  machine.kill("SIGTERM"); // whoever is impatient changes nothing
  expect(await states).toEqual(["active", "draining", "drained"]);
  expect(machine.exitCode).toBe(0);
  await unnoticed(visitors);
  await client.admin(`${ORDER}/weur-1/undrain`, "POST");
});

describe("a router that is away, deaf or unwilling", () => {
  const hook = async (env: Readonly<Record<string, string>>, word = "drain"): Promise<{ code: number | null; tookMs: number }> => {
    const fromMs = Date.now();
    const code = await ended(start(SCRIPT, [word], environment("weur-1", { LIMPET_DRAIN_SECONDS: "2", ...env })));
    return { code, tookMs: Date.now() - fromMs };
  };

  test("keeps no process from ending", async () => {
    const { code, tookMs } = await hook({ LIMPET_URL: "http://127.0.0.1:9" });
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(8_000);
  });

  test("that never answers neither", async () => {
    const sockets: Socket[] = [];
    const deaf = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
    await once(deaf, "listening");
    const { code, tookMs } = await hook({ LIMPET_URL: `http://127.0.0.1:${(deaf.address() as AddressInfo).port}` });
    for (const socket of sockets) socket.destroy();
    deaf.close();
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(12_000);
  });

  test.each([
    ["a wrong token", { LIMPET_TOKEN: "wrong" }],
    ["an origin that the token does not name", { LIMPET_ORIGIN: "enam-1" }],
  ])("which refuses %s is asked once", async (_, env) => {
    const { code, tookMs } = await hook({ LIMPET_DRAIN_SECONDS: "30", ...env });
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(8_000);
  });

  test("and a Fly machine ends all the same, as its server does", async () => {
    const machine = start(`${PRESTOP}fly/entry.sh`, [process.execPath, ...originArgs("weur-1")], environment("weur-1", { LIMPET_URL: "http://127.0.0.1:9", LIMPET_DRAIN_SECONDS: "1" })); // prettier-ignore
    await eventually("the server listens", () => fetch(`http://127.0.0.1:${ports.get("weur-1")}/healthz`).then((response) => response.ok, () => false)); // prettier-ignore
    machine.kill("SIGTERM");
    expect(await ended(machine)).toBe(0);
  });

  test("what is not set is said, and nothing is asked", async () => {
    expect((await hook({ LIMPET_TOKEN: "" })).code).toBe(2);
    expect((await hook({}, "restart")).code).toBe(2);
  });
});
