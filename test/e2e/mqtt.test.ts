// MQTT over WebSocket through the router: MQTT.js and Aedes, brokers in memory that know nothing of each other.

import { Aedes } from "aedes";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { createServer } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createWebSocketStream, WebSocketServer } from "ws";
import { liveOrigin, startLive, type LiveOrigin, type LiveStack } from "../support/protocol-origin.ts";
import { eventually } from "../support/stack.ts";

interface Broker extends LiveOrigin {
  readonly aedes: Aedes;
  /** `client topic payload` of what was published here, as the broker sees it. */
  readonly published: readonly string[];
  /** Client and topic of each SUBSCRIBE. */
  readonly subscribed: readonly string[];
}

/** Passwords that no broker takes any more. */
const expired = new Set<string>();
let stack: LiveStack<Broker>;
let people: Person[];
/** How long brokers take to grant a filter. */
let grantMs = 0;

beforeEach(async () => {
  grantMs = 0;
  expired.clear();
  people = [];
  stack = await startLive(await Promise.all(["b1", "b2", "b3"].map(startBroker)), { mode: "transparent", profile: "mqtt" });
});
afterEach(async () => {
  await Promise.all(people.map(({ client }) => client.endAsync(true)));
  await Promise.all(stack.origins.map(({ aedes }) => new Promise<void>((resolve) => aedes.close(resolve))));
  await stack.stop();
});

async function startBroker(id: string): Promise<Broker> {
  const published: string[] = [];
  const subscribed: string[] = [];
  const aedes = await Aedes.createBroker({
    authenticate: (_client, _name, password, done) => done(null, !expired.has(String(password))),
    authorizeSubscribe: (_client, subscription, done) => void setTimeout(() => done(null, subscription), grantMs),
  });
  aedes.on("publish", ({ topic, payload }, client) => {
    if (!topic.startsWith("$SYS")) published.push(`${client?.id ?? "-"} ${topic} ${String(payload)}`);
  });
  aedes.on("subscribe", (subscriptions, client) => subscribed.push(...subscriptions.map(({ topic }) => `${client.id} ${topic}`)));
  const server = createServer((_request, response) => response.end("ok"));
  const sockets = new WebSocketServer({ server, handleProtocols: () => "mqtt" });
  sockets.on("connection", (socket, request) => void aedes.handle(createWebSocketStream(socket), request));
  return { ...(await liveOrigin(id, server)), aedes, published, subscribed };
}

interface Person {
  readonly client: MqttClient;
  /** `connect` and `close`, in order. */
  readonly events: string[];
  /** `topic payload`, in order. */
  readonly heard: string[];
}

async function connect(key: string, name: string, options: IClientOptions = {}): Promise<Person> {
  const events: string[] = [];
  const heard: string[] = [];
  const client = mqtt.connect(`${stack.wsUrl}/live/${key}`, { clientId: name, reconnectPeriod: 100, username: "u", password: "p", ...options });
  client.on("connect", () => events.push("connect"));
  client.on("close", () => events.push("close"));
  client.on("error", () => undefined); // told by `events`
  client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
  const person = { client, events, heard };
  people.push(person);
  await eventually(`${name} is connected`, () => client.connected);
  return person;
}

const QOS = [0, 1, 2] as const;

interface Flow {
  /** Numbers by QoS of what was published, and of what came back. */
  readonly sent: Record<0 | 1 | 2, number>;
  readonly acknowledged: Promise<unknown>[];
  stop(): void;
}

/** Publishes numbers at each QoS, fifty a second: MQTT.js sends a packet in five or six frames, and what a move holds back is bounded. */
function publish({ client }: Person): Flow {
  const flow: Flow = { sent: { 0: 0, 1: 0, 2: 0 }, acknowledged: [], stop: () => clearInterval(timer) };
  const timer = setInterval(() => {
    for (const qos of QOS) flow.acknowledged.push(client.publishAsync(`flow/${qos}`, String(flow.sent[qos]++), { qos }));
  }, 20);
  return flow;
}

const heardAt = (person: Person, qos: number): number[] =>
  person.heard.filter((each) => each.startsWith(`flow/${qos} `)).map((each) => Number(each.split(" ")[1]));
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** Somebody who hears what they publish, and has given up another subscription. */
async function flowing(key: string, options?: IClientOptions): Promise<{ ann: Person; flow: Flow; owner: Broker }> {
  const ann = await connect(key, "ann", options);
  await ann.client.subscribeAsync({ "flow/0": { qos: 0 }, "flow/1": { qos: 1 }, "flow/2": { qos: 2 }, "other/#": { qos: 1 }, "none/+": { qos: 0 } });
  await ann.client.unsubscribeAsync("none/+");
  const flow = publish(ann);
  await eventually("it flows", () => QOS.every((qos) => heardAt(ann, qos).length > 5));
  return { ann, flow, owner: await stack.ownerOf(key) };
}

async function goesOn(person: Person): Promise<void> {
  const before = QOS.map((qos) => heardAt(person, qos).length);
  await eventually("it goes on", () => QOS.every((qos, n) => heardAt(person, qos).length > (before[n] ?? 0) + 10));
}

