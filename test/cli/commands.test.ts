// The commands that ask a router, as processes against one that says what a test wants: what they ask, what they print, how they end.

import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runLimpet, startLimpet, startOnTerminal, type Command, type Ended } from "../support/command.ts";
import { FakeRouter, fakeOrigin, fakeRing } from "../support/fake-router.ts";
import { eventually } from "../support/stack.ts";

let router: FakeRouter;
const running: Command[] = [];

beforeEach(async () => {
  router = await FakeRouter.start();
  router.on("GET rings", {
    body: {
      rings: [
        fakeRing("collab", "weur", [fakeOrigin("weur-1", { sessions: 2, connections: 3 }), fakeOrigin("weur-2")]),
        fakeRing("web", "weur", [fakeOrigin("weur-1"), fakeOrigin("web-9")]),
      ],
    },
  });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((command) => command.signal("SIGKILL")));
  await router.close();
});

const env = (): Record<string, string> => ({ LIMPET_URL: router.url });
const limpet = (...args: readonly string[]): Promise<Ended> => runLimpet(args, { env: env() });
const started = (command: Command): Command => (running.push(command), command);
const json = (ended: Ended): unknown => JSON.parse(ended.stdout) as unknown;

describe("an origin's id is looked for over all pools", () => {
  test("and is enough where one pool has it", async () => {
    router.on("POST rings/collab/weur/origins/weur-2/drain", { body: fakeOrigin("weur-2", { state: "draining", sessions: 1, connections: 2 }) });
    const ended = await limpet("drain", "weur-2", "--mode", "finish", "--deadline", "5m");
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(
      /^weur-2 \(collab@weur\) is draining: 1 session and 2 connections to go\..+`npx limpet undrain weur-2 --pool collab --region weur`/,
    );
    expect(router.bodyOf("POST rings/collab/weur/origins/weur-2/drain")).toEqual({ mode: "finish", deadlineMs: 300_000 });
  });

  test("where two have it the choices are named, and nothing is ordered", async () => {
    expect(await limpet("drain", "weur-1")).toEqual({
      code: 1,
      stdout: "",
      stderr: "weur-1 is in collab@weur and web@weur: say which by --pool POOL and --region REGION.\n",
    });
    expect(router.asked.map(({ method }) => method)).toEqual(["GET"]);
    router.on("PATCH rings/web/weur/origins/weur-1", { body: fakeOrigin("weur-1", { weight: 2 }) });
    expect((await limpet("reweight", "weur-1", "2", "--pool", "web")).stdout).toBe("weur-1 (web@weur) has weight 2.\n");
  });

  test("one that nobody has is answered with those that there are", async () => {
    expect((await limpet("undrain", "weur-7")).stderr).toBe("There is no origin weur-7. Known are web-9, weur-1 and weur-2.\n");
    expect((await limpet("undrain", "web-9", "--pool", "collab")).stderr).toBe("There is no origin web-9 in collab. Known are weur-1 and weur-2.\n");
  });

  test("while a ring is silent nobody says that it does not exist", async () => {
    router.on("GET rings", { body: { rings: [{ pool: "collab", region: "enam", unreachable: true, origins: [] }] } });
    expect((await limpet("drain", "enam-1")).stderr).toMatch(/^enam-1 is in no ring that answers, and collab@enam does not: try again/);
  });
});

