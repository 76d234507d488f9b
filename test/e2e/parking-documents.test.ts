// Documents that nobody edits for a while, with the clients that people use: their providers stay connected, cursors stay, and the next edit
// reaches everybody. Presence is renewed meanwhile without waking an origin.

import { HocuspocusProvider } from "@hocuspocus/provider";
import { Server } from "@hocuspocus/server";
import { afterEach, expect, test } from "vitest";
import type { Awareness } from "y-protocols/awareness";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { liveOrigin, startLive } from "../support/protocol-origin.ts";
import { eventually, startStack, type SessionView } from "../support/stack.ts";

const PARK = { park: { afterMs: 1_000 } };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What a provider does by itself every 15 s. */
function renew(awareness: Awareness): void {
  awareness.setLocalState(awareness.getLocalState());
}

const clockAt = (seer: Awareness, of: Awareness): number => seer.meta.get(of.clientID)?.clock ?? -1;

/** Anna's presence is renewed thrice while parked, and Ben sees each. */
async function renewedWhileParked(anna: Awareness, ben: Awareness, state: () => Promise<SessionView | undefined>): Promise<void> {
  await eventually("the session is parked", async () => (await state())?.state === "parked");
  for (let n = 0; n < 3; n++) {
    const before = clockAt(ben, anna);
    renew(anna);
    await eventually("the other sees that she is still there", () => clockAt(ben, anna) > before);
  }
  expect((await state())?.state, "nobody was woken for it").toBe("parked");
}

test("y-websocket: nobody's provider notices; presence goes on, and edits of both after it", async () => {
  const stack = await startStack((config) => ({
    ...config,
    routes: config.routes.map((route) => (route.path === "/collab/:session" ? { ...route, ...PARK } : route)),
  }));
  cleanups.push(() => stack.stop());
  const pair: Editor[] = [];
  for (const name of ["Anna", "Ben"]) {
    const editor = await openEditor(stack.wsUrl, "quiet", name);
    cleanups.push(() => editor.close());
    pair.push(editor);
  }
  const [anna, ben] = pair as [Editor, Editor];
  anna.type("before ");
  await converged(pair, ["before"]);
  await renewedWhileParked(anna.provider.awareness, ben.provider.awareness, () => stack.session("quiet"));
  ben.type("after ");
  await converged(pair, ["before", "after"]);
  anna.provider.awareness.setLocalStateField("cursor", 7);
  await eventually(
    "a cursor that moves is seen at once",
    () => ben.provider.awareness.getStates().get(anna.provider.awareness.clientID)?.["cursor"] === 7,
  );
  for (const editor of pair) {
    expect(editor.statuses).toEqual(["connected"]);
    expect(editor.vanished).toEqual([]);
    expect(editor.seen()).toEqual(["Anna", "Ben"]);
  }
  await eventually("it is parked again", async () => (await stack.session("quiet"))?.state === "parked");
});

test("Hocuspocus: the token is shown again when somebody speaks, and nobody's provider notices", async () => {
  const tokens: string[] = [];
  const start = async (id: string) => {
    const server = new Server({ quiet: true, stopOnSignals: false, onAuthenticate: async ({ token }) => void tokens.push(token) });
    return liveOrigin(id, server.httpServer);
  };
  const stack = await startLive(await Promise.all(["d1", "d2"].map(start)), { mode: "transparent", profile: "hocuspocus" }, {}, PARK);
  cleanups.push(() => stack.stop());
  const statuses: string[] = [];
  const open = async (name: string): Promise<HocuspocusProvider> => {
    const provider = new HocuspocusProvider({
      url: `${stack.wsUrl}/live/quiet`,
      name: "quiet",
      token: name,
      onStatus: ({ status }) => statuses.push(status),
    });
    cleanups.push(() => provider.destroy());
    provider.setAwarenessField("name", name);
    await eventually(`${name} is in sync`, () => provider.synced && provider.isAuthenticated);
    return provider;
  };
  const [anna, ben] = [await open("Anna"), await open("Ben")];
  const before = [...statuses];
  if (!anna.awareness || !ben.awareness) throw new Error("a provider has its awareness by default");
  await renewedWhileParked(anna.awareness, ben.awareness, () => stack.session("quiet", "live"));
  expect(tokens).toEqual(["Anna", "Ben"]);
  ben.document.getText("text").insert(0, "after");
  await eventually("the edit is seen and acknowledged", () => anna.document.getText("text").toString() === "after" && !ben.hasUnsyncedChanges);
  expect(tokens.toSorted()).toEqual(["Anna", "Anna", "Ben", "Ben"]);
  expect(statuses, "nobody has reconnected").toEqual(before);
});
