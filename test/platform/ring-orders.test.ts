// Orders of origins, with a ring of stand-ins: what is compared, in which order, before anything is remembered.

import { describe, expect, test, vi } from "vitest";
import { Orders } from "../../src/platform/ring-orders.ts";
import type { RedirectAnswer } from "../../src/core/protocol.ts";

interface World {
  readonly present?: string;
  readonly lifecycle?: Readonly<Record<string, string>>;
  readonly ordered?: boolean;
}

const item = { keyHash: "k", position: 1, lot: 2, keyed: true, claim: { origin: "a", fence: 5 } };

async function redirect(from: string, to: string, { present = "a", lifecycle = {}, ordered = false }: World = {}) {
  const origins = ["a", "b", "c"].map((id) => ({ id, lifecycle: lifecycle[id] ?? "active", health: "healthy", ejectedUntilMs: 0 }));
  const byId = new Map(origins.map((origin) => [origin.id, origin]));
  const order = vi.fn();
  let at = present;
  const state = {
    views: () => [{ byId, snapshot: { region: "weur" } }],
    pool: { session: { idleMs: 1000 } },
    live: { get: () => undefined },
    isOrdered: () => ordered,
    fence: () => 9,
    order: (ref: object, place: { origin: string }, untilMs: number) => {
      order(ref, place, untilMs);
      at = place.origin;
    },
  };
  const find = vi.fn(async (_wish: unknown) => ({
    kind: "routed",
    origin: byId.get(at),
    region: "weur",
    epoch: 1,
    fence: 5,
    reason: "pin",
    passed: [],
  }));
  const answer = await new Orders(state as never, { find } as never, {} as never).redirect({ ...item, from, to });
  return { answer: shown(answer), ordered: order.mock.calls.map(([, place]) => place as object), asked: find.mock.calls[0]?.[0] };
}

const shown = (answer: RedirectAnswer): unknown => (answer.kind === "placed" ? [answer.decision.origin.id, answer.decision.reason] : answer.kind);

test("the origin that has the session may send it on, and what the visitor brings says who has it", async () => {
  const { answer, ordered, asked } = await redirect("a", "b");
  expect([answer, ordered]).toEqual([["b", "replay"], [{ origin: "b", region: "weur", fence: 9 }]]);
  expect(asked).toMatchObject({ claim: item.claim });
});

test("one that has lost it meanwhile changes nothing, and is told where it is", async () => {
  expect(await redirect("a", "b", { present: "c" })).toMatchObject({ answer: ["c", "pin"], ordered: [] });
});

test.each(["draining", "drained", "joining"])("nobody is sent to an origin that is %s", async (lifecycle) => {
  expect(await redirect("a", "b", { lifecycle: { b: lifecycle } })).toMatchObject({ answer: "unavailable", ordered: [] });
});

test("a session that is there already stays there, draining or not: others have only not heard of it", async () => {
  const draining = { b: "draining" };
  expect(await redirect("a", "b", { present: "b", lifecycle: draining })).toMatchObject({ answer: ["b", "replay"], ordered: [] });
  const renewed = await redirect("a", "b", { present: "b", lifecycle: draining, ordered: true });
  expect([renewed.answer, renewed.ordered]).toEqual([["b", "replay"], [{ origin: "b", region: "weur", fence: 5 }]]);
});

test("an origin that the ring does not know is none", async () => {
  expect(await redirect("a", "constructor")).toMatchObject({ answer: "unknown", ordered: [] });
});

describe("an operator's word on a live session", () => {
  /** Says what was ordered, moved and ended. `takes`: the target takes it when it is moved. */
  async function send(to: string | undefined, { keyed = true, takes = true } = {}): Promise<unknown[]> {
    let row = { keyHash: "k", position: 1, lot: 2, keyed, origin: "a", region: "weur", fence: 5 };
    const said: unknown[] = [];
    const state = {
      views: () => [{ byId: new Map(["a", "b"].map((id) => [id, { id }])), snapshot: { region: "weur" } }],
      pool: { session: { idleMs: 1000 } },
      live: { get: () => row },
      fence: (seen: number) => seen + 4,
      order: (_ref: object, place: object) => said.push(["order", place]),
      endOrder: (keyHash: string, fence: number) => said.push(["end", keyHash, fence]),
      reconcilePins: () => undefined,
    };
    const move = async (rows: readonly { keyHash: string }[], order: { to?: string }): Promise<void> => {
      said.push(["move", rows.map(({ keyHash }) => keyHash), order.to]);
      if (takes && order.to !== undefined) row = { ...row, origin: order.to };
    };
    await new Orders(state as never, { moving: new Map() } as never, { move } as never).send("k", to);
    return said;
  }

  test("is on disk before it is moved", async () => {
    expect(await send("b")).toEqual([
      ["order", { origin: "b", region: "weur", fence: 9 }],
      ["move", ["k"], "b"],
    ]);
  });

  test("keeps one that is there already, as it is", async () => {
    expect(await send("a")).toEqual([["order", { origin: "a", region: "weur", fence: 5 }]]);
  });

  test("without an origin ends every order, then moves it", async () => {
    expect(await send(undefined)).toEqual([
      ["end", "k", Infinity],
      ["move", ["k"], undefined],
    ]);
  });

  test("that cannot be carried out is not kept for later", async () => {
    expect((await send("b", { takes: false })).at(-1)).toEqual(["end", "k", Infinity]);
  });

  test("on one that nothing names lasts as long as its connection: nobody could come back to it", async () => {
    expect(await send("b", { keyed: false })).toEqual([["move", ["k"], "b"]]);
  });
});
