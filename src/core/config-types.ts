// What a parsed configuration looks like: complete, defaulted, readonly. Made only by `parseConfig` (config.ts), at the border.
// Units are suffixes. Everything else in the house reads these types and never the raw input.

import type { Balance } from "./balance.ts";
import type { PointSecret } from "./secret-point.ts";

export interface Config {
  readonly configRevision: number;
  readonly defaultRegion: string;
  readonly regions: Readonly<Record<string, Region>>;
  readonly pools: Readonly<Record<string, Pool>>;
  readonly routes: readonly Route[];
  /** Whether visitors are told origin, region, reason and epoch. */
  readonly expose: boolean;
  readonly forwarded: "x-forwarded" | "forwarded" | "off";
  readonly record: { readonly sampleShare: number };
  /** `false` switches the admin API, the dashboard and the metrics off; `host` binds them to one hostname. */
  readonly admin: false | { readonly host?: string; readonly originHosts?: readonly string[] };
}

export interface Region {
  readonly id: string;
  /** Regions that take over when this one cannot serve, in order. */
  readonly secondary: readonly string[];
  /** Share of `home: "session"` keys, relative to the other regions'. */
  readonly weight: number;
  /** Durable Object location hint; defaults to the region's id where that is a hint. */
  readonly hint?: string;
  /** Where it is, in degrees: given, or the hint's. Absent only for a region that has neither. */
  readonly latitude?: number;
  readonly longitude?: number;
  /** Its objects are made there and stay there. */
  readonly jurisdiction?: Jurisdiction;
}

/** As the platform names them (November 2026). */
export const JURISDICTIONS = ["eu", "fedramp"] as const;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

/** A header's value as it is, or the name of the Worker secret that holds it. */
export type HeaderText = string | { readonly secret: string };

/** By name, in lower case. */
export type OriginHeaders = Readonly<Record<string, HeaderText>>;

export interface Origin {
  /** The logical id that is hashed; unique in its pool. */
  readonly id: string;
  readonly region: string;
  /** No path, no query, no trailing slash. */
  readonly url: string;
  readonly weight: number;
  /** Absent: the ring object finds one and keeps it. */
  readonly salt?: number;
  readonly backup: boolean;
  /** Sent with every request to it, beside the pool's. Never in a snapshot. */
  readonly headers?: OriginHeaders;
  /** What requests to it go through instead of the open network: a name in the Worker's environment. */
  readonly binding?: string;
}

export interface Pool {
  readonly id: string;
  readonly balance: Balance["kind"];
  readonly boundFactor: number;
  readonly virtualNodes: number;
  readonly stickiness: "prefer" | "strict";
  /** Whether a session keeps its origin when the ring changes under it. */
  readonly hold: boolean;
  readonly affinity: "on" | "off";
  /** The share of the keys that have affinity. */
  readonly rollout: number;
  /** Where a smaller share of a region is available, nothing more is ejected. */
  readonly panicShare: number;
  readonly overprovisioning: number;
  readonly failback: "sessions" | "new";
  readonly holdDownMs: number;
  readonly carriers: number;
  readonly carrier: { readonly maxConnections: number };
  /** How long two holders of a snapshot may disagree. */
  readonly horizonMs: number;
  readonly closeDeadlineMs: number;
  readonly health: {
    readonly path: string;
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly rise: number;
    readonly fall: number;
    /** Absent: any 2xx is well. */
    readonly status?: readonly number[];
    readonly headers?: Readonly<Record<string, string>>;
  };
  readonly ejection: { readonly faults: number; readonly baseMs: number; readonly maxShare: number };
  readonly lease: { readonly ttlMs: number };
  readonly slowStart: { readonly windowMs: number };
  readonly drain: { readonly deadlineMs: number; readonly graceMs: number; readonly mode: "move" | "finish" };
  /** How often its origin may die under a session soon after it was re-homed. */
  readonly faultBudget: { readonly deaths: number; readonly windowMs: number };
  /** Connections that moves bring to one origin. */
  readonly pace: { readonly perOriginPerSecond: number };
  readonly session: { readonly idleMs: number; readonly maxLifeMs: number };
  readonly cookie: {
    readonly domain?: string;
    readonly path: string;
    readonly sameSite: "lax" | "strict" | "none";
    readonly partitioned: boolean;
    readonly persistent: boolean;
  };
  /** Made of `seed`: where keys stand is then this pool's secret. */
  readonly pointSecret?: PointSecret;
  readonly headers?: OriginHeaders;
  /** Requests to its origins are signed with the key in this Worker secret. */
  readonly signature?: { readonly secret: string; readonly keyId: string };
  readonly origins: readonly Origin[];
}

