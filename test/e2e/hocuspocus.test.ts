// Hocuspocus through the router: its own servers, its own provider, tokens and all.

import { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";
import { Server } from "@hocuspocus/server";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as Y from "yjs";
import { liveOrigin, startLive, type LiveOrigin, type LiveStack } from "../support/protocol-origin.ts";
import { eventually } from "../support/stack.ts";

interface DocumentOrigin extends LiveOrigin {
  /** Tokens that it was shown, in order. */
  readonly tokens: readonly string[];
  /** Documents that it holds in memory. */
  readonly documents: () => number;
  /** From now on it handles no frame. */
  hang(): void;
}

/** Tokens that no origin takes any more. */
const expired = new Set<string>();
let stack: LiveStack<DocumentOrigin>;
let people: Person[];

beforeEach(async () => {
  expired.clear();
  people = [];
  stack = await startLive(await Promise.all(["d1", "d2", "d3"].map(startDocuments)), { mode: "transparent", profile: "hocuspocus" });
});
afterEach(async () => {
  for (const person of people) person.provider.destroy();
  await stack.stop();
});

async function startDocuments(id: string): Promise<DocumentOrigin> {
  const tokens: string[] = [];
  let hung = false;
  const server = new Server({
    quiet: true,
    stopOnSignals: false,
    async onAuthenticate({ token }) {
      tokens.push(token);
      if (expired.has(token)) throw new Error("expired");
    },
    beforeHandleMessage: () => (hung ? new Promise(() => undefined) : Promise.resolve()),
  });
  return {
    ...(await liveOrigin(id, server.httpServer)),
    tokens,
    documents: () => server.hocuspocus.getDocumentsCount(),
    hang: () => void (hung = true),
  };
}

interface Person {
  readonly provider: HocuspocusProvider;
  readonly text: Y.Text;
  /** Statuses of the socket and answers to tokens, in order; what is said twice in a row counts once. */
  readonly events: string[];
  readonly closes: Set<number>;
  /** Names whose cursor vanished at some time. */
  readonly vanished: string[];
  readonly seen: () => string;
  readonly type: (word: string) => void;
}

async function open(name: string, key: string, socket?: HocuspocusProviderWebsocket, document = key): Promise<Person> {
  const events: string[] = [];
  const closes = new Set<number>();
  const note = (event: string): void => void (event === events.at(-1) || events.push(event));
  let tokens = 0;
  const provider = new HocuspocusProvider({
    ...(socket ? { websocketProvider: socket } : { url: `${stack.wsUrl}/live/${key}` }),
    name: document,
    token: () => `${name}-${++tokens}`,
    onStatus: ({ status }) => note(status),
    onAuthenticated: () => note("authenticated"),
    onAuthenticationFailed: () => note("denied"),
    onClose: ({ event }) => closes.add(event.code),
  });
  if (socket) provider.attach();
  const text = provider.document.getText("text");
  const vanished: string[] = [];
  const names = new Map<number, string>();
  const nameOf = (client: number): string => String(provider.awareness?.getStates().get(client)?.["name"] ?? "?");
  provider.awareness?.on("change", ({ added, updated, removed }: Record<"added" | "updated" | "removed", number[]>) => {
    for (const client of [...added, ...updated]) names.set(client, nameOf(client));
    vanished.push(...removed.filter((client) => client !== provider.document.clientID).map((client) => names.get(client) ?? "?"));
  });
  provider.setAwarenessField("name", name);
  const person: Person = {
    provider,
    text,
    events,
    closes,
    vanished,
    seen: () => [...(provider.awareness?.getStates().keys() ?? [])].map(nameOf).toSorted().join(),
    type: (word) => text.insert(text.length, word),
  };
  people.push(person);
  await eventually(`${name} is in sync`, () => provider.synced && provider.isAuthenticated);
  return person;
}

/** A word from each every few milliseconds while something happens and a while after it. */
async function typingDuring(who: readonly Person[], event: () => Promise<unknown>): Promise<string[]> {
  const words: string[] = [];
  let n = 0;
  const typist = setInterval(() => {
    for (const [index, person] of who.entries()) {
      const word = `[${index}.${n}]`;
      words.push(word);
      person.type(word);
    }
    n++;
  }, 5);
  try {
    await event();
    const until = n + 30;
    await eventually("some more is typed afterwards", () => n > until);
  } finally {
    clearInterval(typist);
  }
  return words;
}

async function converged(who: readonly Person[], words: readonly string[]): Promise<void> {
  await eventually("all show one text with every edit", () => {
    const texts = who.map(({ text }) => text.toString());
    return texts.every((text) => text === texts[0]) && words.every((word) => texts[0]?.includes(word));
  });
  await eventually("every edit is acknowledged", () => who.every(({ provider }) => !provider.hasUnsyncedChanges));
}

const UNDISTURBED = ["connecting", "connected", "authenticated"];

async function pairAt(key: string): Promise<[pair: Person[], owner: DocumentOrigin]> {
  const pair = [await open("Ann", key), await open("Bo", key)];
  await eventually("both see both cursors", () => pair.every((person) => person.seen() === "Ann,Bo"));
  return [pair, await stack.ownerOf(key)];
}

test("a drain disconnects nobody, loses no edit and no acknowledgement, and no cursor vanishes", async () => {
  const [pair, owner] = await pairAt("drained");
  const words = await typingDuring(pair, () => stack.drain(owner));
  await converged(pair, words);
  const now = await stack.ownerOf("drained");
  expect(now.id).not.toBe(owner.id);
  expect(now.tokens.toSorted()).toEqual(["Ann-1", "Bo-1"]);
  for (const { events, vanished, seen } of pair) expect([events, vanished, seen()]).toEqual([UNDISTURBED, [], "Ann,Bo"]);
  await eventually("the old origin has let go of it", () => owner.documents() === 0);
});

test("when its origin is killed nobody is disconnected, and what it never acknowledged is acknowledged by the next", async () => {
  const [pair, owner] = await pairAt("killed");
  const words = await typingDuring(pair, async () => {
    owner.hang();
    await eventually("edits are not acknowledged any more", () => pair.every(({ provider }) => provider.unsyncedChanges > 5));
    await owner.kill();
    await stack.moved("killed", owner);
  });
  await converged(pair, words);
  for (const { events, vanished, seen } of pair) expect([events, vanished, seen()]).toEqual([UNDISTURBED, [], "Ann,Bo"]);
});

test("when a connection is cut the same origin shows its cursor again at once, though it has seen that state before", async () => {
  const [pair, owner] = await pairAt("cut");
  const [ann, bo] = pair;
  const words = await typingDuring(pair, async () => {
    owner.cut();
    await eventually("Ann's cursor is gone", () => bo?.vanished.join() === "Ann");
    await eventually("and is back", () => bo?.seen() === "Ann,Bo", 5_000); // a renewal would take 15 s
  });
  await converged(pair, words);
  expect([ann?.events, bo?.events, (await stack.ownerOf("cut")).id]).toEqual([UNDISTURBED, UNDISTURBED, owner.id]);
  expect(owner.tokens).toEqual(["Ann-1", "Bo-1", "Ann-1"]);
});

test("a token that the new origin does not take: its provider comes back by itself with a fresh one", async () => {
  const [pair, owner] = await pairAt("expired");
  expired.add("Bo-1");
  const words = await typingDuring(pair, () => stack.drain(owner));
  await eventually("Bo is back", () => pair[1]?.provider.isAuthenticated && pair[1].provider.synced);
  await converged(pair, words);
  const now = await stack.ownerOf("expired");
  expect(now.tokens.toSorted()).toEqual(["Ann-1", "Bo-1", "Bo-2"]);
  expect(pair.map(({ events }) => events)).toEqual([UNDISTURBED, [...UNDISTURBED, "disconnected", ...UNDISTURBED]]);
  expect(pair.map(({ closes }) => [...closes])).toEqual([[], [1012]]);
});

test("two documents on one socket cannot be carried: the socket is closed with 1012, and both are back by themselves", async () => {
  const socket = new HocuspocusProviderWebsocket({ url: `${stack.wsUrl}/live/shelf` });
  const closes: number[] = [];
  socket.on("close", ({ event }: { event: { code: number } }) => closes.push(event.code));
  try {
    const both = [await open("Ann", "shelf", socket, "first"), await open("Bo", "shelf", socket, "second")];
    for (const { type } of both) type("written before");
    await stack.drain(await stack.ownerOf("shelf"));
    await eventually("the socket is closed", () => closes.length > 0);
    for (const { type } of both) type(", and after");
    for (const { provider } of both)
      await eventually("it is in sync again", () => provider.isAuthenticated && provider.synced && !provider.hasUnsyncedChanges);
    expect(closes).toEqual([1012]);
    const reader = await open("Cy", "shelf", undefined, "second");
    await eventually("all is there", () => reader.text.toString() === "written before, and after");
  } finally {
    socket.destroy();
  }
});