describe("waiting", () => {
  const DRAIN = "POST rings/collab/weur/origins/weur-2/drain";
  const LOOK = "GET rings/collab/weur/origins/weur-2";

  test("ends with 0 only when the router says that it is so, through a router that is away for a moment", async () => {
    const left = [3, "away", 1, 0] as const;
    let looks = 0;
    router.on(DRAIN, { body: fakeOrigin("weur-2", { state: "draining" }) }).on(LOOK, (_, response) => {
      const now = left[looks++];
      if (now === "away") return void response.socket?.destroy();
      const [status, state] = now === undefined ? [200, "drained"] : [202, "draining"];
      response.writeHead(status).end(JSON.stringify(fakeOrigin("weur-2", { state, sessions: now ?? 0, connections: now ?? 0 })));
    });
    const ended = await limpet("drain", "weur-2", "--wait", "--json");
    expect(ended.code).toBe(0);
    expect(json(ended)).toMatchObject({ id: "weur-2", state: "drained" });
    expect(looks).toBe(5);
    expect(ended.stderr).toContain("weur-2 has 3 sessions and 3 connections left");
    expect(router.asked.at(-1)?.path).toMatch(/\?waitFor=drained&timeoutMs=1000$/);
  });

  test("ends with 3 when its time has passed, and says how to go on and how to take the order back", async () => {
    router
      .on(DRAIN, { body: fakeOrigin("weur-2", { state: "draining" }) })
      .on(LOOK, { status: 202, body: fakeOrigin("weur-2", { state: "draining", sessions: 4, connections: 9 }) });
    const ended = await limpet("drain", "weur-2", "--wait", "--timeout", "200ms");
    expect(ended).toMatchObject({ code: 3, stdout: "" });
    expect(ended.stderr).toMatch(
      /weur-2 \(collab@weur\) is not drained after 0 s: weur-2 has 4 sessions and 9 connections left\. .+npx limpet undrain weur-2 --pool/,
    );
  });

  test("an origin that is not there is not waited for", async () => {
    router.on(DRAIN, { body: fakeOrigin("weur-2") });
    const ended = await limpet("drain", "weur-2", "--wait");
    expect(ended.code).toBe(1);
  });

  test("Ctrl-C ends the wait and leaves the order", async () => {
    router.on(DRAIN, { body: fakeOrigin("weur-2") }).on(LOOK, (_, response) => {
      setTimeout(() => response.writeHead(202).end(JSON.stringify(fakeOrigin("weur-2", { sessions: 1 }))), 100);
    });
    const waiting = started(startLimpet(["drain", "weur-2", "--wait"], { env: env() }));
    await eventually("it waits", () => waiting.stderr.includes("left"));
    const ended = await waiting.signal("SIGINT");
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain("the order stands");
  });

  test("an undrain waits until all of the share is there", async () => {
    const place = "rings/collab/weur/origins/weur-2";
    router.on(`POST ${place}/undrain`, { body: fakeOrigin("weur-2", { share: 0 }) }).on(`GET ${place}`, { body: fakeOrigin("weur-2") });
    expect((await limpet("undrain", "weur-2", "--wait")).stdout).toBe("weur-2 (collab@weur) serves with all of its share.\n");
    expect(router.asked.at(-1)?.path).toContain("waitFor=serving");
  });
});

describe("plan", () => {
  const share = { before: 0.5, after: 0, gained: 0, lost: 0.5 };
  const planned = {
    epoch: 12,
    movedShare: 0.5,
    optimumShare: 0.5,
    elsewhere: { before: 0, after: 0, gained: 0, lost: 0 },
    origins: [
      { id: "weur-1", before: 0.5, after: 1, gained: 0.5, lost: 0 },
      { id: "weur-2", ...share },
    ],
    sessions: { live: 9, moved: 4, stranded: 0, origins: [] },
  };

  test("asks for what was said, and shows each origin's part", async () => {
    router.on("POST rings/collab/weur/plan", { body: planned });
    const changes = ["--add", "weur-3=https://weur-3.example.com:8443,2", "--remove", "weur-2", "--drain", "weur-1", "--reweight", "weur-1=0.5"];
    const ended = await limpet("plan", "collab", "weur", ...changes, "--remove", "weur-9");
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(router.bodyOf("POST rings/collab/weur/plan")).toEqual({
      changes: [
        { put: { id: "weur-3", url: "https://weur-3.example.com:8443", weight: 2 } },
        { reweight: { id: "weur-1", weight: 0.5 } },
        { drain: "weur-1" },
        { remove: "weur-2" },
        { remove: "weur-9" },
      ],
    });
    expect(ended.stdout.split("\n")).toEqual([
      expect.stringMatching(/^  origin +before +after +gained +lost$/),
      expect.stringMatching(/^  weur-1 +50.0 % +100.0 % +\+50.0 %$/),
      expect.stringMatching(/^  weur-2 +50.0 % +0.0 % +-50.0 %$/),
      "",
      "50.0 % of all keys move; the least that such a change can move is 50.0 %.",
      "4 live sessions of 9 would be moved.",
      "",
    ]);
  });

  test.each([
    [["--max-moved", "0.5"], 0],
    [["--max-moved", "49%"], 2],
    [["--max-moved", "0.49", "--json"], 2],
  ])("with %j ends with %i", async (bar, code) => {
    router.on("POST rings/collab/weur/plan", { body: planned });
    const ended = await limpet("plan", "collab", "weur", "--down", ...bar);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toBe(code === 2 ? "It would move 50.0 % of all keys: more than --max-moved 49.0 %.\n" : "");
    if (bar.includes("--json")) expect(json(ended)).toEqual(planned);
    expect(router.bodyOf("POST rings/collab/weur/plan")).toEqual({ changes: [{ down: true }] });
  });

  test("of nothing is no plan", async () => {
    expect((await limpet("plan", "collab", "weur")).stderr).toMatch(/^Say what to plan: --add, /);
  });
});

