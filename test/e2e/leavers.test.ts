// Visitors who leave at the worst moment: in mid-move, in mid-dial, while their session is asked for. Nothing of theirs may be lost before
// they go, and nothing may be left after.

import { afterEach, beforeEach, expect, test } from "vitest";
import { openEditor, type Editor } from "../support/editor.ts";
import { eventually, startStack, type RingView, type Stack } from "../support/stack.ts";

let stack: Stack;
const editors: Editor[] = [];

beforeEach(async () => {
  stack = await startStack();
});

afterEach(async () => {
  for (const editor of editors.splice(0)) editor.close();
  await stack.stop();
});

async function open(room: string, name: string): Promise<Editor> {
  const editor = await openEditor(stack.wsUrl, room, name);
  editors.push(editor);
  return editor;
}

const allRings = async (): Promise<RingView[]> => (await stack.admin<{ rings: RingView[] }>("rings")).rings;
const order = (origin: string, what: "drain" | "undrain"): Promise<unknown> =>
  stack.admin(`rings/collab/${origin.split("-")[0]}/origins/${origin}/${what}`, "POST");

/** No session, no connection and no guest is counted anywhere, and it stays so. */
async function nothingIsLeft(): Promise<void> {
  const isEmpty = async (): Promise<boolean> =>
    (await allRings()).every((ring) => ring.origins.every(({ sessions, connections }) => sessions + connections === 0));
  await eventually("nothing is counted any more", isEmpty);
  const LATEST_GHOST_MS = 7_500; // a move's deadline, after which a session asks for itself
  const untilMs = Date.now() + LATEST_GHOST_MS;
  await eventually("and nothing comes back", async () => {
    expect(await isEmpty()).toBe(true);
    return Date.now() > untilMs;
  });
}

test("what somebody typed in mid-move arrives although they left at once, and their cursor goes", async () => {
  const [anna, ben] = [await open("doc", "Anna"), await open("doc", "Ben")];
  const before = await stack.session("doc");
  await order(before?.origin ?? "", "drain");
  await eventually(
    "the move is under way",
    async () => (await stack.session("doc"))?.state === "moving" || (await stack.session("doc"))?.origin !== before?.origin,
  );
  ben.type("LAST WORDS");
  ben.close();
  await eventually("Anna reads it", () => anna.text.toString().includes("LAST WORDS"));
  await eventually("Ben's cursor is gone", () => anna.seen().join() === "Anna");
  await eventually("one connection is left", async () => (await stack.session("doc"))?.connections === 1);
  anna.close();
  await nothingIsLeft();
});

test("a crowd that leaves during drains and a kill leaves no session, no guest and no pin behind, and the origins can be drained", async () => {
  const crowd = await Promise.all(Array.from({ length: 24 }, (_, n) => open(`room-${n}`, "Anna")));
  await order("weur-1", "drain");
  for (const editor of crowd.slice(0, 8)) editor.close();
  await stack.fleet.kill("weur-2");
  for (const [index, editor] of crowd.slice(8).entries()) setTimeout(() => editor.close(), index * 30);
  await eventually("everyone has left", () => crowd.every((editor) => !editor.provider.wsconnected));
  await nothingIsLeft();
  await order("enam-1", "drain");
  for (const origin of ["weur-1", "enam-1"]) {
    const drained = await stack.admin<{ state: string }>(`rings/collab/${origin.split("-")[0]}/origins/${origin}?waitFor=drained&timeoutMs=15000`);
    expect(drained.state).toBe("drained");
  }
});

test("two origins drained one right after the other close nobody's socket", async () => {
  const crowd = await Promise.all(Array.from({ length: 8 }, (_, n) => open(`roll-${n}`, "Anna")));
  await order("weur-1", "drain");
  await order("weur-2", "drain");
  await eventually("weur is empty", async () =>
    (await allRings()).find((ring) => ring.region === "weur")?.origins.every(({ sessions }) => sessions === 0),
  );
  for (const origin of ["weur-1", "weur-2"]) {
    const drained = await stack.admin<{ state: string }>(`rings/collab/weur/origins/${origin}?waitFor=drained&timeoutMs=15000`);
    expect(drained.state).toBe("drained");
  }
  for (const editor of crowd) expect(editor.statuses).toEqual(["connected"]);
});

test("back and forth: ten drains in a row, and nobody is disconnected", async () => {
  const pair = [await open("shuttle", "Anna"), await open("shuttle", "Ben")];
  for (let round = 0; round < 10; round++) {
    const { origin = "" } = (await stack.session("shuttle")) ?? {};
    pair[round % 2]?.type(`[${round}]`);
    await order(origin, "drain");
    await eventually("it has moved", async () => {
      const now = await stack.session("shuttle");
      return now !== undefined && now.origin !== origin && now.state === "settled";
    });
    await order(origin, "undrain");
  }
  const all = Array.from({ length: 10 }, (_, round) => `[${round}]`);
  await eventually("both read everything", () => pair.every((editor) => all.every((word) => editor.text.toString().includes(word))));
  for (const editor of pair) {
    expect(editor.statuses).toEqual(["connected"]);
    expect(editor.vanished).toEqual([]);
  }
});
