// The shape of a configuration, name by name, with defaults. Names of later versions are known here and refused by a sentence, so that
// nobody believes in behaviour that is not there. What needs two places of the input at once is in config-cross*.ts.

import * as v from "valibot";
import { choice, closed, dictionary, flag, isFields, leaf, list, quantity, tunable } from "./config-shapes.ts";
import { LIMITS } from "./config-limits.ts";
import { JURISDICTIONS } from "./config-types.ts";
import {
  bindingFault,
  checkPathFault,
  claimFault,
  cookiePathFault,
  headerValueFault,
  hostFault,
  hostPatternFault,
  idFault,
  jwksFault,
  keyIdFault,
  nameFault,
  pingFault,
  originHeaderFault,
  originHeaderNameFault,
  originUrlFault,
  routePathFault,
  secretNameFault,
  seedFault,
  tokenFault,
  webOriginFault,
} from "./config-texts.ts";
import { found } from "./config-words.ts";
import { PRESETS } from "./presets.ts";
import { locationHints } from "./hints.ts";

/** What is written to `regions.*`. */
const region = closed("a region", {
  /** Regions that take over when this one cannot serve, in order. */
  secondary: v.optional(list(leaf<string>(nameFault("a region's id")), "regions' ids"), []),
  weight: tunable(LIMITS.regionWeight),
  /** Durable Object location hint; default: the region's id, where that is one. */
  hint: v.optional(choice(Object.keys(locationHints))),
  latitude: tunable(LIMITS.latitude),
  longitude: tunable(LIMITS.longitude),
  /** Its objects are made there and stay there. */
  jurisdiction: v.optional(choice(JURISDICTIONS)),
});

const headerSecret = closed("the name of a secret", { secret: leaf<string>(secretNameFault) });

/** Sent with every request to an origin; `{ secret }` names the Worker secret that holds the value. */
const originHeaders = dictionary(
  "headers and their values",
  v.lazy((value) => (isFields(value) ? headerSecret : leaf<string>(originHeaderFault))),
  originHeaderNameFault,
);

const origin = closed("an origin", {
  /** The logical id that is hashed; it stays when the address changes. */
  id: leaf<string>(idFault),
  region: leaf<string>(nameFault("the id of one of regions")),
  url: leaf<string>(originUrlFault),
  weight: tunable(LIMITS.originWeight),
  salt: tunable(LIMITS.salt),
  /** Takes sessions only when no other origin of its region does. */
  backup: v.optional(flag(), false),
  /** Beside the pool's, and instead of its of the same name. */
  headers: v.optional(originHeaders),
  /** The Fetcher of the Worker's environment that requests go through: a service, a VPC service, an mTLS certificate. */
  binding: v.optional(leaf<string>(bindingFault)),
});

const health = closed("the active health checks", {
  path: v.optional(leaf<string>(checkPathFault), "/healthz"),
  intervalMs: tunable(LIMITS.healthIntervalMs),
  timeoutMs: tunable(LIMITS.healthTimeoutMs),
  rise: tunable(LIMITS.rise),
  fall: tunable(LIMITS.fall),
  /** What a good answer's status is. Default: any 2xx. */
  status: v.optional(list(quantity(LIMITS.healthStatus), "statuses")),
  /** Sent with every check, beside the pool's and the origin's. */
  headers: v.optional(dictionary("headers and their values", leaf<string>(originHeaderFault), originHeaderNameFault)),
});

const cookie = closed("the affinity cookie", {
  domain: v.optional(leaf<string>(hostFault)),
  path: v.optional(leaf<string>(cookiePathFault), "/"),
  sameSite: v.optional(choice(["lax", "strict", "none"]), "lax"),
  /** One cookie for each site that shows ours in a frame (CHIPS); goes with sameSite "none". */
  partitioned: v.optional(flag(), false),
  /** Outlives the browser's session, for as long as its claims count. */
  persistent: v.optional(flag(), false),
});

const drain = closed("how an origin is drained", {
  deadlineMs: tunable(LIMITS.drainDeadlineMs),
  /** For requests in flight; default 30,000, in `dev` 1,000. */
  graceMs: v.optional(quantity(LIMITS.drainGraceMs)),
  /** `move`: live sessions are re-homed; `finish`: they are left to end, until the deadline. */
  mode: v.optional(choice(["move", "finish"]), "move"),
});