describe("explain", () => {
  const explained = {
    identify: {
      outcome: "identified",
      route: "/collab/:session",
      pool: "collab",
      source: "path",
      key: "doc-1",
      keyHash: "3f".repeat(16),
      bound: true,
    },
    locate: { region: "weur", why: "drawn by the key", regions: ["weur", "enam"] },
    carry: { how: "relay", carrier: 2, decidedBy: "ring" },
    worker: {
      layer: "memory",
      epoch: 12,
      steps: [
        { step: "walk", region: "weur", origin: "weur-2", outcome: "draining" },
        { step: "walk", region: "weur", origin: "weur-1", outcome: "taken", share: 0.5, fraction: 0.25, load: 3, capacity: 5 },
      ],
      decision: { kind: "routed", origin: "weur-1", region: "weur", epoch: 12, reason: "next", passed: [] },
    },
    ring: { unreachable: true },
  };

  test("sends the visitor's request as it would be, and shows each step", async () => {
    router.on("POST explain", { body: explained });
    const request = ["--cookie", "sid=a=b", "--cookie", "x=1", "--header", "X-Session-Id: 7", "--header", "Cookie: y=2", "--from", "lhr"];
    const ended = await limpet("explain", "/collab/doc-1?x", ...request);
    expect(router.bodyOf("POST explain")).toEqual({
      url: `${router.url}/collab/doc-1?x`,
      headers: { "x-session-id": "7", cookie: "y=2; sid=a=b; x=1" },
      cf: { latitude: "51.5", longitude: "-0.5", continent: "EU", colo: "LHR" },
    });
    expect(ended.stdout.split("\n").map((line) => line.trimEnd())).toEqual([
      `identify  route /collab/:session, pool collab, session key "doc-1" in the path, hash ${"3f".repeat(16)}`,
      "locate    home is weur: drawn by the key; looked at in this order: weur, enam",
      "carry     relay, by carrier 2; the ring object decides",
      "worker    snapshot of epoch 12, from memory",
      expect.stringMatching(/^ {10}step +region +origin +outcome$/),
      expect.stringMatching(/^ {10}walk +weur +weur-2 +draining$/),
      expect.stringMatching(/^ {10}walk +weur +weur-1 +taken +0.250 of share 0.500, load 3 of 5$/),
      "          → weur-1 (weur): next",
      "ring      its object does not answer",
      "",
    ]);
    expect(json(await limpet("explain", "https://app.example.com/x", "--json", "--from", "weur"))).toEqual(explained);
    expect(router.bodyOf("POST explain")).toMatchObject({ url: "https://app.example.com/x", cf: { latitude: "50.1" } });
  });

  test("of a request that no route matches stops there", async () => {
    router.on("POST explain", { body: { identify: { outcome: "no-route", detail: "No route matches." } } });
    expect((await limpet("explain", "/nowhere", "--from", "51.5,-0.1")).stdout).toBe("identify  no-route, No route matches.\n");
  });
});

