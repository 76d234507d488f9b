// One session moved by an operator, its visitors' sockets untouched: by the admin API, and by `limpet move`.

import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { keyedHash } from "../../src/platform/keyed-hash.ts";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { eventually, startStack, type SessionView, type Stack } from "../support/stack.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));

let stack: Stack;
const editors: Editor[] = [];
let rooms = 0;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());
afterEach(() => {
  for (const editor of editors.splice(0)) editor.close();
});

/** Two people at a new document whose home is weur. */
async function openPair(): Promise<{ room: string; pair: Editor[]; session: SessionView }> {
  for (;;) {
    const room = `moved-${rooms++}`;
    const first = await openEditor(stack.wsUrl, room, "Anna");
    editors.push(first);
    const session = await stack.session(room);
    if (session?.region !== "weur") continue;
    editors.push(await openEditor(stack.wsUrl, room, "Ben"));
    return { room, pair: editors.slice(-2), session };
  }
}

const otherThan = ({ origin }: SessionView): string => (origin === "weur-1" ? "weur-2" : "weur-1");

async function move(room: string, body?: unknown): Promise<{ status: number; body: SessionView & { code?: string; detail?: string } }> {
  const response = await stack.fetch(`/_limpet/v1/sessions/collab/${room}/move`, {
    method: "POST",
    headers: { authorization: "Bearer dev" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as SessionView };
}

const order = (origin: string, what: "drain" | "undrain"): Promise<object> => stack.admin(`rings/collab/weur/origins/${origin}/${what}`, "POST");

describe("a live session", () => {
  test("is moved where an operator says, and stays there when its visitors come back", async () => {
    const { room, pair, session } = await openPair();
    const to = otherThan(session);
    const moved = await move(room, { to });
    expect(moved).toMatchObject({ status: 200, body: { origin: to, region: "weur", connections: 2, state: "settled", movedFrom: session.origin } });
    expect(moved.body.fence).toBeGreaterThan(session.fence);
    pair[0]?.type("moved ");
    pair[1]?.type("together");
    await converged(pair, ["moved", "together"]);
    for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);

    const plain = await stack.fetch(`/doc/${room}/whoami`);
    expect(plain.headers.get("limpet")).toContain(`origin="${to}"`);
    for (const editor of pair) editor.close();
    await eventually("the session is over", async () => (await stack.session(room)) === undefined);
    editors.push(await openEditor(stack.wsUrl, room, "Carla"));
    expect((await stack.session(room))?.origin).toBe(to);
  });

  test("goes home when no origin is named, and its order ends with that", async () => {
    const { room, pair, session } = await openPair();
    await move(room, { to: otherThan(session) });
    expect(await move(room)).toMatchObject({ status: 200, body: { origin: session.origin, connections: 2, state: "settled" } });
    for (const editor of pair) {
      expect(editor.statuses).toEqual(["connected"]);
      editor.close();
    }
    await eventually("the session is over", async () => (await stack.session(room)) === undefined);
    editors.push(await openEditor(stack.wsUrl, room, "Carla"));
    expect((await stack.session(room))?.origin).toBe(session.origin);
  });

  test("may be named by its hash, moved where it is, and abroad", async () => {
    const { room, pair, session } = await openPair();
    const hash = await keyedHash("limpet-dev-only", "collab", room);
    expect((await move(hash, { to: session.origin })).body).toMatchObject({ origin: session.origin, fence: session.fence });
    expect((await move(hash, { to: "enam-1" })).body).toMatchObject({ origin: "enam-1", region: "enam", connections: 2 });
    pair[0]?.type("abroad");
    await converged(pair, ["abroad"]);
    for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
  });

  test("does not go to an origin that cannot take it", async () => {
    const { room, session } = await openPair();
    const to = otherThan(session);
    await order(to, "drain");
    const refused = await move(room, { to });
    expect(refused).toMatchObject({ status: 409, body: { code: "conflict", detail: expect.stringContaining(to) as string } });
    expect(refused.body.detail).toMatch(/drain(ing|ed)/);
    await order(to, "undrain");
    expect(await move(room, { to: "nobody" })).toMatchObject({ status: 404, body: { detail: "There is no such origin." } });
    expect(await move(room, { to: 5, from: 6 })).toMatchObject({ status: 400, body: { faults: [{ path: "to" }, { path: "from" }] } });
    expect(await stack.session(room)).toMatchObject({ origin: session.origin, fence: session.fence });
  });
});

test("a session that is not live cannot be moved", async () => {
  expect(await move("nobody-here", { to: "weur-1" })).toMatchObject({ status: 404, body: { detail: "There is no such live session." } });
  expect(await move("nobody-here")).toMatchObject({ status: 404 });
});

describe("limpet move", () => {
  interface Ended {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }

  function limpet(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    const { promise, resolve } = Promise.withResolvers<Ended>();
    const options = { cwd: tmpdir(), env: { ...process.env, LIMPET_URL: stack.url, ...env } };
    execFile(process.execPath, [LIMPET, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
    return promise;
  }

  test("says from where to where", async () => {
    const { room, pair, session } = await openPair();
    const to = otherThan(session);
    const moved = await limpet(["move", "collab", room, "--to", to]);
    expect(moved).toEqual({
      code: 0,
      stdout: expect.stringMatching(new RegExp(`^moved ${room} from ${session.origin} to ${to} \\(2 connections, fence \\d{15}\\)\n$`)) as string,
      stderr: "",
    });
    expect((await limpet(["move", "collab", room, "--to", to])).stdout).toMatch(new RegExp(`^${room} stays at ${to} \\(2 connections, `));
    const home = await limpet(["move", "collab", room, "--json", "--router", stack.url, "--token", "dev"], { LIMPET_URL: "http://127.0.0.1:9" });
    expect(JSON.parse(home.stdout)).toMatchObject({ origin: session.origin, connections: 2, state: "settled" });
    for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
  });

  test.each<[what: string, args: string[], env: Record<string, string>, says: RegExp]>([
    [
      "no router there",
      ["move", "collab", "x", "--router", "http://127.0.0.1:9"],
      {},
      /^No router answers at http:\/\/127\.0\.0\.1:9 .+: .+--router.+LIMPET_URL/,
    ],
    ["an address that is none", ["move", "collab", "x", "--router", "nowhere"], {}, /^"nowhere" is no address of a router: /],
    ["a wrong token", ["move", "collab", "x", "--token", "wrong"], {}, /^The router does not take this token: .+--token.+LIMPET_TOKEN/],
    [
      "no token for a router elsewhere",
      ["move", "collab", "x", "--router", "https://limpet.example.com"],
      { LIMPET_TOKEN: "" },
      /^A token is needed/,
    ],
    [
      "something else there",
      ["move", "collab", "x", "--router", "ORIGIN"],
      {},
      /^What answers at http:\/\/127\.0\.0\.1:\d+ \(404\) is no Limpet router.+--router.+LIMPET_URL\.$/m,
    ],
    ["no such session", ["move", "collab", "nobody-here"], {}, /^There is no such live session\. /],
    ["no such pool", ["move", "nowhere", "nobody-here"], {}, /^There is no such live session\. /],
  ])("%s: one sentence that says what to do", async (_, args, env, says) => {
    const { code, stdout, stderr } = await limpet(
      args.map((arg) => (arg === "ORIGIN" ? stack.fleet.url("weur-1") : arg)),
      env,
    );
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(says);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("an origin that does not exist, and one that cannot take it", async () => {
    const { room, session } = await openPair();
    expect((await limpet(["move", "collab", room, "--to", "nobody"])).stderr).toMatch(/^There is no such origin\. /);
    await order(otherThan(session), "drain");
    const refused = await limpet(["move", "collab", room, "--to", otherThan(session)]);
    await order(otherThan(session), "undrain");
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^${otherThan(session)} takes no sessions now: it is drain`)),
    ]);
  });
});
