// Affinity for a share of the keys, and affinity that is switched off: whoever has a place keeps it until it ends.

import { parseDictionary } from "structured-headers";
import { afterEach, expect, test } from "vitest";
import { hasAffinity } from "../../src/core/decide.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";

let origins: EchoOrigin[] = [];
let router: Omit<Stack, "fleet">;

afterEach(async () => {
  await router.stop();
  await Promise.all(origins.splice(0).map((origin) => origin.stop()));
});

async function start(pool: object): Promise<void> {
  if (origins.length === 0) origins = await Promise.all(Array.from({ length: 4 }, () => startEchoOrigin()));
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      echo: { ...pool, health: { intervalMs: 200, rise: 1, fall: 2 }, origins: origins.map(({ url }, n) => ({ id: `o${n}`, region: "weur", url })) },
    },
    routes: [
      { path: "/doc/:session", pool: "echo", session: [{ path: "session" }], home: "session" },
      { path: "/mine/*", pool: "echo", session: [{ issue: true }], home: "visitor" },
      { path: "/both/:session", pool: "echo", session: [{ path: "session" }, { issue: true }], home: "session" },
    ],
  });
}

interface Answer {
  readonly origin: string;
  readonly reason: string;
  readonly setCookie: string | null;
}

async function ask(path: string, cookie = ""): Promise<Answer> {
  const response = await router.fetch(path, { headers: cookie === "" ? {} : { cookie } });
  const field = parseDictionary(response.headers.get("limpet") ?? "");
  return { origin: String(field.get("origin")?.[0]), reason: String(field.get("reason")?.[0]), setCookie: response.headers.get("set-cookie") };
}
const pair = (setCookie: string | null): string => setCookie?.split(";")[0] ?? "";
const distinct = (answers: readonly Answer[]): number => new Set(answers.map(({ origin }) => origin)).size;
const times = (count: number, path: string, cookie?: string): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, () => ask(path, cookie)));

test("a rollout gives affinity to its share of the keys, the same ones every time, and spreads the others", async () => {
  await start({ rollout: 0.5 });
  const keys = Array.from({ length: 16 }, (_, n) => `doc-${n}`);
  const bound = keys.filter((key) => hasAffinity({ affinity: "on", rollout: 0.5 }, keyPoint(key).lot));
  expect(bound.length).toBeGreaterThan(2);
  expect(bound.length).toBeLessThan(14);
  for (const key of keys) {
    const answers = await times(12, `/doc/${key}`);
    if (bound.includes(key)) expect([distinct(answers), answers[0]?.reason]).toEqual([1, "owner"]);
    else expect([distinct(answers) > 1, answers[0]?.reason]).toEqual([true, "balance"]);
  }
});

test("a visitor whose issued key has no affinity keeps that key, so that nobody draws until they have it", async () => {
  await start({ rollout: 0.3 });
  const firsts = await times(40, "/mine/x");
  const cookies = firsts.map(({ setCookie }) => pair(setCookie));
  expect(cookies.every((cookie) => cookie.startsWith("limpet-echo="))).toBe(true);
  const later = await Promise.all(cookies.map((cookie) => times(8, "/mine/x", cookie)));
  const kept = later.filter((answers) => distinct(answers) === 1 && answers[0]?.reason === "claim").length;
  const spread = later.filter((answers) => answers.every(({ reason }) => reason === "balance")).length;
  expect(kept + spread).toBe(40);
  expect(kept).toBeGreaterThan(3); // 12 ± 3 standard deviations of 2.9
  expect(kept).toBeLessThan(21);
});

test("a visitor's place survives the other routes of its pool, and no cookie is written for nothing", async () => {
  await start({});
  const visitor = await ask("/mine/x");
  await router.stop();
  await start({ rollout: 0 });
  const cookie = pair(visitor.setCookie);
  for (const path of ["/mine/x", "/both/doc", "/mine/x", "/both/doc", "/mine/x"]) {
    const answer = await ask(path, cookie);
    expect(answer.setCookie).toBeNull();
    if (path === "/mine/x") expect([answer.origin, answer.reason]).toEqual([visitor.origin, "claim"]);
  }
});

test("when affinity is switched off, those who have a place keep it while it lives, and nobody gets a new one", async () => {
  await start({});
  const visitors = await times(12, "/mine/x");
  await router.stop();
  await start({ affinity: "off" });
  for (const { origin, setCookie } of visitors) {
    const answers = await times(3, "/mine/x", pair(setCookie));
    expect(answers.map((each) => [each.origin, each.reason])).toEqual(Array.from({ length: 3 }, () => [origin, "claim"]));
  }
  // Another route of the pool says nothing of that place, and takes nothing away.
  const elsewhere = await ask("/both/doc", pair(visitors[0]?.setCookie ?? null));
  expect(elsewhere.setCookie).toBeNull();

  const strangers = await times(20, "/mine/x");
  expect([distinct(strangers) > 1, strangers.every(({ setCookie, reason }) => setCookie === null && reason === "balance")]).toEqual([true, true]);
  expect(distinct(await times(12, "/doc/shared"))).toBeGreaterThan(1);

  // Their place ends: they are spread like everybody else, and their cookie is taken away.
  const lost = visitors[0];
  const index = Number(lost?.origin.slice(1));
  await origins[index]?.stop();
  await eventually("its origin is down", async () => {
    const { origins: known } = await router.admin<RingView>("rings/echo/weur");
    return known[index]?.health === "down";
  });
  const after = await eventually("the Worker knows", async () => {
    const answer = await ask("/mine/x", pair(lost?.setCookie ?? null));
    return answer.reason === "balance" && answer;
  });
  expect(after.origin).not.toBe(lost?.origin);
  expect(after.setCookie).toMatch(/^limpet-echo=; .*Max-Age=0/);
});
