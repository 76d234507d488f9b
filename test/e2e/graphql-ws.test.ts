// GraphQL over WebSocket through the router: graphql-ws's own client and server, subscriptions and mutations.

import { buildSchema, execute, parse, subscribe, validate } from "graphql";
import { createClient, type Client, type FormattedExecutionResult } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import { createServer } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { liveOrigin, startLive, type LiveOrigin, type LiveStack } from "../support/protocol-origin.ts";
import { eventually } from "../support/stack.ts";

interface GraphOrigin extends LiveOrigin {
  /** What each connection was begun with. */
  readonly inits: unknown[];
  /** Subscriptions begun here and not over. */
  readonly listening: () => number;
}

const schema = buildSchema(`
  directive @live(if: Where) on SUBSCRIPTION
  input Where { a: Int }
  type Query { slow(key: String!): String }
  type Mutation { pay(key: String!): String }
  type Subscription { ticks(key: String!): Int }
`);

/** Keys of mutations, in the order of their execution, wherever that was. */
let executed: string[] = [];
/** Those that are executed and not answered yet, with what answers them. */
let answering = new Map<string, () => void>();
/** Tokens that no origin takes any more. */
const expired = new Set<unknown>();
let stack: LiveStack<GraphOrigin>;
let clients: Client[];
let ticker: NodeJS.Timeout;
let now = 0;

beforeEach(async () => {
  executed = [];
  answering = new Map();
  expired.clear();
  clients = [];
  ticker = setInterval(() => now++, 5);
  stack = await startLive(await Promise.all(["g1", "g2", "g3"].map(startGraph)), { mode: "transparent", profile: "graphql-ws" });
});
afterEach(async () => {
  clearInterval(ticker);
  for (const client of clients) await client.dispose();
  await stack.stop();
});

async function startGraph(id: string): Promise<GraphOrigin> {
  const inits: unknown[] = [];
  let listening = 0;
  const server = createServer((_request, response) => response.end("ok"));
  const late = ({ key }: { key: string }): Promise<string> => {
    executed.push(key);
    return new Promise((resolve) => answering.set(key, () => resolve(id)));
  };
  const roots = {
    query: { slow: late },
    mutation: { pay: late },
    subscription: {
      // Counts on for everybody, like something that is stored elsewhere.
      ticks: async function* () {
        listening++;
        try {
          for (let told = now; ;) {
            await new Promise((resolve) => setTimeout(resolve, 2));
            if (now > told) yield { ticks: (told = now) };
          }
        } finally {
          listening--;
        }
      },
    },
  };
  useServer(
    {
      schema,
      roots,
      // The schema's own: the test runner's "graphql" is another copy than the server's.
      execute,
      parse,
      subscribe,
      validate,
      onConnect: ({ connectionParams }) => {
        inits.push(connectionParams);
        return !expired.has(connectionParams?.["token"]);
      },
    },
    new WebSocketServer({ server }),
  );
  return { ...(await liveOrigin(id, server)), inits, listening: () => listening };
}

interface Asker {
  readonly client: Client;
  /** Connections that were made, and codes of those that ended. */
  readonly events: (string | number)[];
}

function connect(key: string, keepAlive = 0): Asker {
  const events: (string | number)[] = [];
  let tokens = 0;
  const client = createClient({
    url: `${stack.wsUrl}/live/${key}`,
    connectionParams: () => ({ token: `t${++tokens}` }),
    retryWait: () => Promise.resolve(),
    lazy: false,
    keepAlive,
    on: { connected: () => events.push("connected"), closed: (event) => events.push((event as CloseEvent).code) },
  });
  clients.push(client);
  return { client, events };
}

function ask({ client }: Asker, query: string): Promise<FormattedExecutionResult> {
  return new Promise((resolve, reject) => {
    client.subscribe(
      { query },
      {
        next: resolve,
        error: (errors) =>
          reject(Array.isArray(errors) ? new Error(String(errors[0]?.extensions?.["code"] ?? errors[0]?.message)) : (errors as Error)),
        complete: () => undefined,
      },
    );
  });
}

interface Ticks {
  readonly heard: number[];
  readonly ended: () => boolean;
  readonly stop: () => void;
}

function listen({ client }: Asker): Ticks {
  const heard: number[] = [];
  let ended = false;
  const end = (): void => void (ended = true);
  const stop = client.subscribe<{ ticks: number }>(
    { query: `# not a mutation {\n subscription Live($key: String! = "{ mutation") @live(if: {a: 1}) { ticks(key: $key) }` },
    { next: ({ data }) => void (data && heard.push(data.ticks)), error: end, complete: end },
  );
  return { heard, ended: () => ended, stop };
}

