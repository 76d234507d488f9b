// What holds however a live connection is carried: one table of promises, run for WebSockets and event streams, relayed and spliced. Where a
// way of carrying keeps one in another way, that is declared beside it with its reason, and what holds instead is tested.

import { createHash } from "node:crypto";
import { parseDictionary } from "structured-headers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../../src/platform/limits.ts";
import { rawRequest } from "../support/raw-client.ts";
import { clientOf, eventually, type RingView } from "../support/stack.ts";
import { come, refusal, Refused, TwoWayOrigin, type Guest, type Transport, type Visit, type Wanted } from "../support/two-way-origin.ts";

type Carry = "relay" | "splice";
const KINDS = ["websocket relay", "websocket splice", "sse relay", "sse splice"] as const;
type Kind = (typeof KINDS)[number];

/** One way of carrying, as a promise is tried on it. */
class Way {
  readonly transport: Transport;
  readonly carry: Carry;

  constructor(kind: Kind) {
    const [transport, carry] = kind.split(" ");
    this.transport = transport as Transport;
    this.carry = carry as Carry;
  }

  /** A path of one of the route's kinds (`plain` and others: see the configuration). */
  path(session: string, route = "plain"): string {
    return `/${this.carry}/${route}/${session}`;
  }

  async come(path: string, wanted?: Wanted): Promise<Visit> {
    const visit = await come(this.transport, router.url + path, wanted);
    visits.push(visit);
    return visit;
  }

  refusal(path: string, wanted?: Wanted): Promise<Refused> {
    return refusal(this.transport, router.url + path, wanted);
  }

  /** A visitor of a session of its own, its origin, and the origin's end. */
  async pair(wanted?: Wanted): Promise<{ visit: Visit; guest: Guest; owner: TwoWayOrigin; session: string }> {
    const session = newSession();
    const visit = await this.come(this.path(session), wanted);
    const owner = origin(await visit.owner());
    return { visit, guest: guestAt(owner, this.path(session)), owner, session };
  }
}

interface Promised {
  readonly promise: string;
  /** Where it is about one of them only. */
  readonly of?: Transport;
  readonly keeps: (way: Way) => Promise<void>;
  readonly except?: Partial<Record<Kind | Carry, Exception>>;
}

interface Exception {
  readonly because: string;
  readonly instead: (way: Way) => Promise<void>;
}

let origins: TwoWayOrigin[];
let router: Router;
let client: ReturnType<typeof clientOf>;
let records: { limpet: string; kind?: string; layer?: string; attempts?: number; status?: number; origin?: string; fault?: string }[];
const visits: Visit[] = [];
let lastSession = 0;

beforeAll(async () => {
  records = [];
  origins = ["a", "b"].map((id) => new TwoWayOrigin(id));
  await Promise.all(origins.map((each) => each.start()));
  const routesOf = (carry: Carry): object[] => {
    const route = { pool: "p", home: "weur", session: [{ path: "session" }], carry };
    const bears = carry === "relay" ? { resume: { mode: "transparent", prelude: { frames: 0, swallow: 0 } } } : {};
    return [
      { ...route, ...bears, path: `/${carry}/plain/:session` },
      { ...route, path: `/${carry}/ours/:session`, allowedOrigins: ["https://app.example.com"] },
      { ...route, path: `/${carry}/named/*`, session: [{ subprotocol: "limpet." }] },
      { ...route, path: `/${carry}/mine/*`, session: [{ issue: true }], home: "visitor" },
      { ...route, path: `/${carry}/alone/*`, session: [] },
      { ...route, path: `/${carry}/required/*`, session: [{ header: "x-session-id" }], required: true },
      { ...route, carry: "relay", path: `/handed/${carry}/:session`, resume: { mode: "handover", handover: { path: `/${carry}/plain/hook` } } },
    ];
  };
  router = await startRouter({
    raw: {
      configRevision: 1,
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: {
        p: {
          health: { intervalMs: 200, timeoutMs: 400, rise: 1, fall: 2 },
          closeDeadlineMs: 500,
          horizonMs: 400,
          holdDownMs: 500,
          slowStart: { windowMs: 0 },
          headers: { "x-edge": "limpet" },
          origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
        },
      },
      routes: [...routesOf("relay"), ...routesOf("splice")],
      record: { sampleShare: 1 },
    },
    port: 0,
    pagesDir: new URL("../support", import.meta.url).pathname,
    devInfo: {},
    onLog: (line) => {
      if (process.env["LIMPET_TEST_LOG"]) process.stderr.write(`${line}\n`);
      if (line.startsWith("{")) records.push(JSON.parse(line) as (typeof records)[number]);
    },
  });
  client = clientOf(router.url);
});

