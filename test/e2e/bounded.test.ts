// Bounded load, on live sessions: nobody holds more than its part, in a crowd that comes at once and after a drain.

import { afterEach, expect, test } from "vitest";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { eventually, startDev, type RingView } from "../support/stack.ts";
import { visit, type Visitor } from "../support/visitor.ts";

let origins: EchoOrigin[] = [];
let visitors: Visitor[] = [];
let router: Awaited<ReturnType<typeof startDev>>;

afterEach(async () => {
  for (const { socket } of visitors.splice(0)) socket.terminate();
  await router.stop();
  await Promise.all(origins.splice(0).map((origin) => origin.stop()));
});

test("sixty sessions at once, on a ring that is uneven by itself, and then a drain: the bound holds", async () => {
  const [FACTOR, SESSIONS] = [1.1, 60];
  origins = await Promise.all(Array.from({ length: 4 }, () => startEchoOrigin()));
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      echo: {
        balance: "bounded-ring",
        boundFactor: FACTOR,
        virtualNodes: 4,
        origins: origins.map(({ url }, index) => ({ id: `o${index}`, region: "weur", url })),
      },
    },
    routes: [
      {
        path: "/echo/:session",
        pool: "echo",
        session: [{ path: "session" }],
        home: "weur",
        resume: { mode: "transparent", prelude: { frames: 0, swallow: 0 } },
      },
    ],
  });
  visitors = await Promise.all(Array.from({ length: SESSIONS }, (_, n) => visit(`${router.wsUrl}/echo/s${n}`)));
  const loads = async (): Promise<number[]> => (await router.admin<RingView>("rings/echo/weur")).origins.map(({ sessions }) => sessions);
  const before = await loads();
  expect(before.reduce((sum, load) => sum + load)).toBe(SESSIONS);
  expect(Math.max(...before)).toBeLessThanOrEqual(Math.ceil((FACTOR * SESSIONS) / 4));
  await router.admin("rings/echo/weur/origins/o0/drain", "POST");
  const after = await eventually("the drained origin is empty", async () => {
    const now = await loads();
    return now[0] === 0 && now;
  });
  expect(after.reduce((sum, load) => sum + load)).toBe(SESSIONS);
  expect(Math.max(...after)).toBeLessThanOrEqual(Math.ceil((FACTOR * (SESSIONS + 1)) / 3));
  expect(visitors.every((visitor) => visitor.isOpen())).toBe(true);
});
