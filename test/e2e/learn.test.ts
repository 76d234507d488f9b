// Cookies that an origin issues, as servlet containers do: each origin keeps its sessions in its own memory and knows nothing of the other's.
// Visitors have a cookie jar and stay; the origins never see a tag, and a tag counts only for the very key it was made for.

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { parseDictionary } from "structured-headers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listen, type MortalServer } from "../support/mortal-server.ts";
import { eventually, NEW_YORK, PARIS, startDev, type RingView, type Stack } from "../support/stack.ts";

type Router = Omit<Stack, "fleet">;

const IDS = ["tomcat-1", "tomcat-2"] as const;
type Id = (typeof IDS)[number];

const containers = new Map<Id, MortalServer>();
let router: Router;

beforeAll(async () => {
  for (const id of IDS) containers.set(id, await startContainer(id));
  router = await startDev(config());
});
afterAll(async () => {
  await router.stop();
  for (const container of containers.values()) await container.kill();
});

const SESSION = [
  { cookie: "JSESSIONID", learn: "wrap" },
  { cookie: "PHPSESSID", learn: "wrap" },
];

/** `app` as most have it; `brief` ends its drains soon; `world` has one origin in each of two regions; in `plain` origins issue no keys. */
function config(app: object = {}): object {
  const originsIn = (regions: readonly string[]): object[] =>
    IDS.map((id, n) => ({ id, region: regions[n], url: containers.get(id)?.url, salt: n + 1 }));
  const pool = { health: { intervalMs: 200, rise: 1, fall: 2 }, slowStart: { windowMs: 0 }, holdDownMs: 0, origins: originsIn(["weur", "weur"]) };
  return {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } },
    pools: {
      app: { ...pool, ...app },
      other: pool,
      brief: { ...pool, drain: { deadlineMs: 300 } },
      plain: pool,
      world: { ...pool, origins: originsIn(["weur", "enam"]) },
    },
    routes: [
      ...["app", "other", "brief", "world"].map((id) => ({ path: `/${id}/*`, pool: id, session: SESSION })),
      { path: "/plain/*", pool: "plain" },
    ],
  };
}

/**
 * `…/count` needs a session and begins one where it knows none; `…/look` only looks; `…/set?cookie=…` sets the cookies that it is told to.
 */
async function startContainer(id: Id, port?: number): Promise<MortalServer> {
  const sessions = new Map<string, { count: number }>();
  return listen(
    createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://x");
      if (url.pathname.endsWith("/count")) countIn(sessions, request, response);
      if (url.pathname.endsWith("/set")) response.setHeader("set-cookie", url.searchParams.getAll("cookie"));
      const { cookie, limpet } = request.headers;
      response.end(JSON.stringify({ origin: id, cookie, limpet: String(limpet), count: response.getHeader("x-count") }));
    }),
    port,
  );
}

function countIn(sessions: Map<string, { count: number }>, { headers }: IncomingMessage, response: ServerResponse): void {
  const given = [...(headers.cookie ?? "").matchAll(/JSESSIONID=(\w*)/g)].map(([, value = ""]) => value).find((value) => sessions.has(value));
  const value = given ?? randomBytes(16).toString("hex").toUpperCase();
  const session = sessions.get(value) ?? { count: 0 };
  sessions.set(value, session);
  if (given === undefined) response.setHeader("set-cookie", `JSESSIONID=${value}; Path=/; HttpOnly`);
  response.setHeader("x-count", ++session.count);
}

interface Answer {
  readonly status: number;
  readonly origin: string;
  readonly reason: string;
  /** The `Cookie` field as the origin got it. */
  readonly cookie: string | undefined;
  readonly count: number;
  readonly setCookies: readonly string[];
}

async function ask(path: string, cookie = "", { at = router, from = PARIS }: { at?: Router; from?: object } = {}): Promise<Answer> {
  const response = await at.fetch(path, { from, headers: cookie === "" ? {} : { cookie } });
  const body = (await response.json()) as { origin: string; cookie?: string; limpet: string; count: number };
  expect(JSON.stringify([body.cookie, body.limpet])).not.toContain("~limpet");
  const reason = String(parseDictionary(response.headers.get("limpet") ?? "").get("reason")?.[0]);
  return { ...body, cookie: body.cookie, status: response.status, reason, setCookies: response.headers.getSetCookie() };
}