afterEach(async () => {
  for (const visit of visits.splice(0)) visit.leave();
  for (const each of origins) {
    each.answer = () => undefined;
    each.headers = [];
    await client.admin(`rings/p/weur/origins/${each.id}/undrain`, "POST");
  }
  // Whoever was drained gets its share a horizon later.
  await eventually("all have their share", async () => {
    const ring = await client.admin<{ origins: readonly { share: number }[] }>("rings/p/weur");
    return ring.origins.every(({ share }) => share === 1);
  });
});

afterAll(async () => {
  await router?.stop();
  await Promise.all(origins.map((each) => each.kill()));
});

const newSession = (): string => `s${++lastSession}`;

function origin(id: string): TwoWayOrigin {
  const found = origins.find((each) => each.id === id);
  if (!found) throw new Error(`no origin ${id}`);
  return found;
}

/** The latest connection of a path; of others' there may be later ones: relayed streams whose visitors are not missed yet are dialled anew. */
function guestAt({ guests }: TwoWayOrigin, path: string): Guest {
  const found = guests.findLast(({ request }) => request.url === path);
  if (!found) throw new Error(`the origin that said hello has no guest at ${path}`);
  return found;
}

function otherThan(id: string): TwoWayOrigin {
  return origin(id === "a" ? "b" : "a");
}

async function wellAgain(): Promise<void> {
  await eventually("all are healthy", async () => {
    const ring = await client.admin<RingView>("rings/p/weur");
    return ring.origins.every(({ health }) => health === "healthy");
  });
}

const heard = (listener: { readonly heard: readonly string[] }, ...texts: readonly string[]): Promise<unknown> =>
  eventually(`${texts.join(", ").slice(0, 100)} is heard`, () => texts.every((text) => listener.heard.includes(text)));
const sessionOf = (key: string): ReturnType<typeof client.session> => client.session(key, "p");

/** Kills an origin for as long as the work takes. */
async function without(dead: readonly TwoWayOrigin[], work: () => Promise<void>): Promise<void> {
  await Promise.all(dead.map((each) => each.kill()));
  try {
    await work();
  } finally {
    await Promise.all(dead.map((each) => each.start()));
    await wellAgain();
  }
}

