// Socket.IO over `websocket` alone: nothing of its protocol can be carried, so its route's mode is `restart`. Whoever is in one room (the
// session's key) is at one server, before a move and after it, and comes back by itself.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { io, type Socket } from "socket.io-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { liveOrigin, startLive, type LiveOrigin, type LiveStack } from "../support/protocol-origin.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack<LiveOrigin>;
let chats: Server[];
let people: Person[];

beforeEach(async () => {
  [chats, people] = [[], []];
  stack = await startLive(await Promise.all(["s1", "s2", "s3"].map(startChat)), { mode: "restart" });
});
afterEach(async () => {
  for (const { socket } of people) socket.disconnect();
  for (const chat of chats) chat.disconnectSockets(true);
  await stack.stop();
});

async function startChat(id: string): Promise<LiveOrigin> {
  const server = createServer((_request, response) => response.end("ok"));
  const chat = new Server(server, { path: "/live/room", addTrailingSlash: false });
  chat.on("connection", (socket) => socket.on("say", (words: string) => chat.emit("said", `${words} at ${id}`)));
  chats.push(chat);
  return liveOrigin(id, server);
}

interface Person {
  readonly socket: Socket;
  readonly heard: string[];
  readonly events: string[];
}

async function enter(): Promise<Person> {
  const socket = io(stack.url, { path: "/live/room", addTrailingSlash: false, transports: ["websocket"], forceNew: true, reconnectionDelay: 50 });
  const heard: string[] = [];
  const events: string[] = [];
  socket.on("said", (words: string) => heard.push(words));
  socket.on("connect", () => events.push("connect"));
  socket.on("disconnect", (reason, details) => {
    const close = details && "context" in details ? (details.context as CloseEvent).code : undefined;
    events.push(`${reason} ${close}`);
  });
  await eventually("it is connected", () => socket.connected);
  people.push({ socket, heard, events });
  return { socket, heard, events };
}

test.each<[what: string, event: (owner: LiveOrigin) => Promise<unknown>]>([
  ["a drain", (owner) => stack.drain(owner)],
  ["a death", (owner) => owner.kill()],
])("%s: everybody is told 1012, comes back by themselves, and all are at one server again", async (_, event) => {
  const [ann, bo] = [await enter(), await enter()];
  const owner = await stack.ownerOf("room");
  ann.socket.emit("say", "hello");
  await eventually("both hear it", () => [ann, bo].every(({ heard }) => heard.join() === `hello at ${owner.id}`));
  await event(owner);
  await eventually("both are back", () => [ann, bo].every(({ events }) => events.length === 3));
  const next = await stack.moved("room", owner);
  bo.socket.emit("say", "again");
  await eventually("both hear it", () => [ann, bo].every(({ heard }) => heard.at(-1) === `again at ${next.id}`));
  for (const { events } of [ann, bo]) expect(events).toEqual(["connect", "transport close 1012", "connect"]);
});
