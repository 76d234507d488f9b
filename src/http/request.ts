// Step "identify" with what it needs of the platform: cookies opened, tokens verified, keys hashed.

import { cookieName, readClaims, type Claims } from "../core/cookie.ts";
import type { JwtSource, LearnedSource, Pool, Route, SessionSource } from "../core/config-types.ts";
import { hasAffinity } from "../core/decide.ts";
import type { KeyPoint } from "../core/hash.ts";
import { pointOf } from "../core/secret-point.ts";
import { isLearned, readTag, unwrap, type Tag } from "../core/learned.ts";
import { cookieIn, findKey, learnedValue, matchRoute, tokenOf, type RequestFacts, type RouteMatch } from "../core/identity.ts";
import type { Settings } from "../platform/env.ts";
import { hex, keyedHash } from "../platform/keyed-hash.ts";
import { KeysUnavailable, verifiedClaim } from "../platform/jwt.ts";
import { open } from "../platform/seal.ts";
import type { Arrival } from "./route.ts";

/** A request that names its session, or none. */
export interface Identified {
  readonly kind: "identified";
  readonly route: Route;
  readonly pool: Pool;
  /** `undefined`: stateless. */
  readonly key: string | undefined;
  readonly source: Claims["source"];
  /** What the tag of a key that an origin has issued says of its place. */
  readonly tag: Tag | undefined;
  /** Whether the key came from where an origin issues keys, with a tag or without. */
  readonly learned: boolean;
  readonly point: KeyPoint;
  readonly keyHash: () => Promise<string>;
  /** Of the visitor's own key, which their cookie belongs to: another than `keyHash` where that key has no affinity. */
  readonly ownHash: () => Promise<string>;
  /** Whether the key has affinity; without, a session keeps the place it has, and `draw` is where it goes when that is lost. */
  readonly bound: boolean;
  readonly draw: KeyPoint | undefined;
  /** Whether the cookie is taken away with the answer, unless its claim still counts: the pool's affinity is off. */
  readonly forgets: boolean;
  /** A key that this request's answer must hand out. */
  readonly issued: string | undefined;
  /** What the visitor's cookie says, if it is ours and counts. */
  readonly claims: Claims | undefined;
  /** Whether the answer may set the affinity cookie. */
  readonly remembers: boolean;
}

export type Identification =
  | Identified
  | { readonly kind: "no-route" }
  /** A page of this web origin may not use the route. */
  | { readonly kind: "foreign"; readonly origin: string }
  | { readonly kind: "missing" }
  | { readonly kind: "unverifiable" }
  | { readonly kind: "unusable"; readonly fault: string };

/** What is known before any token is verified. */
export type UnverifiedFacts = Omit<RequestFacts, "verified"> & { readonly method: string };

export function factsOf({ request, url, given }: Arrival): UnverifiedFacts {
  return {
    method: request.method,
    path: url.pathname,
    host: url.hostname,
    header: (name) => given[name] ?? null,
    cookie: (name) => cookieIn(given["cookie"], name),
    query: url.search,
    address: given["cf-connecting-ip"] ?? null,
  };
}

/** What a request says where an origin's key should be, its tag included. */
export function learnedValueOf(arrival: Arrival, source: LearnedSource): string | undefined {
  return learnedValue(source, factsOf(arrival));
}

export async function identify(settings: Settings, unverified: UnverifiedFacts): Promise<Identification> {
  const { config, dev, secrets } = settings;
  const match = matchRoute(config, unverified);
  if (match === "alias") return { kind: "unusable", fault: "it has an empty segment, which some servers fold away and others do not" };
  const pool = match && config.pools[match.route.pool];
  if (!match || !pool) return { kind: "no-route" };
  const { route } = match;
  const foreign = foreignPage(route, unverified);
  if (foreign !== undefined) return { kind: "foreign", origin: foreign };

  const issues = route.session.some((source) => source.kind === "issue");
  const remembers = issues || route.home.kind === "visitor";
  const cookie = remembers ? unverified.cookie(cookieName(pool, dev)) : undefined;
  const opened = cookie === undefined ? undefined : readClaims(await open(secrets, "cookie", cookie), pool, Date.now());
  const bearsTokens = route.session.some((source) => source.kind === "jwt");
  const verified = bearsTokens ? await verifiedOf(settings, match, unverified, opened?.issued) : NO_TOKENS;
  if (verified === "unverifiable") return { kind: verified };
  const facts: RequestFacts = { ...unverified, verified };
  const finding = findKey(match, facts, opened?.issued);
  if (finding.kind === "unusable") return finding;
  if (finding.kind === "none" && route.required && !isPreflight(unverified)) return { kind: "missing" };
  const issued = issues ? (opened?.issued ?? (finding.kind === "none" && pool.affinity === "on" ? newKey() : undefined)) : undefined;
  const key = finding.kind === "key" ? finding.key : issued;
  const source = finding.kind === "key" ? finding.source : ISSUE;
  const tag = isLearned(source) ? await tagOf(settings, pool, source, unverified) : undefined;
  // Without a session a request stands for itself: a draw of its own, which spreads by weight because the ring does.
  const hasher = new KeyHasher(settings, pool, key ?? newKey());
  // Another key from the same source is another session; a key from another source (a log-in) is the same visitor's, and keeps the claim.
  // A key that we issued came out of the cookie itself.
  const sameSource = source.kind !== "issue" && opened?.source === source.kind;
  const claims = sameSource && opened.keyHash !== (await hasher.hash()) ? undefined : opened;
  return identified(settings, route, pool, { key, hasher, source, tag, claims, issued, cookie: cookie !== undefined });
}