const handshakes: readonly Promised[] = [
  {
    promise: "path, query and the visitor's own headers reach the origin, and what the configuration adds",
    keeps: async (way) => {
      const path = `${way.path(newSession())}?q=%20a&b`;
      const visit = await way.come(path, { headers: { cookie: "a=b", authorization: "Bearer t" } });
      const { url, headers } = guestAt(origin(await visit.owner()), path).request;
      expect([url, headers.cookie, headers["authorization"]]).toEqual([path, "a=b", "Bearer t"]);
      expect([headers.via, headers["x-edge"]]).toEqual(["1.1 limpet", "limpet"]);
    },
  },
  {
    promise: "neither a visitor's Limpet header nor Limpet's cookie gets through",
    keeps: async (way) => {
      const { guest } = await way.pair({ headers: { limpet: 'session="root", fence=1', "limpet-live": "x", cookie: "limpet-p=forged; a=b" } });
      const { headers } = guest.request;
      expect(Object.keys(headers).filter((name) => name.startsWith("limpet"))).toEqual(["limpet"]);
      expect([String(guest.told.get("session")).startsWith("s"), guest.told.get("fence") === 1, headers.cookie]).toEqual([true, false, "a=b"]);
    },
  },
  {
    promise: "the origin is told session, origin, region, reason, epoch and fence",
    keeps: async (way) => {
      const { guest, owner, session } = await way.pair();
      const told = Object.fromEntries(guest.told);
      expect(told).toMatchObject({ session, origin: owner.id, region: "weur", epoch: expect.any(Number), fence: expect.any(Number) });
      expect(String(told["reason"])).toBe("owner");
    },
    except: {
      splice: {
        because: "nobody keeps the placement of a spliced session: like a plain request it has a fence where a pin or claim gives it one",
        instead: async (way) => {
          const { guest, owner, session } = await way.pair();
          const told = Object.fromEntries(guest.told);
          expect(told).toMatchObject({ session, origin: owner.id, region: "weur", epoch: expect.any(Number) });
          expect([String(told["reason"]), "fence" in told]).toEqual(["owner", false]);
        },
      },
    },
  },
  {
    promise: "the visitor is told who serves, where that is exposed; nothing else of ours, and what an origin says to us stays with us",
    keeps: async (way) => {
      for (const each of origins) each.headers = ["x-own: yes", "limpet-secret: 1", "set-cookie: a=1", "set-cookie: limpet-p=forged"];
      const { visit, owner } = await way.pair();
      const { limpet = "", ...others } = visit.headers as Record<string, string>;
      expect(parseDictionary(limpet).get("origin")?.[0]).toBe(owner.id);
      expect([others["x-own"], others["set-cookie"], others["limpet-secret"]]).toEqual(["yes", ["a=1"], undefined]);
    },
  },
  {
    promise: "a refusal comes back as it is, with headers and body",
    keeps: async (way) => {
      for (const each of origins) each.answer = () => ({ status: 401, headers: { "www-authenticate": "Bearer", "x-why": "tired" }, body: "no!" });
      const { status, headers, body } = await way.refusal(way.path(newSession()));
      expect([status, headers["www-authenticate"], headers["x-why"], body]).toEqual([401, "Bearer", "tired", "no!"]);
    },
  },
  {
    promise: "a page of another web origin is refused where the route allows only its own",
    keeps: async (way) => {
      const path = way.path(newSession(), "ours");
      expect((await way.refusal(path, { headers: { origin: "https://evil.example.com" } })).status).toBe(403);
      await way.come(path, { headers: { origin: "https://app.example.com" } });
    },
  },
  {
    promise: "who must name a session and does not is refused with 401, and a path that names none that is valid with 400",
    keeps: async (way) => {
      expect((await way.refusal(way.path("x", "required"))).status).toBe(401);
      expect((await way.refusal(way.path("%ff"))).status).toBe(400);
      await way.come(way.path("x", "required"), { headers: { "x-session-id": newSession() } });
    },
  },
  {
    promise: "a hand-over hook is nothing for visitors",
    keeps: async (way) => {
      for (const path of ["/relay/plain/hook", "/splice/plain/hook", `/${way.carry}/plain/h%6fok`])
        expect((await way.refusal(path)).status).toBe(404);
    },
  },
  {
    promise: "a handshake that breaks the protocol troubles no origin",
    of: "websocket",
    keeps: async (way) => {
      const head = `GET ${way.path(newSession())} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade, close\r\n`;
      const before = origins.reduce((sum, { seen }) => sum + seen.length, 0);
      expect((await rawRequest(router.url, `${head}sec-websocket-version: 12\r\nsec-websocket-key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n`)).status).toBe(
        400,
      );
      expect(origins.reduce((sum, { seen }) => sum + seen.length, 0)).toBe(before);
    },
  },
  {
    promise: "the origin chooses the subprotocol; an entry that names the session is not offered to it, and is taken where it takes none",
    of: "websocket",
    keeps: async (way) => {
      const { visit } = await way.pair({ protocols: ["v1", "v2"] });
      expect(visit.protocol).toBe("v2");
      const named = await way.come(way.path("x", "named"), { protocols: ["limpet.k1", "v1"] });
      const { request, told } = guestAt(origin(await named.owner()), way.path("x", "named"));
      expect([named.protocol, request.headers["sec-websocket-protocol"], String(told.get("session"))]).toEqual(["v1", "v1", "k1"]);
      const alone = await way.come(way.path("x", "named"), { protocols: ["limpet.k1"] });
      const guest = guestAt(origin(await alone.owner()), way.path("x", "named"));
      expect([alone.protocol, guest.request.headers["sec-websocket-protocol"]]).toEqual(["limpet.k1", undefined]);
    },
  },
  {
    promise: "a handshake that is reset is tried again, and the visitor notices nothing",
    keeps: async (way) => {
      let resets = 0;
      for (const each of origins) each.answer = () => (resets++ === 0 ? "reset" : undefined);
      const { owner, session } = await way.pair();
      expect(owner.seen.filter(({ url }) => url?.endsWith(`/${session}`)).length).toBe(2);
    },
  },
  {
    promise: "where nobody is left to take a session, the answer is 503 with a time to come back",
    keeps: async (way) => {
      await without(origins, async () => {
        const { status, headers } = await way.refusal(way.path(newSession()));
        expect([status, Number(headers["retry-after"]) > 0]).toEqual([503, true]);
      });
    },
  },
  {
    promise: "a handshake that hangs is ended in time, with 503, and nothing of its deadline cuts what is established",
    keeps: (way) => hangs(way, 503),
    except: {
      splice: {
        because: "a spliced handshake is carried as a plain request is, which says 504 for an origin that was asked and did not answer",
        instead: (way) => hangs(way, 504),
      },
    },
  },
  {
    promise: "an origin's answer that sends the session to another origin is followed, and remembered",
    keeps: async (way) => {
      const session = newSession();
      const path = way.path(session);
      const owner = await (await way.come(path)).owner();
      origin(owner).answer = () => ({ status: 409, headers: { limpet: `replay="${otherThan(owner).id}"` } });
      expect(await (await way.come(path)).owner()).toBe(otherThan(owner).id);
      origin(owner).answer = () => undefined;
      const again = await way.come(path);
      expect(await again.owner()).toBe(otherThan(owner).id);
      const { told } = guestAt(otherThan(owner), path);
      expect([String(told.get("reason")), Number(told.get("fence")) > 4e14]).toEqual(["pin", true]);
      // It ends the session by the same way: what was ordered for it is forgotten.
      otherThan(owner).headers = ["limpet: end"];
      expect((await way.come(path)).headers["limpet"]).not.toContain("end");
      await eventually("it is forgotten", async () => (await (await way.come(path)).owner()) === owner);
    },
    except: {
      relay: {
        because: "a relay heeds no `replay` in the answer to a handshake",
        instead: async (way) => {
          for (const each of origins) each.answer = () => ({ status: 409, headers: { limpet: 'replay="a"' } });
          const { status, headers } = await way.refusal(way.path(newSession()));
          expect([status, String(headers["limpet"]).includes("replay")]).toEqual([409, false]);
        },
      },
    },
  },
  {
    promise: "a 101 or a stream that sends the session to another origin is followed too, and nothing is left open behind it",
    keeps: async (way) => {
      const session = newSession();
      const owner = await (await way.come(way.path(session))).owner();
      origin(owner).headers = [`limpet: replay="${otherThan(owner).id}"`];
      expect(await (await way.come(way.path(session))).owner()).toBe(otherThan(owner).id);
      const [, left] = origin(owner).guests.filter(({ request }) => request.url?.endsWith(`/${session}`));
      expect(await left?.over).toBe(way.transport === "websocket" ? "1000" : "left");
    },
    except: {
      relay: {
        because: "a relay heeds no `replay` in the answer to a handshake",
        instead: async (way) => {
          for (const each of origins) each.headers = ['limpet: replay="a"'];
          expect((await way.pair()).visit.headers["limpet"]).not.toContain("replay");
        },
      },
    },
  },
];