const entry = (seq: number, more: object = {}) => ({
  ring: "collab@weur",
  seq,
  atMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  epoch: seq,
  what: "drain",
  who: "alice",
  ...more,
});

describe("events", () => {
  test("without --follow are the last ones, the newest at the end", async () => {
    router.on("GET audit", { body: { entries: [entry(2, { origin: "weur-1", why: "deploy\u001b[2J" }), entry(1)], unreachable: ["web@weur"] } });
    const ended = await limpet("events");
    expect(ended.stdout.split("\n")).toEqual([
      "2026-01-02 03:04:05  collab@weur  epoch 1  drain  by alice",
      "2026-01-02 03:04:05  collab@weur  epoch 2  drain weur-1  by alice: deploy�[2J",
      "",
    ]);
    expect(ended.stderr).toBe("web@weur did not answer: what happened there is missing.\n");
    expect(
      (await limpet("audit", "--limit", "7", "--json")).stdout
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { seq: number }).seq),
    ).toEqual([1, 2]);
    expect(router.asked.at(-1)?.path).toBe("audit?limit=7");
  });

  test("are followed without a gap: the past, what came meanwhile, and after the stream broke", async () => {
    const streams: { readonly from: unknown; readonly response: ServerResponse }[] = [];
    router.on("GET events", ({ headers }, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": here\n\n");
      streams.push({ from: headers["last-event-id"], response });
    });
    const send = (stream: number, seq: number, more: object = {}): unknown =>
      streams[stream]?.response.write(`event: change\nid: at-${seq}\ndata: ${JSON.stringify(entry(seq, more))}\n\n`);
    router.on("GET audit", (_, response) => {
      send(0, 2); // while the past is being read
      response.writeHead(200).end(JSON.stringify({ entries: [entry(2), entry(1)], unreachable: [] }));
    });
    const follower = started(startLimpet(["events", "--follow", "--json"], { env: env() }));
    await follower.printed(2);
    send(0, 3);
    await follower.printed(3);
    streams[0]?.response.end();
    await eventually("it comes back", () => streams.length === 2);
    expect(streams.map(({ from }) => from)).toEqual([undefined, "at-3"]);
    send(1, 3);
    send(1, 4);
    const lines = await follower.printed(4);
    expect(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([1, 2, 3, 4]);
    const { port } = router;
    await router.close();
    await eventually("it says that the router is away", () => follower.stderr.includes("No router answers"));
    await router.listen(port);
    await eventually("it comes back again", () => streams.length === 3);
    send(2, 1, { atMs: Date.UTC(2026, 0, 2, 4) }); // a router that was started anew counts from the beginning
    await follower.printed(5);
    expect((await follower.signal("SIGINT")).code).toBe(0);
  });

  test("a token that may not read ends it", async () => {
    router.on("GET events", { status: 403, body: { code: "forbidden", detail: 'This token has no scope "read".' } });
    expect(await limpet("events", "--follow")).toEqual({
      code: 1,
      stdout: "",
      stderr: 'This token has no scope "read". Give another by --token or LIMPET_TOKEN.\n',
    });
  });
});