const moreOf = (ticks: Ticks, count = 10): Promise<unknown> => {
  const until = ticks.heard.length + count;
  return eventually("it goes on", () => ticks.heard.length >= until);
};

/** Two connections that listen, one of which has stopped another subscription. */
async function listeningAt(key: string): Promise<{ askers: Asker[]; ticks: Ticks[]; owner: GraphOrigin }> {
  const askers = [connect(key), connect(key, 20)];
  const ticks = askers.map(listen);
  const stopped = listen(askers[0] as Asker);
  await Promise.all([...ticks, stopped].map((each) => moreOf(each, 1)));
  stopped.stop();
  const owner = await stack.ownerOf(key);
  await eventually("one of three is stopped", () => owner.listening() === 2);
  return { askers, ticks, owner };
}

const ordered = (heard: readonly number[]): boolean => heard.every((each, n) => n === 0 || each >= (heard[n - 1] ?? 0));

test.each([
  ["a drain", (owner: GraphOrigin) => stack.drain(owner)],
  ["a death", (owner: GraphOrigin) => owner.kill()],
])("%s: subscriptions go on, one that was stopped stays so, and nobody is disconnected", async (what, event) => {
  const { askers, ticks, owner } = await listeningAt(what);
  await event(owner);
  const next = await stack.moved(what, owner);
  await Promise.all(ticks.map((each) => moreOf(each)));
  expect(next.listening()).toBe(2);
  expect(next.inits).toEqual([{ token: "t1" }, { token: "t1" }]);
  for (const { heard, ended } of ticks) expect([ordered(heard), ended()]).toEqual([true, false]);
  for (const { events } of askers) expect(events).toEqual(["connected"]);
  ticks[0]?.stop();
  await eventually("it can be stopped there", () => next.listening() === 1);
});

test.each([
  ["a drain", (owner: GraphOrigin) => stack.drain(owner)],
  ["a death", (owner: GraphOrigin) => owner.kill()],
])("%s: a mutation under way is not run again, and its caller is told; one that comes later is run once", async (what, event) => {
  const { askers, ticks, owner } = await listeningAt(what);
  const [asker] = askers as [Asker];
  const under = [ask(asker, 'mutation { pay(key: "m") }'), ask(asker, '{ slow(key: "q") }')];
  const outcomes = Promise.allSettled(under);
  await eventually("both are executed", () => answering.size === 2);
  const done = ask(asker, 'mutation { pay(key: "done") }');
  await eventually("and a third", () => answering.has("done"));
  answering.get("done")?.();
  expect(await done).toEqual({ data: { pay: owner.id } });
  await event(owner);
  const next = await stack.moved(what, owner);
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { message: "ORIGIN_REPLACED" } });
  for (const answer of answering.values()) answer(); // what the old one answers now is nobody's
  const later = ask(asker, 'mutation { pay(key: "later") }');
  await eventually("it is executed", () => answering.has("later"));
  answering.get("later")?.();
  expect(await later).toEqual({ data: { pay: next.id } });
  await Promise.all(ticks.map((each) => moreOf(each)));
  expect(executed).toEqual(["m", "q", "done", "later"]);
  expect(asker.events).toEqual(["connected"]);
});

test("what is sent in the move is held until the new origin has acknowledged", async () => {
  const { askers, owner } = await listeningAt("held");
  const [asker] = askers as [Asker];
  const drained = stack.drain(owner);
  const asked: Promise<FormattedExecutionResult>[] = [];
  let over = false;
  const asking = eventually("it is drained", () => {
    const key = `k${asked.length}`;
    asked.push(ask(asker, `mutation { pay(key: "${key}") }`));
    for (const [each, answer] of answering) if (answering.delete(each)) answer();
    return over;
  });
  await drained;
  over = true;
  await asking;
  const answers = setInterval(() => {
    for (const answer of answering.values()) answer();
  }, 5);
  const outcomes = await Promise.allSettled(asked);
  clearInterval(answers);
  expect(new Set(executed).size).toBe(executed.length);
  for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ message: "ORIGIN_REPLACED" });
  expect(outcomes.some(({ status }) => status === "fulfilled")).toBe(true);
  expect(asker.events).toEqual(["connected"]);
});

test("an init that the new origin forbids (4403): the client comes back by itself with a fresh token", async () => {
  const { askers, ticks, owner } = await listeningAt("expired");
  expired.add("t1");
  await stack.drain(owner);
  await Promise.all(ticks.map((each) => moreOf(each)));
  const next = await stack.ownerOf("expired");
  expect(next.inits).toEqual(expect.arrayContaining([{ token: "t2" }, { token: "t2" }]));
  for (const { events } of askers) expect(events).toEqual(["connected", 1012, "connected"]);
});