/** One hangs, and is given up with that status; one that is established meanwhile lives on past its deadline. */
async function hangs(way: Way, status: number): Promise<void> {
  const { visit, guest } = await way.pair();
  for (const each of origins) each.answer = () => "hang";
  const startMs = performance.now();
  expect((await way.refusal(way.path(newSession()))).status).toBe(status);
  expect(performance.now() - startMs).toBeLessThan(HANDSHAKE_TIMEOUT_MS + 1_500);
  await new Promise((resolve) => setTimeout(resolve, 500));
  guest.say("still here");
  await heard(visit, "still here");
}

const placing: readonly Promised[] = [
  {
    promise: "everyone of a session is on one origin, and sessions are on all of them",
    keeps: async (way) => {
      const sessions = Array.from({ length: 12 }, newSession);
      const owners = await Promise.all(
        sessions.map(async (session) => {
          const there = await Promise.all(["?1", "?2", "?3"].map(async (query) => (await way.come(way.path(session) + query)).owner()));
          expect(new Set(there).size).toBe(1);
          return there[0];
        }),
      );
      expect(new Set(owners)).toEqual(new Set(["a", "b"]));
    },
  },
  {
    promise: "who comes to a session that was moved finds those who are there",
    keeps: async (way) => {
      const session = newSession();
      const resident = await new Way("websocket relay").come(`/relay/plain/${session}`);
      const from = await resident.owner();
      await client.admin(`rings/p/weur/origins/${from}/drain`, "POST");
      await eventually("it has moved", async () => (await resident.owner()) !== from);
      await client.admin(`rings/p/weur/origins/${from}/undrain`, "POST");
      expect(await (await way.come(way.path(session))).owner()).toBe(otherThan(from).id);
    },
  },
  {
    promise: "a session of one visitor is remembered by its cookie, which the handshake's answer brings",
    keeps: async (way) => {
      for (let n = 0; n < 4; n++) {
        const first = await way.come(way.path("x", "mine"));
        const [cookie = ""] = (first.headers["set-cookie"] ?? []).map((each) => each.split(";")[0] ?? "");
        expect(cookie).toMatch(/^limpet-p=/);
        const again = await way.come(way.path("y", "mine"), { headers: { cookie } });
        expect(await again.owner()).toBe(await first.owner());
      }
    },
  },
  {
    promise: "a connection that names no session is carried too",
    keeps: async (way) => {
      const path = way.path("x", "alone");
      const visit = await way.come(path);
      expect(guestAt(origin(await visit.owner()), path).told.has("session")).toBe(false);
    },
  },
  {
    promise: "a live session and its connections are counted",
    keeps: async (way) => {
      const { owner, session } = await way.pair();
      await way.come(way.path(session));
      await eventually("both are counted", async () => (await sessionOf(session))?.connections === 2);
      expect((await sessionOf(session))?.origin).toBe(owner.id);
    },
    except: {
      splice: {
        because: "a spliced connection is between visitor and origin alone",
        instead: async (way) => expect(await sessionOf((await way.pair()).session)).toBeUndefined(),
      },
    },
  },
  {
    promise: "each connection is recorded, with who decided",
    keeps: async (way) => {
      records = [];
      const { owner } = await way.pair();
      const recorded = await eventually("its record is there", () => records.find(({ limpet }) => limpet === "decision"));
      expect(recorded).toMatchObject({ kind: "live", status: way.transport === "websocket" ? 101 : 200, origin: owner.id });
      // The relay's carrier asks, in batches; the Worker itself asks once.
      if (way.carry === "splice") expect(recorded).toMatchObject({ layer: "ring", attempts: 1 });
    },
  },
];

