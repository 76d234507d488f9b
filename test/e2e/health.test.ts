// Health as visitors meet it: real origins that fail while their checks are well, that say of themselves what they can bear, that join and come back.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { connectRaw } from "../support/raw-client.ts";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually, startDev } from "../support/stack.ts";

interface OriginView {
  readonly id: string;
  readonly state: string;
  readonly health: string;
  readonly share: number;
}

/** Answers with its id, or as it is told to. */
class Plain {
  word = "ready";
  answer: (response: ServerResponse, request: IncomingMessage) => void;
  readonly id: string;
  readonly #server = createServer((request, response) => {
    if (request.url === "/healthz") return void response.end(this.word);
    this.answer(response, request);
  });

  constructor(id: string) {
    this.id = id;
    this.answer = this.well;
  }

  readonly well = (response: ServerResponse): void => void response.end(this.id);
  readonly broken = (response: ServerResponse): void => void response.writeHead(500).end("broken");

  async start(port = 0): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const KEYS = Array.from({ length: 60 }, (_, n) => `s${n}`);
const BEARER = { authorization: "Bearer dev" };
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startPlain(ids: readonly string[], pool: object) {
  const origins = new Map(ids.map((id) => [id, new Plain(id)]));
  const urls = new Map<string, string>();
  for (const [id, origin] of origins) {
    urls.set(id, await origin.start());
    stops.push(() => origin.stop());
  }
  const router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      p: {
        health: { intervalMs: 100, timeoutMs: 500, rise: 2, fall: 2 },
        horizonMs: 200,
        origins: ids.map((id) => ({ id, region: "weur", url: urls.get(id) })),
        ...pool,
      },
    },
    routes: [{ path: "/d/:session/*", pool: "p", session: [{ path: "session" }], home: "weur" }],
  });
  stops.push(() => router.stop());
  const get = async (key: string): Promise<string> => {
    const response = await router.fetch(`/d/${key}/x`);
    const text = await response.text();
    return response.status === 200 ? text : String(response.status);
  };
  const all = (): Promise<string[]> => Promise.all(KEYS.map(get));
  const view = async (id: string): Promise<OriginView> => {
    const ring = await router.admin<{ origins: OriginView[] }>("rings/p/weur");
    const found = ring.origins.find((origin) => origin.id === id);
    if (!found) throw new Error(`no origin ${id}`);
    return found;
  };
  const origin = (id: string): Plain => {
    const found = origins.get(id);
    if (!found) throw new Error(`no origin ${id}`);
    return found;
  };
  return { router, get, all, view, origin, urls };
}