export type SessionSource =
  | { readonly kind: "path"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string; readonly learn: boolean }
  | { readonly kind: "header"; readonly name: string; readonly learn: boolean }
  | { readonly kind: "query"; readonly name: string; readonly learn: boolean }
  | { readonly kind: "subprotocol"; readonly prefix: string }
  | { readonly kind: "ip" }
  | JwtSource
  | { readonly kind: "issue" };

/** A source whose key the origin issues: in that cookie or header of an answer; for a query, in the open packet of Engine.IO. */
export type LearnedSource = Extract<SessionSource, { readonly learn: boolean }>;

/** A claim of a signed token (RFC 7519) that the visitor bears. */
export interface JwtSource {
  readonly kind: "jwt";
  /** Names on the way to the claim: `["org", "id"]`. */
  readonly claim: readonly string[];
  /** Where the token is: a cookie, a name in the query, or `Authorization: Bearer`. */
  readonly token: { readonly cookie: string } | { readonly query: string } | "bearer";
  /** The name of the Worker secret with the HMAC key, or the address of the issuer's public keys. */
  readonly keys: { readonly secret: string } | { readonly jwks: string };
  readonly issuer?: string;
  readonly audience?: string;
}

export interface Prelude {
  /** How many of the visitor's first frames are remembered, and of how many bytes together. */
  readonly frames: number;
  readonly bytes: number;
  /** How many of the new origin's answers to the replay are swallowed. */
  readonly swallow: number;
  /** Whether an old leg is muted once it is told to close. */
  readonly mute: boolean;
}

export interface Handover {
  /** Of both origins. */
  readonly path: string;
  readonly maxBytes: number;
  /** For each of the two requests. */
  readonly timeoutMs: number;
}

export type ProfileName = "y-websocket" | "hocuspocus" | "graphql-ws" | "mqtt";

/** What is replayed at a new origin leg. */
type Replayed = { readonly profile: ProfileName } | { readonly prelude: Prelude };

export type Resume =
  | { readonly mode: "restart" }
  | ({ readonly mode: "transparent" } & Replayed)
  | ({ readonly mode: "handover"; readonly handover: Handover } & Replayed);

export interface Park {
  /** After so long without a frame that says anything. */
  readonly afterMs: number;
  /** A text of the visitors' that the runtime answers by itself, whether their session is parked or not: no origin gets it. */
  readonly autoResponse?: { readonly request: string; readonly response: string };
}

export interface Route {
  /** As written: segments, `:name` for one segment, a closing `/*` for the rest. */
  readonly path: string;
  readonly host?: string;
  /** Header names (lower case) with the exact value each must have. */
  readonly header: Readonly<Record<string, string>>;
  readonly pool: string;
  readonly session: readonly SessionSource[];
  /** Whether a request that names no session is refused. */
  readonly required: boolean;
  /** `visitor`, `session`, `first`, or a region's id (`region`). */
  readonly home:
    { readonly kind: "visitor" } | { readonly kind: "session" } | { readonly kind: "first" } | { readonly kind: "region"; readonly region: string };
  /** Whether a carrier holds live connections, or the Worker hands the origin's answer through. */
  readonly carry: "relay" | "splice";
  readonly resume: Resume;
  readonly rehomeOn: readonly number[];
  readonly quietMs: number;
  /** How long an origin may say nothing on a connection. */
  readonly originSilenceMs?: number;
  readonly allowedOrigins?: readonly string[];
  /** When the origin's legs of a session at rest are given up. */
  readonly park?: Park;
  /** Whether the ring object is asked for every request. */
  readonly exact: boolean;
  /** Bodies up to this size are kept while a request is under way. */
  readonly replay: { readonly bodyBytes: number };
  readonly deadlines: { readonly firstByteMs?: number; readonly idleMs?: number };
  /** Whether an `Idempotency-Key` makes any method one that may be tried again. */
  readonly retry: { readonly idempotencyKey: boolean };
}