/** The web origin of a page that the route does not allow, before anything is asked or opened. A page's own GETs say none; its sockets always do. */
function foreignPage({ allowedOrigins }: Route, { header }: UnverifiedFacts): string | undefined {
  if (!allowedOrigins) return undefined;
  const origin = header("origin");
  if (origin === null) return header("upgrade")?.toLowerCase() === "websocket" ? "not given" : undefined;
  return allowedOrigins.includes(origin) ? undefined : origin;
}

const NO_TOKENS: ReadonlyMap<JwtSource, string> = new Map();

const ISSUE: SessionSource = { kind: "issue" };

/** The tag that a learned key bears, if it is ours and was made for it. */
async function tagOf({ secrets }: Settings, pool: Pool, source: LearnedSource, facts: UnverifiedFacts): Promise<Tag | undefined> {
  const { bare, sealed } = unwrap(learnedValue(source, facts) ?? "");
  return sealed === undefined ? undefined : readTag(await open(secrets, "tag", sealed), pool, source, bare);
}

/** The claims of the tokens that the visitor bears, as far as no earlier source names the session. */
async function verifiedOf(
  { tokenSecrets }: Settings,
  match: RouteMatch,
  facts: UnverifiedFacts,
  issued: string | undefined,
): Promise<Map<JwtSource, string> | "unverifiable"> {
  const verified = new Map<JwtSource, string>();
  for (const [index, source] of match.route.session.entries()) {
    const token = source.kind === "jwt" ? tokenOf(source, facts) : undefined;
    if (source.kind !== "jwt" || token === undefined) continue;
    const before = { ...match, route: { ...match.route, session: match.route.session.slice(0, index) } };
    if (findKey(before, { ...facts, verified }, issued).kind !== "none") break;
    try {
      const claim = await verifiedClaim(source, token, tokenSecrets);
      if (claim !== undefined) verified.set(source, claim);
    } catch (error) {
      if (error instanceof KeysUnavailable) return "unverifiable";
      throw error;
    }
  }
  return verified;
}

/** A browser's question whether a page may ask (CORS): it bears nothing of what the question is about. */
function isPreflight({ method, header }: UnverifiedFacts): boolean {
  return method === "OPTIONS" && header("access-control-request-method") !== null;
}

interface Found {
  readonly key: string | undefined;
  readonly hasher: KeyHasher;
  readonly source: SessionSource;
  readonly tag: Tag | undefined;
  readonly claims: Claims | undefined;
  readonly issued: string | undefined;
  /** Whether the request bears a cookie of ours. */
  readonly cookie: boolean;
}

function identified(settings: Settings, route: Route, pool: Pool, found: Found): Identified {
  const { key, hasher, issued, tag, claims } = found;
  const source = found.source.kind;
  const learned = key !== undefined && isLearned(found.source);
  const point = pointOf(hasher.key, pool.pointSecret);
  const visitors = route.home.kind === "visitor";
  // A learned key's own tag remembers its place.
  const remembers = key !== undefined && !learned && (visitors || issued !== undefined);
  const forgets = pool.affinity === "off" && found.cookie;
  const common = { kind: "identified", route, pool, source, tag, learned, ownHash: hasher.hash, issued, claims, remembers, forgets } as const;
  const bound = key !== undefined && hasAffinity(pool, point.lot);
  if (bound || key === undefined) return { ...common, key, point, keyHash: hasher.hash, bound, draw: undefined };
  // A key without affinity: whoever has a place keeps it until it ends; any other request stands for itself.
  const alone = newKey();
  const draw = pointOf(alone, pool.pointSecret);
  if (tag || (visitors && claims?.origin !== undefined)) return { ...common, key, point, keyHash: hasher.hash, bound, draw };
  return {
    ...common,
    key: undefined,
    point: draw,
    keyHash: new KeyHasher(settings, pool, alone).hash,
    bound,
    draw: undefined,
  };
}

/** The keyed hash of a key, worked out when it is first asked for, within one request. */
class KeyHasher {
  readonly key: string;
  readonly #secret: string;
  readonly #pool: string;
  #hash: Promise<string> | undefined;

  constructor({ secrets }: Settings, { id }: Pool, key: string) {
    this.key = key;
    this.#secret = secrets.at(-1) ?? "";
    this.#pool = id;
  }

  readonly hash = (): Promise<string> => (this.#hash ??= keyedHash(this.#secret, this.#pool, this.key));
}

function newKey(): string {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}