const HUGE = Buffer.alloc(33 * 1024 * 1024, "limpet-");

const talk: readonly Promised[] = [
  {
    promise: "what the origin says arrives, in order",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      const said = Array.from({ length: 200 }, (_, n) => `${n}: zwölf ☃`);
      for (const text of said) guest.say(text);
      await eventually("all is heard", () => visit.heard.length === said.length);
      expect(visit.heard).toEqual(said);
    },
  },
  {
    promise: "large messages arrive whole",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      // A relay takes no event of more than 1 MiB.
      const large = "limpet ☃ ".repeat(way.transport === "websocket" ? 200_000 : 60_000);
      guest.say(large);
      await eventually("it is heard", () => visit.heard.length > 0);
      expect(digest(visit.heard[0])).toBe(digest(large));
    },
  },
  {
    promise: "a message of more than 32 MiB arrives whole",
    of: "websocket",
    keeps: async (way) => {
      const { visit, guest } = await way.pair({ deflate: false });
      guest.say(HUGE);
      await eventually("it is heard", () => visit.heard.length > 0);
      expect(digest(visit.heard[0])).toBe(digest(`binary ${HUGE.toString("base64")}`));
    },
    except: {
      relay: {
        because: "a Worker's socket takes no larger one",
        instead: async (way) => {
          const { visit, guest } = await way.pair({ deflate: false });
          guest.say(HUGE);
          expect(await visit.closed).toBe("1011 the other side sent a message of more than 32 MiB");
        },
      },
    },
  },
  {
    promise: "what the visitor says reaches the owner, in order; binary stays binary",
    of: "websocket",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      for (let n = 0; n < 200; n++) visit.say(String(n));
      visit.say(Buffer.from([0, 1, 255]));
      visit.say("");
      guest.say(Buffer.from([255, 0]));
      await eventually("all is heard", () => guest.heard.length === 202 && visit.heard.length === 1);
      expect(guest.heard.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, n) => String(n)));
      expect([guest.heard.slice(200), visit.heard]).toEqual([["binary AAH/", ""], ["binary /wA="]]);
    },
  },
  {
    promise: "a ping reaches the other end, both ways",
    of: "websocket",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      visit.ping("up");
      guest.ping("down");
      await eventually("both are there", () => guest.pings.includes("up") && visit.pings.includes("down"));
    },
    except: {
      relay: {
        because: "pings are the runtime's on each leg, which answers them by itself",
        instead: async (way) => {
          const { visit, guest } = await way.pair();
          visit.ping("up");
          guest.ping("down");
          visit.say("behind it");
          guest.say("behind it");
          await Promise.all([heard(visit, "behind it"), heard(guest, "behind it")]);
          expect([guest.pings, visit.pings]).toEqual([[], []]);
        },
      },
    },
  },
  {
    promise: "visitor and origin agree on compression with each other, whatever windows they want",
    of: "websocket",
    keeps: async (way) => {
      for (const deflate of DEFLATES) {
        const { visit, guest } = await way.pair({ deflate });
        expect(visit.extensions).toBe(guest.extensions);
        expect(visit.extensions.startsWith("permessage-deflate")).toBe(deflate !== false);
        await exchange(visit, guest);
      }
    },
    except: {
      relay: {
        because: "each leg is compressed by itself: windows belong to one connection",
        instead: async (way) => {
          for (const deflate of DEFLATES) {
            const { visit, guest } = await way.pair({ deflate });
            expect(guest.extensions).toBe(deflate === false ? "" : "permessage-deflate");
            await exchange(visit, guest);
          }
        },
      },
    },
  },
];

