// Every number of the configuration in one table: meaning, default, range, unit, and what goes wrong outside the range (shown to the
// person whose number is refused). Whole numbers by `whole`, fractions by `real`. A unit is part of the name (…Ms) or said here.

export interface Limit<Fallback extends number | undefined = number | undefined> {
  readonly fallback: Fallback;
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
  readonly unit: string;
  /** What goes wrong outside: the end of a sentence. */
  readonly outside: string;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const LIMITS = {
  /** Grows with every change of the configuration; orders a bundle and what was applied. */
  configRevision: whole(undefined, 1, Number.MAX_SAFE_INTEGER, "", "revisions are counted up from 1, and larger numbers are no longer exact"),

  /** Share of `home: "session"` keys, relative to the other regions'. 0: no key is at home there. */
  regionWeight: real(1, 0, 1000, "", "a weight is relative to the other regions', and beyond 1000 the others get next to nothing"),
  latitude: real(undefined, -90, 90, "degrees", "there is no such place"),
  longitude: real(undefined, -180, 180, "degrees", "there is no such place"),

  /** The share of the keys that have affinity. */
  rollout: real(1, 0, 1, "", "a share is between 0 and 1"),
  /** c of the bounded load: how far beyond its fair part an origin may be filled. */
  boundFactor: real(1.25, 1.001, 10, "", "at 1 every origin is full at once, and far above it nothing is bounded"),
  /** Points on the ring per unit of weight. */
  virtualNodes: whole(256, 1, 2048, "", "more points cost memory and start-up time and even out nothing"),
  /** Points of one ring (pool × region): the sum of weight × virtualNodes over its origins. */
  ringPoints: whole(undefined, 0, 131_072, "points", "building a larger ring would hold up every fresh isolate for too long"),
  /** Where a smaller share of a region is available, nothing more of it is ejected for what requests found. */
  panicShare: real(0.5, 0, 1, "", "a share is between 0 and 1"),
  /** How much more than its part an origin can bear: a region of which half is available keeps 0.7 of its keys at 1.4. */
  overprovisioning: real(1.4, 1, 10, "", "below 1 a region that is well would not keep all of its keys"),
  /** How long a region must be well before keys come home, and an origin that fell stays without new sessions. */
  holdDownMs: whole(30 * SECOND_MS, 0, HOUR_MS, "ms", "sessions would stay away from a region that has long recovered"),
  /** Carrier objects of a ring. */
  carriers: whole(4, 1, 64, "objects", "each carrier is an object that every move must wait for"),
  /** Live connections of one carrier: 128 MB an object, shared by all of them. */
  maxConnections: whole(2000, 1, 32_768, "connections", "an object holds at most 32,768 WebSockets, and its 128 MB are full long before"),
  /** How long two holders of a snapshot may disagree. */
  horizonMs: whole(120 * SECOND_MS, 0, HOUR_MS, "ms", "every ramp and every drain waits for it"),
  /** How long a closed leg may take to answer the close. */
  closeDeadlineMs: whole(
    2 * SECOND_MS,
    1,
    5 * SECOND_MS,
    "ms",
    "at 0 no origin is heard to the end, and visitors wait no longer than 15 s for a move",
  ),

  /** Deaths of its origins, each soon after it arrived there by re-homing, after which a session is moved no more. */
  faultDeaths: whole(3, 1, 100, "deaths", "at least one must count, and with very many one session could take every origin with it"),
  /** How long a death is held against a session, and how long one that is out of budget waits. */
  faultWindowMs: whole(
    10 * MINUTE_MS,
    1000,
    DAY_MS,
    "ms",
    "shorter forgets before the next death, longer keeps people from a document that may be well again",
  ),
  /** Connections that moves bring to one origin. */
  pacePerOriginPerSecond: whole(200, 1, 10_000, "connections/s", "at 0 nothing would ever move, and far more at once is a stampede"),

  /** Between two active checks of one origin. */
  healthIntervalMs: whole(5 * SECOND_MS, 50, HOUR_MS, "ms", "shorter floods the origins with checks, longer notices nothing in time"),
  /** How long a check may take. */
  healthTimeoutMs: whole(SECOND_MS, 10, 30 * SECOND_MS, "ms", "shorter fails healthy origins, longer keeps the few slots of the checks busy"),
  /** Status of a good answer to a check. */
  healthStatus: whole(undefined, 200, 599, "", "a check ends with one of these (RFC 9110 §15)"),
  /** Good checks in a row before an origin counts as healthy again. */
  rise: whole(2, 1, 100, "checks", "at least one check must decide, and with very many an origin never comes back"),
  /** Failed checks in a row before an origin counts as down. */
  fall: whole(3, 1, 100, "checks", "at least one check must decide, and with very many a dead origin keeps its sessions"),

  /** More faults than successes of requests to one origin, before it is ejected. */
  ejectionFaults: whole(5, 1, 10_000, "faults", "at least one must count, and with very many a failing origin keeps its sessions"),
  /** How long an origin is ejected for the first time; longer each time it comes back no better. */
  ejectionBaseMs: whole(30 * SECOND_MS, 100, HOUR_MS, "ms", "shorter brings it back before it can have recovered"),
  /** The share of a region's weight that may be ejected at once. */
  ejectionMaxShare: real(0.5, 0, 1, "", "a share is between 0 and 1"),
  /** How long a lease lasts that is not renewed. */
  leaseTtlMs: whole(30 * SECOND_MS, 1000, HOUR_MS, "ms", "shorter loses origins to one late renewal, longer keeps those that are gone"),
  /** How long an origin that joins or comes back takes to its full share. */
  slowStartWindowMs: whole(30 * SECOND_MS, 0, HOUR_MS, "ms", "an origin would take next to nothing for that long"),

  /** How long a drain may last before pins and claims to the origin end. */
  drainDeadlineMs: whole(MINUTE_MS, 0, DAY_MS, "ms", "the origin's pre-stop hook would wait for that long"),
  /** For requests in flight, after the horizon. */
  drainGraceMs: whole(30 * SECOND_MS, 0, HOUR_MS, "ms", "the origin's pre-stop hook would wait for that long"),

  /** Idle time after which a session is over. At most 400 days, as for a cookie (RFC 6265bis §5.5). */
  sessionIdleMs: whole(
    30 * MINUTE_MS,
    100,
    400 * DAY_MS,
    "ms",
    "shorter forgets sessions between two requests, and browsers keep no cookie for longer than 400 days",
  ),
  /** Age after which a session's claim ends, idle or not. */
  sessionMaxLifeMs: whole(
    DAY_MS,
    100,
    400 * DAY_MS,
    "ms",
    "shorter forgets sessions between two requests, and browsers keep no cookie for longer than 400 days",
  ),

  /** Relative part of the ring. 0: no session arrives by the ring. */
  originWeight: real(1, 0, 100, "", "weight × virtualNodes is the number of points on the ring, which a Worker builds at its start"),
  /** Part of every point's hash. Left out, the ring object finds the best of 32 when the origin joins, and keeps it. */
  salt: whole(undefined, 0, 0xffff_ffff, "", "a salt is an unsigned number of 32 bits"),

  /** How long an old leg must have been quiet before it is closed in a planned move. */
  quietMs: whole(100, 0, 500, "ms", "visitors' frames are held back meanwhile, and they notice"),
  /** How long an origin may say nothing on a leg before that is given up. */
  originSilenceMs: whole(undefined, 1000, HOUR_MS, "ms", "shorter gives up legs whose origin only had nothing to say"),
  /** How long nothing may pass before a session is parked. */
  parkAfterMs: whole(undefined, 1000, DAY_MS, "ms", "shorter closes legs between two words of a conversation, and each waking is a handshake"),
  /** Greatest state that is handed over. */
  handoverBytes: whole(1_048_576, 1, 16_777_216, "bytes", "it is held in the memory of an object, which has 128 MB for all its sessions"),
  /** How long each of the two requests of a hand-over may take. */
  handoverTimeoutMs: whole(
    3 * SECOND_MS,
    10,
    4 * SECOND_MS,
    "ms",
    "visitors wait no longer than 15 s for a move, both requests and the close included",
  ),
  /** Close codes an origin may send to have its leg re-homed. */
  closeCode: whole(undefined, 1000, 4999, "", "no WebSocket is closed with it (RFC 6455 §7.4.2)"),
  /** The visitor's first frames that are remembered. */
  preludeFrames: whole(undefined, 0, 64, "frames", "they are held in memory for every connection"),
  /** Their bytes together. */
  preludeBytes: whole(65_536, 0, 1_048_576, "bytes", "they are held in memory for every connection"),
  /** The new origin's answers to the replay that the visitor does not get. */
  preludeSwallow: whole(0, 0, 64, "frames", "the visitor would miss what the origin says after its answers"),

  /** Greatest body of a request that is kept, to be sent again where an origin asks for it or a retry may. */
  replayBodyBytes: whole(0, 0, 1_048_576, "bytes", "it is held in the memory of an isolate, which has 128 MB for all its requests"),
  /** How long an origin may take to its first byte. */
  firstByteMs: whole(undefined, 10, 100 * SECOND_MS, "ms", "the platform gives up an origin after 100 s"),
  /** How long an origin may pause in its body. */
  bodyIdleMs: whole(undefined, 10, 400 * SECOND_MS, "ms", "the platform closes a visitor's connection that is idle for 400 s"),

  /** Share of ordinary decisions that are recorded; refusals, faults and moves always are. */
  sampleShare: real(0.01, 0, 1, "", "a share is between 0 and 1"),
} as const;

/**
 * The shortest `horizonMs` that can be true outside `dev`: KV may take 60 s to be seen elsewhere, its `cacheTtl` is at least 30 s
 * (Cloudflare's documentation, November 2026), and an isolate serves what it has confirmed within a quarter of the horizon. A drained
 * origin could be killed while a data centre still sends to it.
 */
export const HORIZON_LEAST_MS = ((60 + 30) * SECOND_MS * 4) / 3;

/** Defaults that differ in `dev`, where KV is local and nobody wants to wait. */
export const DEV_HORIZON_MS = SECOND_MS;
export const DEV_GRACE_MS = SECOND_MS;

/** Greatest length of a text, in characters: what the thing it names allows (RFC 1035 for host names), else plenty. */
export const TEXT_MAX = { path: 1024, url: 2048, host: 253, token: 128, headerValue: 1024, originHeader: 4096, seed: 256 } as const;

/** The range as a person reads it. */
export function rangeOf({ least, most, whole: isWhole, unit }: Limit): string {
  return `${isWhole ? "a whole number" : "a number"} from ${least} to ${most}${unit === "" ? "" : ` (${unit})`}`;
}

export function isWithin(limit: Limit, value: unknown): value is number {
  if (typeof value !== "number" || !Number.isFinite(value)) return false;
  return value >= limit.least && value <= limit.most && (!limit.whole || Number.isInteger(value));
}

function whole<F extends number | undefined>(fallback: F, least: number, most: number, unit: string, outside: string): Limit<F> {
  return { fallback, least, most, whole: true, unit, outside };
}

function real<F extends number | undefined>(fallback: F, least: number, most: number, unit: string, outside: string): Limit<F> {
  return { fallback, least, most, whole: false, unit, outside };
}
