// The graphql-ws profile against graphql's own parser, and messages as graphql-ws writes them.

import fc from "fast-check";
import { parse, print } from "graphql";
import { MessageType, stringifyMessage } from "graphql-ws";
import { beforeEach, describe, expect, test } from "vitest";
import { isSubscription } from "../../src/core/graphql-kind.ts";
import { graphqlWs } from "../../src/core/profile-graphql-ws.ts";
import { REMEMBERED_MAX_BYTES, type Frame, type Memory } from "../../src/core/profile.ts";

const LIVE = "subscription { ticks }";
const init = stringifyMessage({ type: MessageType.ConnectionInit, payload: { token: "t" } });
const ack = stringifyMessage({ type: MessageType.ConnectionAck });
const ping = stringifyMessage({ type: MessageType.Ping, payload: { n: 1 } });
const pong = stringifyMessage({ type: MessageType.Pong });
const begin = (id: string, query = LIVE): string => stringifyMessage({ type: MessageType.Subscribe, id, payload: { query } });
const complete = (id: string): string => stringifyMessage({ type: MessageType.Complete, id });
const failed = (id: string): string => stringifyMessage({ type: MessageType.Error, id, payload: [{ message: "no" } as never] });
const next = (id: string, data: unknown = {}): string => stringifyMessage({ type: MessageType.Next, id, payload: { data } as never });

let memory: Memory;
const send = (...frames: Frame[]): unknown[] => frames.map((frame) => memory.sent(frame));
const hear = (...frames: Frame[]): unknown[] => frames.map((frame) => memory.heard(frame));
beforeEach(() => {
  memory = graphqlWs.begin();
  send(init);
  hear(ack);
});

/** What the new origin gets once it has acknowledged. */
function moved(): readonly Frame[] {
  expect([memory.replay().origin, memory.ready]).toEqual([[init], false]);
  const heard = memory.heard(ack);
  if (typeof heard === "string") throw new Error(heard);
  expect([heard.visitor, memory.ready]).toEqual([[], true]);
  return heard.origin;
}

describe("on a new leg", () => {
  test("what is still on is begun again, in its order, when the new origin has acknowledged, again and again", () => {
    send(begin("a"), begin("b"), begin("c"));
    hear(next("a"), next("b"));
    for (const _leg of ["second", "third"]) expect(moved()).toEqual([begin("a"), begin("b"), begin("c")]);
  });

  test.each<[what: string, end: () => void]>([
    ["the visitor completed", () => send(complete("a"))],
    ["the origin completed", () => hear(complete("a"))],
    ["failed", () => hear(failed("a"))],
  ])("what %s is over", (_, end) => {
    send(begin("a"), begin("b"));
    end();
    expect(moved()).toEqual([begin("b")]);
  });

  test("a mutation under way is answered with an error, once, and never sent again", () => {
    send(begin("m", "mutation { pay }"), begin("q", "{ slow }"), begin("s"), begin("done", "mutation { pay }"));
    hear(next("done"), complete("done"));
    const errors = memory.replay().visitor.map((frame) => JSON.parse(String(frame)) as unknown);
    expect(errors).toEqual(["m", "q"].map((id) => ({ id, type: "error", payload: [{ message: expect.any(String), extensions: { code: "ORIGIN_REPLACED" } }] })));
    expect(memory.heard(ack)).toEqual({ origin: [begin("s")], visitor: [] });
    expect(memory.replay().visitor).toEqual([]);
  });

  test("an acknowledgement that the old origin still owed reaches the visitor", () => {
    memory = graphqlWs.begin();
    send(init);
    expect(memory.replay()).toEqual({ origin: [init], visitor: [] });
    expect(memory.heard(ack)).toEqual({ origin: [], visitor: [ack] });
  });

  test("a ping that was not answered is asked again", () => {
    send(ping);
    expect(moved()).toEqual([ping]);
    hear(pong);
    expect(moved()).toEqual([]);
  });

  test("a visitor that has said nothing yet is waited for by nobody", () => {
    memory = graphqlWs.begin();
    expect([memory.replay(), memory.ready, memory.bearable]).toEqual([{ origin: [], visitor: [] }, true, true]);
  });
});