/** A browser as far as cookies go. */
class Visitor {
  readonly #path: string;
  cookie = "";

  constructor(path = "/app") {
    this.#path = path;
  }

  async count(from: object = PARIS): Promise<Answer> {
    const answer = await ask(`${this.#path}/count`, this.cookie, { from });
    this.cookie = answer.setCookies[0]?.split(";")[0] ?? this.cookie;
    return answer;
  }
}

const fresh = (): string => randomBytes(8).toString("hex");
const setPath = (path: string, ...cookies: readonly string[]): string =>
  `${path}/set?${cookies.map((cookie) => `cookie=${encodeURIComponent(cookie)}`).join("&")}`;

/** A value, and the tag with which `issuer` issued it, for an origin that is not the one where `bearer` places the bare value by its ring. */
async function misplaced(
  issuer = "/app",
  bearer = "/app",
  name = "JSESSIONID",
): Promise<{ value: string; tag: string; holder: string; owner: string }> {
  for (let tries = 0; tries < 64; tries++) {
    const value = fresh();
    const issued = await ask(setPath(issuer, `JSESSIONID=${value}; Path=/`));
    const owner = (await ask(`${bearer}/look`, `${name}=${value}`)).origin;
    const tag = /~limpet\.([^;]+)/.exec(issued.setCookies[0] ?? "")?.[1];
    if (tag !== undefined && issued.origin !== owner) return { value, tag, holder: issued.origin, owner };
  }
  throw new Error("every session began where the ring would have it");
}

/** Every isolate has seen what the ring object says now. */
async function settled(pool: string): Promise<void> {
  await eventually("the newest epoch is in use", async () => {
    const { epoch } = await router.admin<RingView>(`rings/${pool}/weur`);
    const seen = (await router.fetch(`/${pool}/look`, { from: PARIS })).headers.get("limpet") ?? "";
    return Number(parseDictionary(seen).get("epoch")?.[0]) >= epoch;
  });
}

describe("visitors with a cookie jar", () => {
  test("stay where their sessions began, which is at both origins", async () => {
    const visitors = Array.from({ length: 20 }, () => new Visitor());
    const firsts = await Promise.all(visitors.map((visitor) => visitor.count()));
    expect(new Set(firsts.map(({ origin }) => origin))).toEqual(new Set(IDS));
    for (let n = 2; n <= 5; n++) {
      const nexts = await Promise.all(visitors.map((visitor) => visitor.count()));
      expect(nexts.map(({ origin, count, reason }) => ({ origin, count, reason }))).toEqual(
        firsts.map(({ origin }) => ({ origin, count: n, reason: "claim" })),
      );
    }
  });

  test("keep their home when they travel", async () => {
    const [parisian, newYorker] = [new Visitor("/world"), new Visitor("/world")];
    expect([(await parisian.count(PARIS)).origin, (await newYorker.count(NEW_YORK)).origin]).toEqual(IDS);
    const travelled = [await parisian.count(NEW_YORK), await newYorker.count(PARIS)];
    expect(travelled.map(({ origin, count }) => [origin, count])).toEqual([
      ["tomcat-1", 2],
      ["tomcat-2", 2],
    ]);
    const again = await ask(setPath("/world", `${parisian.cookie.replace(/~.*/, "")}; Path=/`), parisian.cookie, { from: NEW_YORK });
    expect(again.setCookies[0]).toBe(`${parisian.cookie}; Path=/`); // the tag still names Paris's region
  });

  test("hold a tag that says nothing in clear", async () => {
    const visitor = new Visitor();
    const { origin } = await visitor.count();
    const [, bare = "", sealed = ""] = /^JSESSIONID=(\w+)~limpet\.([\w.-]+)$/.exec(visitor.cookie) ?? [];
    expect(bare).toMatch(/^[0-9A-F]{32}$/);
    const clear = sealed.split(".").map((part) => Buffer.from(part, "base64url").toString("latin1"));
    expect([clear.length, (clear[1] ?? "").length > 80]).toEqual([2, true]);
    for (const secret of [origin, "tomcat", bare, "weur", '"app"']) expect(clear.join("\n")).not.toContain(secret);
  });
});