describe("an origin that answers errors while its checks are well", () => {
  test("is ejected, tried again, and comes back little by little; nobody else is touched", async () => {
    const pool = { ejection: { baseMs: 1_500 }, holdDownMs: 0, slowStart: { windowMs: 1_500 } };
    const { all, view, origin } = await startPlain(["a", "b", "c"], pool);
    await eventually("all are well", async () => (await all()).every((each) => /^[abc]$/.test(each)));
    const before = await all();
    expect(new Set(before)).toEqual(new Set(["a", "b", "c"]));
    origin("a").answer = origin("a").broken;
    const failedAtMs = Date.now();
    await eventually("it is ejected", async () => {
      await all();
      return (await view("a")).health === "ejected";
    });
    expect(Date.now() - failedAtMs).toBeLessThan(8_000);
    const during = await eventually("Workers know", async () => {
      const answers = await all();
      return !answers.includes("500") && answers;
    });
    expect(during.filter((at, n) => before[n] !== "a" && at !== before[n])).toEqual([]); // only its own keys are elsewhere
    expect([(await view("b")).health, (await view("c")).health]).toEqual(["healthy", "healthy"]);

    origin("a").answer = origin("a").well;
    const shares: number[] = [];
    await eventually("it is full again", async () => {
      const { health, share } = await view("a");
      if (health === "healthy") shares.push(share);
      return health === "healthy" && share === 1;
    });
    expect(shares[0]).toBeLessThan(0.3);
    expect(shares.filter((share) => share > 0 && share < 1).length).toBeGreaterThan(2);
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    await eventually("its keys are its own", async () => JSON.stringify(await all()) === JSON.stringify(before));
  }, 60_000);

  test("is ejected for longer when it is no better", async () => {
    const { all, view, origin, router } = await startPlain(["a", "b", "c"], { ejection: { baseMs: 300 }, holdDownMs: 0, slowStart: { windowMs: 0 } });
    await all();
    origin("a").answer = origin("a").broken;
    const journal = async (): Promise<string[]> =>
      (await router.admin<{ origins: OriginView[] }>("rings/p/weur")).origins.map(({ health }) => health);
    let [seen, was] = [0, "healthy"];
    await eventually(
      "it was ejected three times",
      async () => {
        await all();
        const { health } = await view("a");
        if (health === "ejected" && was !== "ejected") seen++;
        was = health;
        return seen >= 3;
      },
      40_000,
    );
    expect((await journal()).filter((health) => health === "ejected").length).toBeLessThanOrEqual(1);
  }, 60_000);

  test("is kept where nobody else is", async () => {
    const { all, view, origin } = await startPlain(["a"], { ejection: { baseMs: 300 } });
    await all();
    origin("a").answer = origin("a").broken;
    for (let n = 0; n < 4; n++) {
      await all();
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    expect((await view("a")).health).toBe("healthy");
  });
});

test("uploads that visitors break off, however many, eject nobody: which end broke is not known", async () => {
  const { router, view } = await startPlain(["a", "b", "c"], {});
  const upload = async (key: string, framing: string): Promise<void> => {
    const socket = await connectRaw(router.url);
    socket.end(`POST /d/${key}/x HTTP/1.1\r\nhost: ${new URL(router.url).host}\r\n${framing}`);
    stops.push(() => socket.destroy());
  };
  const torn = ["content-length: 1000\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\nno size\r\n"];
  for (const framing of torn) await Promise.all(KEYS.map((key) => upload(key, framing)));
  const TOLD_MS = 1_500; // faults are told after a second
  await delay(TOLD_MS);
  expect(await Promise.all(["a", "b", "c"].map(async (id) => (await view(id)).health))).toEqual(["healthy", "healthy", "healthy"]);
});

test("live sessions leave an ejected origin as by plan: nobody is disconnected, nothing is lost, and nobody is blamed", async () => {
  const pool = { ejection: { baseMs: 60_000 }, faultBudget: { deaths: 1, windowMs: 600_000 } };
  const stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], pool });
  stops.push(() => stack.stop());
  const talkers = await stack.joinAll(names("s", 30));
  const there = stack.origin("o0").open().length;
  expect(there).toBeGreaterThan(3);
  stack.origin("o0").will.refuse = 500; // a bad deploy: who is there is served, newcomers are not
  let n = 0;
  await eventually("it is ejected", async () => {
    await Promise.allSettled(names(`t${n++}-`, 20).map((session) => stack.join(session)));
    return (await stack.ring()).origins.some(({ id, health }) => id === "o0" && health === "ejected");
  });
  await stack.emptied("o0");
  for (const talker of talkers) await talker.ask();
  for (const talker of talkers) await talker.expectWhole();
  const ring = await stack.settled();
  expect([ring.moved, ring.quarantined]).toEqual([{ ejected: expect.any(Number) as number }, []]);
  stack.expectOneOwner();
}, 60_000);