test("a drain: nobody is disconnected, nothing is lost, doubled or out of order at any QoS, and no will is published", async () => {
  const { ann, flow, owner } = await flowing("drained", { will: { topic: "will", payload: Buffer.from("ann is gone"), qos: 1, retain: false } });
  await stack.drain(owner);
  const next = await stack.moved("drained", owner);
  await goesOn(ann);
  flow.stop();
  await Promise.all(flow.acknowledged);
  await eventually("all is heard", () => QOS.every((qos) => heardAt(ann, qos).length >= flow.sent[qos]));
  for (const qos of QOS) expect(heardAt(ann, qos)).toEqual(numbers(flow.sent[qos]));
  expect(ann.events).toEqual(["connect"]);
  expect(next.subscribed.toSorted()).toEqual(["ann flow/0", "ann flow/1", "ann flow/2", "ann other/#"]);
  expect([owner, next].flatMap(({ published }) => published.filter((each) => each.includes("will")))).toEqual([]);
  await eventually("the old broker has let go", () => owner.aedes.connectedClients === 0);

  const bo = await connect("drained", "bo");
  await bo.client.subscribeAsync("will");
  ann.client.stream.destroy();
  await eventually("a visitor that is really lost has a will at the new broker", () => bo.heard.join() === "will ann is gone");
});

test("a death: nobody is disconnected, everything that was not acknowledged is published again, and it goes on", async () => {
  const { ann, flow, owner } = await flowing("killed");
  await owner.kill();
  const next = await stack.moved("killed", owner);
  await goesOn(ann);
  flow.stop();
  await Promise.all(flow.acknowledged);
  const here = new Set(next.published);
  for (const qos of [1, 2] as const) {
    const total = flow.sent[qos];
    await eventually("the last is heard", () => heardAt(ann, qos).includes(total - 1));
    const there = new Set(owner.published);
    for (const n of numbers(total)) expect(here.has(`ann flow/${qos} ${n}`) || there.has(`ann flow/${qos} ${n}`), `QoS ${qos}, ${n}`).toBe(true);
  }
  expect(ann.events).toEqual(["connect"]);
  expect(next.subscribed.toSorted()).toEqual(["ann flow/0", "ann flow/1", "ann flow/2", "ann other/#"]);
});

test("visitors of one session hear each other again, and later subscriptions hold at the third broker too", async () => {
  const [ann, bo] = [await connect("room", "ann"), await connect("room", "bo")];
  await bo.client.subscribeAsync("a");
  const first = await stack.ownerOf("room");
  await stack.drain(first);
  const second = await stack.moved("room", first);
  await eventually("both are there", () => second.aedes.connectedClients === 2 && second.subscribed.length === 1);
  await bo.client.subscribeAsync("b");
  await ann.client.publishAsync("a", "1", { qos: 1 });
  await eventually("it is heard", () => bo.heard.join() === "a 1");
  await second.kill();
  const third = await stack.moved("room", second);
  await eventually("both are there", () => third.aedes.connectedClients === 2 && third.subscribed.length === 2);
  for (const topic of ["a", "b"]) await ann.client.publishAsync(topic, "2", { qos: 1 });
  await eventually("both are heard", () => bo.heard.join() === "a 1,a 2,b 2");
  for (const { events } of [ann, bo]) expect(events).toEqual(["connect"]);
});

// The visitors of a session flow each as soon as it is ready itself. To wait for each other is their session's to do.
test("a drain: what one visitor publishes is held until the others' filters are in force", async () => {
  const [ann, bo] = [await connect("slow", "ann"), await connect("slow", "bo")];
  await bo.client.subscribeAsync("flow/1", { qos: 1 });
  const flow = publish(ann);
  await eventually("it flows", () => heardAt(bo, 1).length > 5);
  grantMs = 300;
  const owner = await stack.ownerOf("slow");
  await stack.drain(owner);
  const before = heardAt(bo, 1).length;
  await eventually("it goes on", () => heardAt(bo, 1).length > before + 10);
  flow.stop();
  await Promise.all(flow.acknowledged);
  await eventually("the last is heard", () => heardAt(bo, 1).includes(flow.sent[1] - 1));
  expect(heardAt(bo, 1)).toEqual(numbers(flow.sent[1]));
});

test("a retained message is heard again, as after any SUBSCRIBE", async () => {
  const ann = await connect("kept", "ann");
  const owner = await stack.ownerOf("kept");
  for (const { aedes } of stack.origins) {
    await new Promise<void>((resolve, reject) => {
      aedes.publish({ cmd: "publish", topic: "state", payload: "on", qos: 1, retain: true, dup: false }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }
  await ann.client.subscribeAsync("state");
  await eventually("it is heard", () => ann.heard.length === 1);
  await stack.drain(owner);
  await eventually("it is heard again", () => ann.heard.length === 2);
});

test("pings pass and are answered, before a move and after", async () => {
  const ann = await connect("pinged", "ann", { keepalive: 1 });
  const pongs: unknown[] = [];
  ann.client.on("packetreceive", ({ cmd }) => cmd === "pingresp" && pongs.push(cmd));
  await eventually("a pong", () => pongs.length > 0);
  const owner = await stack.ownerOf("pinged");
  await owner.kill();
  await stack.moved("pinged", owner);
  const before = pongs.length;
  await eventually("two more", () => pongs.length > before + 1);
  expect(ann.events).toEqual(["connect"]);
});

test("a password that the new broker does not take: the client is told to come back, and does with a fresh one", async () => {
  const { ann, flow, owner } = await flowing("expired");
  ann.client.on("close", () => (ann.client.options.password = "fresh"));
  expired.add("p");
  await stack.drain(owner);
  await eventually("it is back", () => ann.events.join() === "connect,close,connect");
  await goesOn(ann);
  flow.stop();
  await Promise.all(flow.acknowledged);
});