describe("what the origin gets", () => {
  test.each([
    ["among others", "theme=dark; JSESSIONID=KEY; a=b=c", "theme=dark; JSESSIONID=VALUE; a=b=c"],
    ["quoted", 'JSESSIONID="KEY"; x="1"', 'JSESSIONID="VALUE"; x="1"'],
    ["twice, of two paths", "JSESSIONID=KEY; JSESSIONID=other~limpet.1.abc; t=1", "JSESSIONID=VALUE; JSESSIONID=other; t=1"],
    ["under another name", "PHPSESSID=KEY; JSESSIONID=KEY", "PHPSESSID=VALUE; JSESSIONID=VALUE"],
  ])("is the cookie as it was set: %s", async (_, brought, expected) => {
    const { value, tag } = await misplaced();
    const { cookie } = await ask("/app/look", brought.replaceAll("KEY", `${value}~limpet.${tag}`));
    expect(cookie).toBe(expected.replaceAll("VALUE", value));
  });

  test("of two cookies with one name, each from a path of its own, the first says where", async () => {
    const [first, second] = [await misplaced(), await misplaced()];
    const pair = ({ value, tag }: typeof first): string => `JSESSIONID=${value}~limpet.${tag}`;
    expect(await ask("/app/look", `${pair(first)}; ${pair(second)}`)).toMatchObject({ origin: first.holder, reason: "claim" });
    expect(await ask("/app/look", `${pair(second)}; ${pair(first)}`)).toMatchObject({ origin: second.holder, reason: "claim" });
  });
});

describe("what the origin sets", () => {
  const TAGGED = /^~limpet\.1\.[\w-]{80,}$/;

  test("several cookies in one answer stay as they are and in their order, but for the session's", async () => {
    const cookies = ["a=1; Path=/a", "JSESSIONID=abc; Path=/; HttpOnly", "b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT", 'PHPSESSID="x y"; Secure'];
    const { setCookies } = await ask(setPath("/app", ...cookies));
    expect(setCookies.map((cookie) => cookie.replace(/~limpet\.[\w.-]+/, ""))).toEqual(cookies);
    expect(setCookies.map((cookie) => TAGGED.test(/~limpet\.[\w.-]+/.exec(cookie)?.[0] ?? ""))).toEqual([false, true, false, true]);
    expect(setCookies[3]).toMatch(/^PHPSESSID="x y~limpet\.[\w.-]+"; Secure$/); // the tag is inside the quotes
  });

  test.each([
    ["an empty value", "JSESSIONID=; Path=/"],
    ["an empty value in quotes", 'JSESSIONID=""; Path=/'],
    ["Max-Age=0", "JSESSIONID=abc; Max-Age=0; Path=/"],
    ["a negative Max-Age", "JSESSIONID=abc; Path=/; max-age=-1"],
    ["Expires at the beginning of time", "JSESSIONID=deleted; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"],
    ["Expires in Netscape's form", "JSESSIONID=deleted; expires=Thu, 01-Jan-1970 00:00:10 GMT"],
    ["Expires a year ago", `JSESSIONID=abc; Expires=${new Date(Date.now() - 365 * 86_400_000).toUTCString()}; Path=/`],
    ["another name that only ends so", "XJSESSIONID=abc; Path=/"],
    ["the name in another case, which is another cookie", "jsessionid=abc; Path=/"],
  ])("a cookie with %s passes untouched", async (_, cookie) => {
    expect((await ask(setPath("/app", cookie))).setCookies).toEqual([cookie]);
  });

  test("a lifetime that is not over does not keep the tag away", async () => {
    const cookies = [
      "JSESSIONID=abc; Max-Age=100; Path=/",
      `JSESSIONID=abc; Expires=${new Date(Date.now() + 86_400_000).toUTCString()}`,
      "JSESSIONID=abc; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT", // Max-Age has precedence (RFC 6265 §5.3)
    ];
    for (const cookie of cookies) expect((await ask(setPath("/app", cookie))).setCookies[0]).toContain("=abc~limpet.1.");
  });

  test("a session that is set again keeps the very tag it has; one that is new gets its own", async () => {
    const { value, tag, holder } = await misplaced();
    const brought = `JSESSIONID=${value}~limpet.${tag}`;
    const again = await ask(setPath("/app", `JSESSIONID=${value}; Path=/`), brought);
    expect([again.origin, again.setCookies[0]]).toEqual([holder, `${brought}; Path=/`]);
    const another = await ask(setPath("/app", "JSESSIONID=another; Path=/"), brought);
    expect(another.setCookies[0]).not.toContain(tag);
    const next = another.setCookies[0]?.split(";")[0];
    expect(await ask("/app/look", next)).toMatchObject({ origin: holder, reason: "claim", cookie: "JSESSIONID=another" });
  });
});