describe("an origin's own word", () => {
  test("maint: no new session, whatever its checks say; ready: again", async () => {
    const { all, view, origin } = await startPlain(["a", "b"], {});
    expect(new Set(await all())).toEqual(new Set(["a", "b"]));
    origin("a").word = "maint";
    await eventually("nobody new goes there", async () => (await all()).every((each) => each === "b"));
    expect(await view("a")).toMatchObject({ health: "healthy", state: "active" });
    origin("a").word = "ready";
    await eventually("it is asked again", async () => new Set(await all()).size === 2);
  });

  test("drain: as an operator orders it; ready takes back only its own", async () => {
    const { view, origin, router } = await startPlain(["a", "b"], { drain: { deadlineMs: 500, graceMs: 100 } });
    await view("a");
    origin("a").word = "drain";
    await eventually("it is drained", async () => (await view("a")).state === "drained");
    origin("a").word = "";
    await eventually("it is back", async () => (await view("a")).state === "active");

    await router.admin("rings/p/weur/origins/b/drain", "POST");
    await new Promise((resolve) => setTimeout(resolve, 600)); // several good checks
    expect((await view("b")).state).toMatch(/^drain/);
    origin("a").word = "drain";
    await eventually("it is draining", async () => (await view("a")).state !== "active");
    await router.admin("rings/p/weur/origins/a/undrain", "POST");
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await view("a")).state).toBe("active"); // the operator has the last word, until it says something else
  });

  test("40 %: so many of its keys, the same ones; down: as a failed check", async () => {
    const { all, view, origin } = await startPlain(["a", "b"], { slowStart: { windowMs: 0 }, holdDownMs: 0 });
    const before = await all();
    origin("a").word = "40%";
    await eventually("its share is told", async () => (await view("a")).share === 0.4);
    const its = before.filter((at) => at === "a").length;
    const during = await eventually("Workers know", async () => {
      const answers = await all();
      const left = answers.filter((at) => at === "a").length;
      return left < its && left > 0 && answers;
    });
    expect(during.filter((at, n) => before[n] === "b" && at !== "b")).toEqual([]);
    origin("a").word = "down";
    await eventually("it is down", async () => (await view("a")).health === "down");
  });
});

describe("who comes to a ring that lives", () => {
  test("takes nothing before its first good check, and then more and more", async () => {
    const { all, view, router, urls } = await startPlain(["a", "b"], { slowStart: { windowMs: 1_500 } });
    const before = await all();
    const c = new Plain("c");
    const url = await c.start();
    stops.push(() => c.stop());
    c.word = "down"; // it is not ready yet
    await router.fetch("/_limpet/v1/rings/p/weur/origins/c", { method: "PUT", headers: BEARER, body: JSON.stringify({ url, weight: 2 }) });
    expect(await view("c")).toMatchObject({ state: "joining", share: 0 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await all()).toEqual(before);
    c.word = "ready";
    const shares: number[] = [];
    await eventually("it has all", async () => {
      const { state, share } = await view("c");
      if (state === "active") shares.push(share);
      return share === 1;
    });
    expect(shares[0]).toBeLessThan(0.3);
    expect(shares.some((share) => share > 0.1 && share < 0.9)).toBe(true);
    expect(shares).toEqual(shares.toSorted((one, other) => one - other));
    await eventually("Workers know", async () => (await all()).filter((at) => at === "c").length > 15);
    expect(urls.size).toBe(2);
  });

  test("a whole fleet that comes back at once is full at once: nobody waits for a ramp", async () => {
    const { all, view, origin } = await startPlain(["a", "b", "c"], { slowStart: { windowMs: 600_000 }, holdDownMs: 600_000 });
    const before = await all();
    for (const id of ["a", "b", "c"]) origin(id).word = "down";
    await eventually("all are down", async () => (await Promise.all(["a", "b", "c"].map(view))).every(({ health }) => health === "down"));
    expect((await all()).every((each) => /^[abc]$/.test(each))).toBe(true); // in panic they are asked all the same
    for (const id of ["a", "b", "c"]) origin(id).word = "";
    await eventually("they are as before", async () => JSON.stringify(await all()) === JSON.stringify(before));
    const shares = (await Promise.all(["a", "b", "c"].map(view))).map(({ share }) => share);
    expect(shares.filter((share) => share === 1).length).toBeGreaterThanOrEqual(2);
  });
});
