// Shared documents through the router: real y-websocket clients, real origins, real faults.

import { afterEach, beforeEach, expect, test } from "vitest";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { eventually, NEW_YORK, PARIS, startStack, type RingView, type Stack } from "../support/stack.ts";

let stack: Stack;
let editors: Editor[] = [];

beforeEach(async () => {
  stack = await startStack();
});

afterEach(async () => {
  for (const editor of editors.splice(0)) editor.close();
  await stack.stop();
});

async function open(room: string, name: string, cf?: object): Promise<Editor> {
  const editor = await openEditor(stack.wsUrl, room, name, cf);
  editors.push(editor);
  return editor;
}

/** Types numbered words from every editor, a few milliseconds apart, while something happens. Returns all words typed. */
async function typingDuring(who: readonly Editor[], label: string, event: () => Promise<unknown>): Promise<string[]> {
  const words: string[] = [];
  let n = 0;
  const typist = setInterval(() => {
    for (const [index, editor] of who.entries()) {
      const word = `[${label}${index}.${n}]`;
      words.push(word);
      editor.type(word);
    }
    n++;
  }, 10);
  try {
    await event();
    await eventually("some more is typed afterwards", () => n > 30);
  } finally {
    clearInterval(typist);
  }
  return words;
}

test("all visitors of one document reach one origin from both continents, and their texts converge", async () => {
  const [anna, ben] = [await open("doc-1", "Anna", PARIS), await open("doc-1", "Ben", NEW_YORK)];
  anna.type("hello ");
  ben.type("world ");
  await converged([anna, ben], ["hello", "world"]);
  const rings = await stack.admin<{ rings: RingView[] }>("rings");
  const serving = rings.rings.flatMap((ring) => ring.origins).filter((origin) => origin.sessions > 0);
  expect(serving).toHaveLength(1);
  await eventually("two connections are counted", async () => (await stack.session("doc-1"))?.connections === 2);
});

test("documents spread over origins and regions", async () => {
  const origins = new Set<string>();
  for (let n = 0; n < 12; n++) {
    await open(`doc-${n}`, "Anna");
    origins.add((await stack.session(`doc-${n}`))?.origin ?? "");
  }
  expect(origins.size).toBeGreaterThan(2);
});

test("when the origin is killed in mid-editing, both visitors stay connected and no edit is lost", async () => {
  const pair = [await open("doc-kill", "Anna", PARIS), await open("doc-kill", "Ben", NEW_YORK)];
  const before = await stack.session("doc-kill");
  const words = await typingDuring(pair, "k", async () => {
    await stack.fleet.kill(before?.origin ?? "");
    await eventually("the session has moved", async () => {
      const now = await stack.session("doc-kill");
      return now !== undefined && now.origin !== before?.origin && now.state === "settled";
    });
  });
  await converged(pair, words);
  const after = await stack.session("doc-kill");
  expect(after?.fence).toBeGreaterThan(before?.fence ?? Infinity);
  for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
});

test("when the origin is drained, nobody is disconnected, no edit is lost and no cursor vanishes", async () => {
  const pair = [await open("doc-drain", "Anna", PARIS), await open("doc-drain", "Ben", NEW_YORK)];
  await eventually("both see both cursors", () => pair.every((editor) => editor.seen().join() === "Anna,Ben"));
  const before = await stack.session("doc-drain");
  const words = await typingDuring(pair, "d", async () => {
    await stack.admin(`rings/collab/${before?.region}/origins/${before?.origin}/drain`, "POST");
    const drained = await stack.admin<{ state: string }>(`rings/collab/${before?.region}/origins/${before?.origin}?waitFor=drained&timeoutMs=20000`);
    expect(drained.state).toBe("drained");
  });
  await converged(pair, words);
  expect((await stack.session("doc-drain"))?.origin).not.toBe(before?.origin);
  for (const editor of pair) {
    expect(editor.statuses).toEqual(["connected"]);
    expect(editor.vanished).toEqual([]);
    expect(editor.seen()).toEqual(["Anna", "Ben"]);
  }
});

test("when a whole region is killed, the secondary region takes over and nobody is disconnected", async () => {
  const pair = [await open("doc-region", "Anna", PARIS), await open("doc-region", "Ben", NEW_YORK)];
  const before = await stack.session("doc-region");
  const region = before?.region ?? "";
  const words = await typingDuring(pair, "r", async () => {
    await Promise.all([1, 2].map((n) => stack.fleet.kill(`${region}-${n}`)));
    await eventually("the session is in the other region", async () => {
      const now = await stack.session("doc-region");
      return now !== undefined && now.region !== region && now.state === "settled";
    });
  });
  await converged(pair, words);
  expect((await stack.session("doc-region"))?.reason).toBe("failover");
  for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
});