describe("a tag that does not count", () => {
  test("beside another value: the ring decides, and nobody reaches a session through somebody else's tag", async () => {
    const mine = await misplaced();
    for (let n = 0; n < 8; n++) {
      const value = fresh();
      const bare = await ask("/app/look", `JSESSIONID=${value}`);
      const tagged = await ask("/app/look", `JSESSIONID=${value}~limpet.${mine.tag}`);
      expect(tagged).toMatchObject({ origin: bare.origin, reason: "owner", cookie: `JSESSIONID=${value}` });
    }
    expect(await ask("/app/look", `JSESSIONID=${mine.value}~limpet.${mine.tag}`)).toMatchObject({ origin: mine.holder, reason: "claim" });
  });

  test("cut off anywhere, or garbage: the ring decides, and the origin gets the bare value", async () => {
    const { value, tag, owner } = await misplaced();
    const cuts = Array.from({ length: 24 }, (_, n) => tag.slice(0, Math.floor((n * tag.length) / 24)));
    const flipped = `${tag.slice(0, -8)}${tag.slice(-8) === "AAAAAAAA" ? "BBBBBBBB" : "AAAAAAAA"}`;
    const garbage = ["garbage", "1.", "....", "-", `2${tag.slice(1)}`, flipped, `${tag}.x`, "x".repeat(5000), `${tag}~limpet.`, `${tag}~limpet.x`];
    for (const sealed of [...cuts, ...garbage]) {
      const answer = await ask("/app/look", `JSESSIONID=${value}~limpet.${sealed}`);
      expect([sealed, answer.status, answer.origin, answer.reason, answer.cookie]).toEqual([sealed, 200, owner, "owner", `JSESSIONID=${value}`]);
    }
  });

  test.each([
    ["of another pool", "/other", "JSESSIONID"],
    ["under another cookie's name", "/app", "PHPSESSID"],
  ])("%s", async (_, issuer, name) => {
    const { value, tag, owner } = await misplaced(issuer, "/app", name);
    const answer = await ask("/app/look", `${name}=${value}~limpet.${tag}`);
    expect(answer).toMatchObject({ status: 200, origin: owner, reason: "owner", cookie: `${name}=${value}` });
  });
});

test("a visitor who brings a session from before Limpet is served by one origin, and tagged as soon as it is set again", async () => {
  const values = Array.from({ length: 16 }, fresh);
  const owners = await Promise.all(values.map(async (value) => (await ask("/app/look", `JSESSIONID=${value}`)).origin));
  expect(new Set(owners)).toEqual(new Set(IDS));
  for (const [n, value] of values.entries()) {
    const again = await ask(setPath("/app", `JSESSIONID=${value}; Path=/`), `JSESSIONID=${value}`);
    expect([again.origin, again.reason]).toEqual([owners[n], "owner"]);
    const tagged = await ask("/app/look", again.setCookies[0]?.split(";")[0]);
    expect([tagged.origin, tagged.reason]).toEqual([owners[n], "claim"]);
  }
});

test("a value that is longer than a key may be passes, and comes back as it was set", async () => {
  const value = "x".repeat(300);
  const { setCookies } = await ask(setPath("/app", `JSESSIONID=${value}; Path=/`));
  expect(await ask("/app/look", setCookies[0]?.split(";")[0])).toMatchObject({ status: 200, cookie: `JSESSIONID=${value}` });
});