const pool = closed("a pool", {
  balance: v.optional(choice(["ring", "bounded-ring", "least-connections", "round-robin", "random"]), "ring"),
  boundFactor: tunable(LIMITS.boundFactor),
  virtualNodes: tunable(LIMITS.virtualNodes),
  /** While a session's owner is lost: `prefer` moves it, `strict` answers 503. */
  stickiness: v.optional(choice(["prefer", "strict"]), "prefer"),
  /** `false`: live sessions follow the ring when it changes. */
  hold: v.optional(flag(), true),
  affinity: v.optional(choice(["on", "off"]), "on"),
  /** The share of the keys that have affinity, the same ones every time. */
  rollout: tunable(LIMITS.rollout),
  panicShare: tunable(LIMITS.panicShare),
  overprovisioning: tunable(LIMITS.overprovisioning),
  /** When a region is well again: `sessions` brings live ones home too, `new` only new ones. */
  failback: v.optional(choice(["sessions", "new"]), "sessions"),
  holdDownMs: tunable(LIMITS.holdDownMs),
  carriers: tunable(LIMITS.carriers),
  carrier: v.optional(closed("a carrier's bounds", { maxConnections: tunable(LIMITS.maxConnections) }), {}),
  /** How long two data centres may disagree; default 120,000, in `dev` 1,000. */
  horizonMs: v.optional(quantity(LIMITS.horizonMs)),
  faultBudget: v.optional(
    closed("a session's fault budget", {
      deaths: tunable(LIMITS.faultDeaths),
      windowMs: tunable(LIMITS.faultWindowMs),
    }),
    {},
  ),
  closeDeadlineMs: tunable(LIMITS.closeDeadlineMs),
  health: v.optional(health, {}),
  ejection: v.optional(
    closed("passive ejection", {
      faults: tunable(LIMITS.ejectionFaults),
      baseMs: tunable(LIMITS.ejectionBaseMs),
      maxShare: tunable(LIMITS.ejectionMaxShare),
    }),
    {},
  ),
  lease: v.optional(closed("an origin's lease", { ttlMs: tunable(LIMITS.leaseTtlMs) }), {}),
  slowStart: v.optional(closed("slow start", { windowMs: tunable(LIMITS.slowStartWindowMs) }), {}),
  drain: v.optional(drain, {}),
  pace: v.optional(closed("the pace of moves", { perOriginPerSecond: tunable(LIMITS.pacePerOriginPerSecond) }), {}),
  session: v.optional(closed("a session's life", { idleMs: tunable(LIMITS.sessionIdleMs), maxLifeMs: tunable(LIMITS.sessionMaxLifeMs) }), {}),
  cookie: v.optional(cookie, {}),
  headers: v.optional(originHeaders),
  /** RFC 9421, HMAC-SHA256. */
  signature: v.optional(
    closed("how requests are signed", {
      /** Name of the Worker secret with the key; the origins know it too. */
      secret: leaf<string>(secretNameFault),
      keyId: v.optional(leaf<string>(keyIdFault), "limpet"),
    }),
  ),
  /** Makes it impossible to compute keys that fall on one origin. Keep it as secret as LIMPET_SECRET; another one moves every session. */
  seed: v.optional(leaf<string>(seedFault)),
  /** May be empty: the pool then answers 503 until an origin joins. */
  origins: v.optional(list(origin, "origins"), []),
});

const jwt = closed("a token's claim", {
  /** The claim that is the key; a dot goes deeper: `org.id`. */
  claim: leaf<string>(claimFault),
  /** Where the token is, if not in `Authorization: Bearer`. */
  cookie: v.optional(leaf<string>(tokenFault)),
  query: v.optional(leaf<string>(tokenFault)),
  /** Name of the Worker secret that holds the HMAC key. */
  secret: v.optional(leaf<string>(secretNameFault)),
  /** Where the issuer publishes its keys (RFC 7517). */
  jwks: v.optional(leaf<string>(jwksFault)),
  issuer: v.optional(leaf<string>(nameFault("the token's issuer (iss)"))),
  audience: v.optional(leaf<string>(nameFault("the audience that the token must name (aud)"))),
});

const source = closed("a session source", {
  /** Name of a `:name` segment of the route's path. */
  path: v.optional(leaf<string>(nameFault('the name of a ":name" segment'))),
  cookie: v.optional(leaf<string>(tokenFault)),
  header: v.optional(leaf<string>(tokenFault)),
  /** `true`: Limpet makes a key up and keeps it in its own cookie. */
  issue: v.optional(leaf<true>((value) => (value === true ? undefined : `found ${found(value)}; allowed is only true: else leave this source out`))),
  query: v.optional(leaf<string>(tokenFault)),
  /** What the session's entry in `Sec-WebSocket-Protocol` begins with; the origin does not see that entry. */
  subprotocol: v.optional(leaf<string>(tokenFault)),
  /** `true`: the visitor's address, of IPv6 its first 64 bits. */
  ip: v.optional(leaf<true>((value) => (value === true ? undefined : `found ${found(value)}; allowed is only true: else leave this source out`))),
  jwt: v.optional(jwt),
  /** The origin issues this cookie or header: its value gets a tag that names the placement, and loses it on its way back. */
  learn: v.optional(choice(["wrap"])),
});

const prelude = closed("a prelude", {
  /** The visitor's first frames that are remembered and replayed. */
  frames: quantity(LIMITS.preludeFrames),
  bytes: tunable(LIMITS.preludeBytes),
  swallow: tunable(LIMITS.preludeSwallow),
  mute: v.optional(flag(), false),
});