describe("status --watch", () => {
  test("draws in place, goes on over a router that is away, and Ctrl-C ends it", async () => {
    const watch = started(startOnTerminal(["status", "--watch"], 100, 30, { env: env() }));
    await eventually("a table is drawn", () => watch.stdout.includes("weur-2"));
    expect(watch.stdout).toContain("\u001b[32mhealthy\u001b[39m");
    const { port } = router;
    await router.close();
    await eventually("it says so, over the last table", () => /as of \d\d:\d\d:\d\d.+No router answers/.test(watch.stdout));
    await router.listen(port);
    const before = watch.stdout.length;
    await eventually("it is there again", () => watch.stdout.slice(before).includes("every second"));
    expect(watch.stdout).toContain("\u001b[1A"); // over what was drawn before
    const limpetPid = watch.child.pid;
    expect(limpetPid).toBeDefined();
    await watch.signal("SIGTERM");
  });

  test("where nobody looks on prints one after the other, and --json a line each", async () => {
    const watch = started(startLimpet(["status", "collab", "--watch", "--json"], { env: env() }));
    const [one, two] = await watch.printed(2);
    for (const line of [one, two]) expect(JSON.parse(line ?? "")).toMatchObject({ rings: [{ pool: "collab" }] });
    expect((await watch.signal("SIGINT")).code).toBe(0);
  });

  test("of a router that never answered is a fault, not a watch", async () => {
    expect((await runLimpet(["status", "--watch"], { env: { LIMPET_URL: "http://127.0.0.1:9" } })).code).toBe(1);
  });
});

test("NO_COLOR is heeded on a terminal", async () => {
  const ended = await startOnTerminal(["status"], 100, 30, { env: { ...env(), NO_COLOR: "1" } }).ended();
  expect(ended.stdout).toContain("weur-2");
  expect(ended.stdout).not.toContain("\u001b[32m");
});

test("a pool that there is not is answered with those that there are", async () => {
  expect((await limpet("status", "cllab")).stderr).toBe("There is no pool cllab. Known are collab and web.\n");
});

test("a reader who has seen enough is no fault", async () => {
  const ended = await startOnTerminal(["status", "--watch", "--json", "|", "head", "-n1"], 100, 30, { env: env() }).ended();
  expect(ended.stdout.trim().split("\n")).toHaveLength(1);
});

describe("salts", () => {
  const config = {
    configRevision: 3,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      collab: {
        origins: [
          { id: "weur-1", region: "weur", url: "http://127.0.0.1:4001", salt: 3 },
          { id: "weur-2", region: "weur", url: "http://127.0.0.1:4002" },
        ],
      },
    },
    routes: [{ path: "/:session", pool: "collab", session: [{ path: "session" }], home: "session" }],
  };

  test("that are missing are written into a .json, as it was indented, and the rest stays", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "limpet-test-")), "limpet.json");
    await writeFile(file, JSON.stringify(config, null, "\t"));
    expect((await limpet("salts", "--write", "--config", file)).stdout).toBe(
      `${file} has 1 salt more: raise configRevision, then deploy or apply it.\n`,
    );
    const text = await readFile(file, "utf8");
    expect(text).toContain('\n\t\t\t\t\t"salt": 7\n');
    const [first, second] = config.pools.collab.origins;
    expect(JSON.parse(text)).toEqual({ ...config, pools: { collab: { origins: [first, { ...second, salt: 7 }] } } });
    expect((await limpet("salts", "--write", "--config", file)).stdout).toBe(`${file} has all of them.\n`);
  });

  test("for a program are told, to be pasted", async () => {
    const file = join(await mkdtemp(join(tmpdir(), "limpet-test-")), "limpet.config.mjs");
    await writeFile(file, `export default ${JSON.stringify(config)}`);
    const ended = await limpet("salts", "--write", "--config", file);
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain("pool collab, origin weur-2: salt: 7,");
    expect(ended.stderr).not.toContain("weur-1");
  });

  test("alone are a table, and with --json a line", async () => {
    expect((await limpet("salts")).stdout).toMatch(/collab +weur +weur-2 +7/);
    expect(json(await limpet("salts", "--json"))).toMatchObject({ salts: [{ pool: "collab", id: "weur-1" }, { id: "weur-2" }, {}, {}] });
  });
});

test("what is typed wrongly ends before anything is asked", async () => {
  const ended = await limpet("statsu");
  expect(ended).toEqual({ code: 1, stdout: "", stderr: "error: unknown command 'statsu'\n(Did you mean status?)\n" });
  expect(router.asked).toEqual([]);
});