describe("bounds", () => {
  test("a subscription too large to keep is one that is answered with an error; when others are over there is room again", () => {
    const large = `${LIVE} # ${"x".repeat(60_000)}`;
    send(begin("1", large), begin("2", large), begin("3", large));
    expect(memory.replay().visitor).toHaveLength(1);
    expect(memory.heard(ack)).toMatchObject({ origin: [begin("1", large), begin("2", large)] });
    send(complete("1"), begin("4", large));
    expect([memory.replay().visitor.length, memory.bearable]).toEqual([0, true]);
  });

  test.each([[999, true], [1000, true], [1001, false]])("%i operations at once can be carried: %s", (count, bearable) => {
    for (let n = 0; n < count; n++) send(begin(String(n), "{ a }"));
    expect(memory.bearable).toBe(bearable);
  });

  test.each<[what: string, frame: Frame]>([
    ["an init too large to keep", stringifyMessage({ type: MessageType.ConnectionInit, payload: { token: "t".repeat(REMEMBERED_MAX_BYTES / 2) } })],
    ["a message of another protocol", '{"type":"start","id":"1","payload":{"query":"subscription { a }"}}'],
    ["what is no JSON", "hello"],
    ["a binary frame", new ArrayBuffer(1)],
  ])("%s cannot be carried", (_, frame) => {
    send(frame);
    expect(memory.bearable).toBe(false);
  });
});

describe("certainly a subscription", () => {
  test.each<[query: string, is: boolean]>([
    [LIVE, true],
    ["subscription{a}", true],
    ["# {\nsubscription S($a: In = {b: [\"}\"]}) @d(if: {x: 1}) { a(b: {c: 1}) { d } }", true],
    ["fragment F on T { a { b } } subscription { ...F }", true],
    ["subscription { ...F } fragment F on T { a }", true],
    ["subscription A { a } subscription B { b }", true],
    ["subscription { a } mutation { b }", false],
    ["mutation { subscription { a } }", false],
    ["{ subscription }", false],
    ["query subscription { a }", false],
    ['mutation M($a: String = "} subscription {") { a }', false],
    ['mutation { a(text: """ } \\""" subscription { """) }', false],
    ['subscription { a(text: """ \\""" } mutation { """) }', true],
    ["fragment subscription on T { a }", false],
    ["subscription { a", false],
    ["subscription", false],
    ["} subscription { a }", false],
    ["", false],
  ])("%s: %s", (query, is) => {
    expect(isSubscription({ query })).toBe(is);
  });

  test.each<[payload: unknown]>([[undefined], [null], ["subscription { a }"], [{}], [{ query: 1 }], [{ extensions: { persistedQuery: {} } }], [{ query: `${LIVE}#${"x".repeat(65_536)}` }]])(
    "not in %j", (payload) => expect(isSubscription(payload)).toBe(false),
  );

  test("whatever a document holds, we agree with graphql", () => {
    const word = fc.constantFrom("subscription", "mutation", "query", "fragment", "a", "on");
    const text = fc.constantFrom('"}"', '"{ mutation {"', '"""\n } \\""" mutation { \n"""', '"\\"{"', "{a: [1, {b: \"(\"}]}", "[]", "1");
    const selection = fc.tuple(word, text, word).map(([name, value, inner]) => `{ ${name}(x: ${value}) @d(y: ${value}) { ${inner} } # } {\n }`);
    const kind = fc.constantFrom("subscription", "mutation", "query");
    const operation = fc.tuple(kind, word, text, selection).map(([kind, name, value, body]) => `${kind} ${name}($v: T = ${value}) @d(z: ${value}) ${body}`);
    const definition = fc.oneof(operation, operation, selection, selection.map((body) => `fragment F on mutation ${body}`));
    fc.assert(
      fc.property(fc.array(definition, { minLength: 1, maxLength: 3 }), fc.boolean(), (definitions, pretty) => {
        const source = definitions.join("\n");
        const document = parse(source);
        const kinds = document.definitions.flatMap((each) => (each.kind === "OperationDefinition" ? [String(each.operation)] : []));
        const is = kinds.length > 0 && kinds.every((each) => each === "subscription");
        expect(isSubscription({ query: pretty ? print(document) : source })).toBe(is);
      }),
      { numRuns: 500 },
    );
  });
});

test("rubbish never throws and passes", () => {
  const json = fc.record({ type: fc.constantFrom("connection_init", "connection_ack", "subscribe", "complete", "error", "next", 1), id: fc.oneof(fc.string(), fc.nat()), payload: fc.jsonValue() }, { requiredKeys: [] });
  const any = fc.oneof(fc.string(), fc.uint8Array({ maxLength: 9 }).map((bytes) => bytes.slice().buffer), json.map((value) => JSON.stringify(value)));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("sent", "heard", "replay"), any), { maxLength: 20 }), (steps) => {
      const memory = graphqlWs.begin();
      for (const [step, data] of steps) {
        if (step === "replay") memory.replay();
        else expect(step === "sent" ? memory.sent(data) : "pass").toBe("pass");
        if (step === "heard") memory.heard(data);
      }
    }),
    { numRuns: 500 },
  );
});