const handover = closed("how state is handed over", {
  /** Asked of the old origin by POST; its answer's body is sent to the new one's. */
  path: leaf<string>(checkPathFault),
  maxBytes: tunable(LIMITS.handoverBytes),
  timeoutMs: tunable(LIMITS.handoverTimeoutMs),
});

const resume = closed("how a connection resumes", {
  mode: choice(["restart", "transparent", "handover"]),
  profile: v.optional(choice(["y-websocket", "hocuspocus", "graphql-ws", "mqtt"])),
  prelude: v.optional(prelude),
  handover: v.optional(handover),
});

const route = closed("a route", {
  path: leaf<string>(routePathFault),
  host: v.optional(leaf<string>(hostFault)),
  /** Headers that a request must have, each with its exact value. */
  header: v.optional(dictionary("headers and their values", leaf<string>(headerValueFault), tokenFault), {}),
  pool: leaf<string>(nameFault("the id of one of pools")),
  /** The first that yields a valid key wins; without any the route is stateless. */
  session: v.optional(list(source, "session sources"), []),
  /** `visitor`, `session`, `first` or a region's id. Default: `session`, and `visitor` for a stateless route. */
  home: v.optional(leaf<string>(nameFault('"visitor", "session", "first" or a region\'s id'))),
  /** Of WebSockets and event streams: held by a carrier, which can re-home them, or handed through as the origin gives them. */
  carry: v.optional(choice(["relay", "splice"]), "relay"),
  resume: v.optional(resume, { mode: "restart" }),
  /** Close codes on which an origin's leg is re-homed instead of closing the visitor. */
  rehomeOn: v.optional(list(quantity(LIMITS.closeCode), "close codes"), [1001, 1006, 1012]),
  quietMs: tunable(LIMITS.quietMs),
  /** Web pages that may connect; default: all. */
  allowedOrigins: v.optional(list(leaf<string>(webOriginFault), "web pages' origins")),
  /** An origin that says nothing for so long is given up on that connection. Default: never. */
  originSilenceMs: v.optional(quantity(LIMITS.originSilenceMs)),
  park: v.optional(
    closed("when a session is parked", {
      afterMs: quantity(LIMITS.parkAfterMs),
      autoResponse: v.optional(
        closed("a ping that the runtime answers by itself", { request: leaf<string>(pingFault), response: leaf<string>(pingFault) }),
      ),
    }),
  ),
  /** Refuses with 401 what names no session. */
  required: v.optional(flag(), false),
  /** How a known protocol names its sessions, instead of `session`. */
  preset: v.optional(choice(PRESETS)),
  /** Asks the ring object for every request: no two data centres ever disagree, at the price of a call. */
  exact: v.optional(flag(), false),
  replay: v.optional(closed("what an origin may have replayed", { bodyBytes: tunable(LIMITS.replayBodyBytes) }), {}),
  deadlines: v.optional(
    closed("a route's deadlines", {
      /** Until the origin's headers, from when it has all of the request. Default: the platform's own. */
      firstByteMs: v.optional(quantity(LIMITS.firstByteMs)),
      /** Between two parts of the origin's body. Default: the platform's own. */
      idleMs: v.optional(quantity(LIMITS.bodyIdleMs)),
    }),
    {},
  ),
  retry: v.optional(closed("what may be tried again", { idempotencyKey: v.optional(flag(), false) }), {}),
});

const adminFields = closed("false, or the admin API's settings", {
  host: v.optional(leaf<string>(hostFault)),
  /** Hosts that origins which join at run time may have; `*.example.com`: any below it. Default: all that are allowed in a configuration. */
  originHosts: v.optional(list(leaf<string>(hostPatternFault), "host names")),
});

export const configSchema = closed("a configuration", {
  /** Counted up with every change; may be left out only in `dev`. */
  configRevision: v.optional(quantity(LIMITS.configRevision)),
  /** Home of visitors of whom nothing is known. */
  defaultRegion: leaf<string>(nameFault("the id of one of regions")),
  regions: dictionary("regions by id", region),
  pools: dictionary("pools by id", pool),
  /** The first that matches takes the request. */
  routes: list(route, "routes"),
  /** Tells visitors origin, region, reason and epoch; always on in `dev`. */
  expose: v.optional(flag(), false),
  forwarded: v.optional(choice(["x-forwarded", "forwarded", "off"]), "x-forwarded"),
  record: v.optional(closed("what is recorded", { sampleShare: tunable(LIMITS.sampleShare) }), {}),
  /** `false` switches the admin API, the dashboard and the metrics off; `host` binds them to one host name. */
  admin: v.optional(
    v.lazy((value) => (value === false ? leaf<false>(() => undefined) : adminFields)),
    {},
  ),
});

export type ParsedInput = v.InferOutput<typeof configSchema>;
export type ParsedPool = ParsedInput["pools"][string];
export type ParsedRegion = ParsedInput["regions"][string];
export type ParsedRoute = ParsedInput["routes"][number];
