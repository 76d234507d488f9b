// Orders of origins, with a ring of stand-ins: what is compared, in which order, before anything is remembered.

import { expect, test, vi } from "vitest";
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