describe("when an origin goes", () => {
  test("by a crash, the next one answers, its new session is tagged for it, and stays there when the first is back", async () => {
    const visitor = new Visitor();
    const before = await visitor.count();
    const dead = IDS.find((id) => id === before.origin) ?? "tomcat-1";
    await containers.get(dead)?.kill();
    try {
      const after = await visitor.count();
      expect([after.status, after.count, after.origin === dead]).toEqual([200, 1, false]);
      expect(await visitor.count()).toMatchObject({ origin: after.origin, count: 2, reason: "claim" });
      containers.set(dead, await startContainer(dead, containers.get(dead)?.port));
      await eventually("it is well again", async () => (await originIn("app", dead))?.health === "healthy");
      await settled("app");
      expect(await visitor.count()).toMatchObject({ origin: after.origin, count: 3, reason: "claim" });
    } finally {
      if (!(await isUp(dead))) containers.set(dead, await startContainer(dead, containers.get(dead)?.port));
      await eventually("all are well again", async () => (await originIn("app", dead))?.health === "healthy");
    }
  });

  test("by a drain, its sessions stay as long as that lasts, and new ones begin elsewhere", async () => {
    const { visitor, origin } = await someone("/app");
    for (const pool of ["app", "plain"]) await router.admin(`rings/${pool}/weur/origins/${origin}/drain`, "POST");
    try {
      await eventually("a drain without such sessions is through", async () => (await originIn("plain", origin))?.state === "drained");
      await settled("app");
      const newcomers = await Promise.all(Array.from({ length: 12 }, () => new Visitor().count()));
      expect(newcomers.filter((each) => each.origin === origin)).toEqual([]);
      for (let n = 2; n <= 10; n++) expect(await visitor.count()).toMatchObject({ origin, count: n, reason: "claim" });
      expect((await originIn("app", origin))?.state).toBe("draining");
    } finally {
      await router.admin(`rings/app/weur/origins/${origin}/undrain`, "POST");
      await settled("app");
    }
  });

  test("by a drain whose deadline has passed, they begin anew elsewhere", async () => {
    const { visitor, origin } = await someone("/brief");
    await router.admin(`rings/brief/weur/origins/${origin}/drain`, "POST");
    const moved = await eventually("the session is over", async () => {
      const answer = await visitor.count();
      return answer.origin !== origin && answer;
    });
    expect([moved.status, moved.count]).toEqual([200, 1]);
    expect(await visitor.count()).toMatchObject({ origin: moved.origin, count: 2, reason: "claim" });
    await eventually("its process may end", async () => (await originIn("brief", origin))?.state === "drained");
  });

  async function someone(path: string): Promise<{ visitor: Visitor; origin: string }> {
    const visitor = new Visitor(path);
    return { visitor, origin: (await visitor.count()).origin };
  }

  async function originIn(pool: string, id: string): Promise<RingView["origins"][number] | undefined> {
    return (await router.admin<RingView>(`rings/${pool}/weur`)).origins.find((each) => each.id === id);
  }

  async function isUp(id: Id): Promise<boolean> {
    return fetch(containers.get(id)?.url ?? "").then(
      () => true,
      () => false,
    );
  }
});

test("with affinity off nothing is wrapped; a tag is still taken off, and whoever has one keeps their place", async () => {
  const { value, tag, holder } = await misplaced();
  const off = await startDev(config({ affinity: "off" }));
  try {
    expect((await ask(setPath("/app", "JSESSIONID=abc; Path=/"), "", { at: off })).setCookies).toEqual(["JSESSIONID=abc; Path=/"]);
    expect(await ask("/app/look", "JSESSIONID=abc~limpet.1.x", { at: off })).toMatchObject({ status: 200, cookie: "JSESSIONID=abc" });
    const kept = await Promise.all(Array.from({ length: 12 }, () => ask("/app/look", `JSESSIONID=${value}~limpet.${tag}`, { at: off })));
    expect(new Set(kept.map(({ origin, cookie }) => `${origin} ${cookie}`))).toEqual(new Set([`${holder} JSESSIONID=${value}`]));
  } finally {
    await off.stop();
  }
});