/** What a browser's peer may offer: nothing special, small windows, no memory, nothing at all. */
const DEFLATES = [
  { threshold: 0 },
  { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
  { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  false,
] as const;

/** Messages that need more than a small window, twice, so that what the first left behind matters. */
async function exchange(visit: Visit, guest: Guest): Promise<void> {
  const messages = ["", "zwölf ☃".repeat(1000), "a".repeat(100_000), noise(), noise(), "again ".repeat(1000), "again ".repeat(1000)];
  for (const message of messages) {
    visit.say(message);
    guest.say(message);
  }
  await eventually("all are heard", () => visit.heard.length === messages.length && guest.heard.length === messages.length);
  expect([visit.heard.map(digest), guest.heard.map(digest)]).toEqual([messages.map(digest), messages.map(digest)]);
}

function noise(): string {
  return Array.from({ length: 2_000 }, (_, n) => digest(String(n))).join("");
}

function digest(text: string | undefined): string {
  return createHash("sha1")
    .update(text ?? "")
    .digest("hex");
}

const ends: readonly Promised[] = [
  {
    promise: "a close's code and reason go end to end, either way",
    of: "websocket",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      guest.end(4001, "bye");
      expect([await visit.closed, await guest.over]).toEqual(["4001 bye", "4001 bye"]);
      const other = await way.pair();
      other.visit.leave(4002, "see-you");
      expect([await other.guest.over, await other.visit.closed]).toEqual(["4002 see-you", "4002 see-you"]);
    },
  },
  {
    promise: "an origin's own close for its restart, and its end of a stream, reach the visitor",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      guest.end(1012, "restarting");
      expect(await visit.closed).toBe(way.transport === "websocket" ? "1012 restarting" : "in order");
    },
    except: {
      "websocket relay": {
        because: "1012 is among the codes on which a relay dials anew (`rehomeOn`)",
        instead: async (way) => {
          const { visit, guest, owner } = await way.pair();
          const guests = owner.guests.length;
          guest.end(1012, "restarting");
          await eventually("it is dialled anew", () => owner.guests.length > guests);
          expect(visit.isOpen()).toBe(true);
        },
      },
    },
  },
  {
    promise: "a visitor who is gone reaches the origin, at the latest with what it says next",
    keeps: async (way) => {
      const { visit, guest } = await way.pair();
      visit.leave();
      await eventually("the origin knows", () => {
        if (!guest.isOver() && way.transport === "sse") guest.say("still there?");
        return guest.isOver();
      });
      expect(await guest.over).toBe(way.transport === "websocket" ? "1006" : "left");
    },
    except: {
      "websocket relay": {
        because: "a Worker cannot end a connection without a close",
        instead: async (way) => {
          const { visit, guest } = await way.pair();
          visit.leave();
          expect(await guest.over).toBe("1011 the connection was lost");
        },
      },
    },
  },
  {
    promise: "when its origin dies the visitor stays, and is served by the successor; so is whoever comes next",
    keeps: async (way) => {
      const { visit, owner, session } = await way.pair();
      await without([owner], async () => {
        await eventually("another origin says hello", async () => (await visit.owner()) !== owner.id);
        expect(visit.isOpen()).toBe(true);
        expect(await (await way.come(way.path(session))).owner()).toBe(otherThan(owner.id).id);
      });
    },
    except: {
      splice: {
        because: "nothing of ours is between visitor and origin that could open another leg",
        instead: async (way) => {
          const { visit, owner, session } = await way.pair();
          await without([owner], async () => {
            expect(await visit.closed).toBe(way.transport === "websocket" ? "1006" : "cut");
            expect(await (await way.come(way.path(session))).owner()).toBe(otherThan(owner.id).id);
          });
        },
      },
    },
  },
  {
    promise: "a drain sends new ones elsewhere, and takes those who are there along",
    keeps: async (way) => {
      const { visit, owner, session } = await way.pair();
      await client.admin(`rings/p/weur/origins/${owner.id}/drain`, "POST");
      const next = await way.come(way.path(session)); // until its session's turn has come it is with the others
      for (const each of [visit, next]) {
        await eventually("it is at the other", async () => (await each.owner()) === otherThan(owner.id).id);
        expect(each.isOpen()).toBe(true);
      }
      expect((await way.pair()).owner).toBe(otherThan(owner.id));
    },
    except: {
      splice: {
        because: "whoever is there stays until they or their origin end it, and a drain that knows of nobody does not wait for them",
        instead: async (way) => {
          const { visit, guest, owner, session } = await way.pair();
          await client.admin(`rings/p/weur/origins/${owner.id}/drain`, "POST");
          expect(await (await way.come(way.path(session))).owner()).toBe(otherThan(owner.id).id);
          const { state } = await client.admin<{ state: string }>(`rings/p/weur/origins/${owner.id}?waitFor=drained&timeoutMs=10000`);
          expect(state).toBe("drained");
          guest.say("still here");
          await heard(visit, "still here");
        },
      },
    },
  },
];

