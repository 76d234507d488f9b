// A night's work by the command line, against a real router with real origins and visitors who type all the while.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { runLimpet, startLimpet, type Ended } from "../support/command.ts";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { eventually, startStack, type Stack } from "../support/stack.ts";

let stack: Stack;
const editors: Editor[] = [];

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());
afterEach(() => {
  for (const editor of editors.splice(0)) editor.close();
});

const limpet = (...args: readonly string[]): Promise<Ended> => runLimpet(args, { env: { LIMPET_URL: stack.url } });

/** Several documents, so that each origin has some. */
async function openAll(prefix: string): Promise<Editor[]> {
  for (let n = 0; n < 8; n++) editors.push(await openEditor(stack.wsUrl, `${prefix}-${n}`, `visitor ${n}`));
  return editors;
}

async function unnoticed(all: readonly Editor[]): Promise<void> {
  for (const editor of all) {
    expect(editor.statuses).toEqual(["connected"]);
    editor.type("still here");
    await converged([editor], ["still here"]);
  }
}

test("status shows every ring as it is, to people and to programs", async () => {
  const { code, stdout, stderr } = await limpet("status");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^collab@weur {2}epoch \d+ · \d+ sessions? · \d+ connections?/m);
  for (const id of ["weur-1", "weur-2", "enam-1", "enam-2"]) expect(stdout).toMatch(new RegExp(`^  ${id} +active +healthy +█+ +100 %`, "m"));
  const told = JSON.parse((await limpet("status", "collab", "--json")).stdout) as { rings: { origins: object[] }[] };
  expect(told.rings.map(({ origins }) => origins.length)).toEqual([2, 2]);
});

test("drain --wait ends when the process may end, and no visitor notices", async () => {
  const all = await openAll("drained");
  const ended = await limpet("drain", "weur-1", "--wait", "--timeout", "60s");
  expect(ended).toMatchObject({ code: 0, stdout: "weur-1 (collab@weur) is drained: its process may end.\n" });
  expect(await stack.admin("rings/collab/weur/origins/weur-1")).toMatchObject({ state: "drained", sessions: 0, connections: 0 });
  await stack.fleet.kill("weur-1");
  await unnoticed(all);
  await stack.fleet.revive("weur-1");
  const back = await limpet("undrain", "weur-1");
  expect(back.stdout).toMatch(
    /^weur-1 \(collab@weur\) is not drained any more: it is active and (healthy, and takes sessions again|down|ejected)\.\n$/,
  );
});

test("what is not drained in time ends with 3, and the order stands", async () => {
  await openAll("slow");
  const ended = await limpet("drain", "weur-2", "--wait", "--timeout", "1ms");
  expect(ended.code).toBe(3);
  expect(await stack.admin("rings/collab/weur/origins/weur-2")).not.toMatchObject({ state: "active" });
  await limpet("undrain", "weur-2");
  await eventually("it is back", async () => (await stack.admin<{ state: string }>("rings/collab/weur/origins/weur-2")).state === "active");
});

describe("an origin that joins, is re-weighted and leaves", () => {
  test("by three commands", async () => {
    const url = stack.fleet.url("enam-2").replace("127.0.0.1", "localhost"); // another name for a server that is there
    expect((await limpet("remove", "enam-2", "--wait")).stdout).toBe("enam-2 (collab@enam) is gone: its process may end.\n");
    const added = await limpet("add", "enam-3", url, "--pool", "collab", "--region", "enam", "--weight", "2");
    expect(added).toEqual({ code: 0, stdout: `enam-3 (collab@enam) joins at ${url} with weight 2.\n`, stderr: "" });
    expect((await limpet("reweight", "enam-3", "1.5")).stdout).toBe("enam-3 (collab@enam) has weight 1.5.\n");
    const salts = JSON.parse((await limpet("salts", "--json")).stdout) as { salts: { id: string; salt: number }[] };
    expect(salts.salts.find(({ id }) => id === "enam-3")?.salt).toEqual(expect.any(Number));
  });

  test("what the router refuses is its own sentence", async () => {
    const twice = await limpet("add", "weur-1", "http://127.0.0.1:1", "--pool", "collab", "--region", "enam");
    expect([twice.code, twice.stdout]).toEqual([1, ""]);
    expect(twice.stderr).toMatch(/weur-1/);
    expect((await limpet("add", "a/../b", "http://127.0.0.1:1", "--pool", "collab", "--region", "enam")).stderr).toMatch(
      /^The request has 1 fault: id: /,
    );
    expect((await limpet("reweight", "weur-1", "99999999")).stderr).toMatch(/weight/);
    expect((await limpet("up", "collab", "mars")).code).toBe(1);
  });
});

test("a region out of service, and in again", async () => {
  const all = await openAll("region");
  const down = await limpet("down", "collab", "enam");
  expect(down).toMatchObject({ code: 0, stderr: "" });
  expect(down.stdout).toMatch(/^collab@enam is taken out of service: .+`npx limpet up collab enam`/);
  await eventually("nobody is there", async () => {
    const told = JSON.parse((await limpet("status", "--json")).stdout) as { rings: { region: string; origins: { sessions: number }[] }[] };
    return told.rings.find(({ region }) => region === "enam")?.origins.every(({ sessions }) => sessions === 0);
  });
  await unnoticed(all);
  expect((await limpet("up", "collab", "enam")).stdout).toBe("collab@enam is in service again.\n");
});

test("a plan, an explanation and the audit of what was done here", async () => {
  const planned = JSON.parse((await limpet("plan", "collab", "weur", "--drain", "weur-1", "--json")).stdout) as { movedShare: number };
  expect(planned.movedShare).toBeGreaterThan(0.3);
  const over = await limpet("plan", "collab", "weur", "--remove", "weur-1", "--max-moved", "10%");
  expect(over.code).toBe(2);
  expect(over.stdout).toMatch(/^  weur-1 +\d+\.\d % +0\.0 % +-\d+\.\d %$/m);
  const explained = await limpet("explain", "/collab/doc-1", "--from", "LHR");
  expect(explained).toMatchObject({ code: 0, stderr: "" });
  expect(explained.stdout).toMatch(
    /^identify +route \/collab\/:session, pool collab, session key "doc-1"[\s\S]+^ +→ (weur|enam)-\d \((weur|enam)\): owner$/m,
  );
  const audit = await limpet("audit", "--json");
  const entries = audit.stdout.trim().split("\n").map((line) => JSON.parse(line) as { what: string; who: string; origin?: string }); // prettier-ignore
  expect(entries).toContainEqual(expect.objectContaining({ what: "drain", who: "dev", origin: "weur-1" }));
});

test("events are seen as they happen", async () => {
  const follower = startLimpet(["events", "--follow", "--json"], { env: { LIMPET_URL: stack.url } });
  await follower.printed(1);
  const before = follower.lines.length;
  await limpet("reweight", "weur-1", "1.25");
  await eventually("it is told", () => follower.lines.slice(before).some((line) => line.includes('"origin":"weur-1"')));
  expect((await follower.signal("SIGINT")).code).toBe(0);
});
