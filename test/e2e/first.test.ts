// `home: "first"`: a document lives in the region of its first visitor, for live connections and plain requests alike, whoever comes together.

import { afterAll, beforeAll, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { NEW_YORK, PARIS } from "../support/stack.ts";
import { visit } from "../support/visitor.ts";

let stack: LiveStack;

beforeAll(async () => {
  const regions = { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } };
  stack = await LiveStack.start({ ids: ["weur-0", "weur-1", "enam-0", "enam-1"], regions, route: { home: "first" } });
});
afterAll(() => stack.stop());

const from = (place: object): { "limpet-dev-cf": string } => ({ "limpet-dev-cf": JSON.stringify(place) });

async function regionOf(session: string): Promise<string | undefined> {
  return (await stack.session(session))?.region;
}

test("each team's documents live near the team; who comes later from elsewhere comes to them", async () => {
  for (const [session, home, first, second] of [
    ["paris", "weur", PARIS, NEW_YORK],
    ["york", "enam", NEW_YORK, PARIS],
  ] as const) {
    const visitors = [await visit(stack.url(session), { headers: from(first) }), await visit(stack.url(session), { headers: from(second) })];
    expect([await regionOf(session), (await stack.session(session))?.connections]).toEqual([home, 2]);
    for (const { socket } of visitors) socket.close();
  }
});

test("of two who come in the same moment from two regions one is first, and both are at one origin", async () => {
  const sessions = names("both", 20);
  const visitors = await Promise.all(
    sessions.flatMap((session, n) => {
      const places = n % 2 === 0 ? [PARIS, NEW_YORK] : [NEW_YORK, PARIS];
      return places.map((place) => visit(stack.url(session), { headers: from(place) }));
    }),
  );
  for (const session of sessions) expect((await stack.session(session))?.connections).toBe(2);
  for (const { socket } of visitors) socket.close();
  expect(
    new Set(stack.origins.flatMap(({ legs }) => legs.map(({ session, origin }) => `${session}@${origin}`)).filter((leg) => leg.startsWith("both")))
      .size,
  ).toBe(20);
});