describe.for(KINDS)("%s", (kind) => {
  const way = new Way(kind);
  for (const { promise, of, keeps, except = {} } of [...handshakes, ...placing, ...talk, ...ends]) {
    if (of !== undefined && of !== way.transport) continue;
    const exception = except[kind] ?? except[way.carry];
    if (exception) test(`not here: ${promise}, because ${exception.because}`, () => exception.instead(way));
    else test(promise, () => keeps(way));
  }
});

test("spliced, the bytes of a stream are the origin's own: heartbeats, line ends, fields that nobody knows", async () => {
  const way = new Way("sse splice");
  const session = newSession();
  const bytes = ": beat\r\n\r\n\ufeffretry: 7\rdata: half\n\nevent: odd\nunknown: 1\ndata\n\n:unfinished";
  const response = await fetch(router.url + way.path(session), { headers: { accept: "text/event-stream" } });
  const guest = await eventually("it is there", () =>
    origins.flatMap(({ guests }) => guests).find(({ request }) => request.url?.endsWith(`/${session}`)),
  );
  for (const byte of Buffer.from(bytes)) guest.say(Buffer.of(byte));
  guest.end();
  const text = await response.text();
  expect(text.slice(text.indexOf("\n\n") + 2)).toBe(bytes);
});

test("on a route that splices, what is no live connection is plain: a POST that is answered by a stream, and a GET that wants none", async () => {
  const path = new Way("sse splice").path(newSession());
  records = [];
  const stream = await fetch(router.url + path, { method: "POST", body: "x", headers: { accept: "text/event-stream" } });
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  await stream.body?.cancel();
  await (await fetch(router.url + path)).body?.cancel();
  const kinds = await eventually("both are recorded", () => {
    const decisions = records.filter(({ limpet }) => limpet === "decision");
    return decisions.length === 2 && decisions.map(({ kind, layer }) => [kind, layer === "ring"]);
  });
  expect(kinds).toEqual(Array(2).fill(["http", false])); // the ring object is not asked
});

test("a spliced handshake counts for its origin as a request does: a 101 speaks for it, a 503 against it", async () => {
  const way = new Way("websocket splice");
  const outcomes = async (): Promise<{ ok: number; faults: number }> => {
    const ring = await client.admin<{ origins: { outcomes: { ok: number; "origin-fault": number } }[] }>("rings/p/weur");
    const sums = ring.origins.map((each) => each.outcomes);
    return { ok: sums.reduce((sum, each) => sum + each.ok, 0), faults: sums.reduce((sum, each) => sum + each["origin-fault"], 0) };
  };
  /** What has gathered is told with a fault. */
  const told = async (): Promise<{ ok: number; faults: number }> => {
    const { faults } = await outcomes();
    for (const each of origins) each.answer = () => ({ status: 503 });
    expect((await way.refusal(way.path(newSession()))).status).toBe(503);
    for (const each of origins) each.answer = () => undefined;
    return eventually("it is told", async () => {
      const now = await outcomes();
      return now.faults > faults && now;
    });
  };
  const before = await told();
  for (let n = 0; n < 5; n++) await way.pair();
  const after = await told();
  expect([after.ok - before.ok >= 5, after.faults - before.faults < 5]).toEqual([true, true]);
});
