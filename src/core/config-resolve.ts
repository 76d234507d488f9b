// From the checked input to the configuration that everything else reads: defaults that depend on something, and the exact shapes of
// config-types.ts. Nothing of the input lives on in it, so that a later change to that changes nothing here.

import { DEV_GRACE_MS, DEV_HORIZON_MS, LIMITS } from "./config-limits.ts";
import type { ParsedInput, ParsedPool, ParsedRegion, ParsedRoute } from "./config-schema.ts";
import { bareUrl } from "./config-texts.ts";
import type { Config, JwtSource, Origin, OriginHeaders, Park, Pool, Region, Resume, Route, SessionSource } from "./config-types.ts";
import { locationHint } from "./hints.ts";
import { isLearned } from "./learned.ts";
import { PRESET_SESSIONS } from "./presets.ts";
import { secretOf } from "./secret-point.ts";

export function resolveConfig(input: ParsedInput, dev: boolean): Config {
  const { admin } = input;
  return {
    configRevision: input.configRevision ?? 1,
    defaultRegion: input.defaultRegion,
    regions: byId(input.regions, (region, id) => resolveRegion(region, id)),
    pools: byId(input.pools, (pool, id) => resolvePool(pool, id, dev)),
    routes: input.routes.map((route) => resolveRoute(route, input.pools[route.pool]?.affinity === "off")),
    expose: dev || input.expose,
    forwarded: input.forwarded,
    record: { sampleShare: input.record.sampleShare },
    admin: admin === false ? false : resolveAdmin(admin),
  };
}

function resolveAdmin({ host, originHosts }: Exclude<ParsedInput["admin"], false>): Exclude<Config["admin"], false> {
  return {
    ...(host === undefined ? {} : { host: host.toLowerCase() }),
    ...(originHosts === undefined ? {} : { originHosts: originHosts.map((each) => each.toLowerCase()) }),
  };
}

function resolveRegion({ secondary, weight, hint, latitude, longitude, jurisdiction }: ParsedRegion, id: string): Region {
  const hintName = hint ?? (locationHint(id) ? id : undefined);
  const ofHint = locationHint(hintName);
  const place = latitude !== undefined && longitude !== undefined ? { latitude, longitude } : ofHint;
  return {
    id,
    secondary: [...secondary],
    weight,
    ...(hintName === undefined ? {} : { hint: hintName }),
    ...(place === undefined ? {} : { latitude: place.latitude, longitude: place.longitude }),
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
  };
}

function resolvePool(pool: ParsedPool, id: string, dev: boolean): Pool {
  const { balance, boundFactor, virtualNodes, stickiness, hold, affinity, rollout, carriers } = pool;
  const { panicShare, overprovisioning, failback, holdDownMs, closeDeadlineMs } = pool;
  const { domain, path, sameSite, partitioned, persistent } = pool.cookie;
  return {
    id,
    balance,
    boundFactor,
    virtualNodes,
    stickiness,
    hold,
    affinity,
    rollout,
    panicShare,
    overprovisioning,
    failback,
    holdDownMs,
    carriers,
    closeDeadlineMs,
    carrier: { maxConnections: pool.carrier.maxConnections },
    horizonMs: pool.horizonMs ?? (dev ? DEV_HORIZON_MS : LIMITS.horizonMs.fallback),
    health: resolveHealth(pool.health),
    ejection: { ...pool.ejection },
    lease: { ...pool.lease },
    slowStart: { ...pool.slowStart },
    drain: {
      deadlineMs: pool.drain.deadlineMs,
      mode: pool.drain.mode,
      graceMs: pool.drain.graceMs ?? (dev ? DEV_GRACE_MS : LIMITS.drainGraceMs.fallback),
    },
    faultBudget: { ...pool.faultBudget },
    pace: { ...pool.pace },
    session: { ...pool.session },
    cookie: { path, sameSite, partitioned, persistent, ...(domain === undefined ? {} : { domain: domain.toLowerCase() }) },
    ...(pool.seed === undefined ? {} : { pointSecret: secretOf(pool.seed) }),
    ...resolveHeaders(pool.headers),
    ...(pool.signature === undefined ? {} : { signature: { ...pool.signature } }),
    origins: pool.origins.map(resolveOrigin),
  };
}

function resolveHealth({ path, intervalMs, timeoutMs, rise, fall, status, headers }: ParsedPool["health"]): Pool["health"] {
  return {
    path,
    intervalMs,
    timeoutMs,
    rise,
    fall,
    ...(status === undefined ? {} : { status: [...status] }),
    ...(headers === undefined ? {} : { headers: { ...headers } }),
  };
}

function resolveOrigin({ id, region, url, weight, salt, backup, headers, binding }: ParsedPool["origins"][number]): Origin {
  return {
    id,
    region,
    url: bareUrl(url) ?? url,
    weight,
    ...(salt === undefined ? {} : { salt }),
    backup,
    ...resolveHeaders(headers),
    ...(binding === undefined ? {} : { binding }),
  };
}

/** Names in lower case; nothing where there are none. */
function resolveHeaders(headers: ParsedPool["headers"]): { headers?: OriginHeaders } {
  const entries = Object.entries(headers ?? {}).map(([name, text]) => [name.toLowerCase(), typeof text === "string" ? text : { ...text }]);
  return entries.length === 0 ? {} : { headers: Object.assign(withoutPrototype<OriginHeaders[string]>(), Object.fromEntries(entries)) };
}

function resolveRoute(route: ParsedRoute, affinityOff: boolean): Route {
  const { path, host, header, pool, required, carry, rehomeOn, quietMs, originSilenceMs, allowedOrigins, park, exact, deadlines } = route;
  const session = route.preset === undefined ? route.session.map(resolveSource) : [...PRESET_SESSIONS[route.preset]];
  return {
    path,
    ...(host === undefined ? {} : { host: host.toLowerCase() }),
    header: Object.assign(withoutPrototype<string>(), Object.fromEntries(Object.entries(header).map(([name, value]) => [name.toLowerCase(), value]))),
    pool,
    session,
    required,
    home: resolveHome(route.home, affinityOff || session.length === 0 || session.some(isLearned)),
    carry,
    resume: resolveResume(route.resume),
    rehomeOn: [...rehomeOn],
    quietMs,
    ...(originSilenceMs === undefined ? {} : { originSilenceMs }),
    exact,
    replay: { ...route.replay },
    deadlines: {
      ...(deadlines.firstByteMs === undefined ? {} : { firstByteMs: deadlines.firstByteMs }),
      ...(deadlines.idleMs === undefined ? {} : { idleMs: deadlines.idleMs }),
    },
    retry: { ...route.retry },
    ...(allowedOrigins === undefined ? {} : { allowedOrigins: allowedOrigins.map((each) => bareUrl(each) ?? each) }),
    ...(park === undefined ? {} : { park: resolvePark(park) }),
  };
}

function resolvePark({ afterMs, autoResponse }: NonNullable<ParsedRoute["park"]>): Park {
  return { afterMs, ...(autoResponse === undefined ? {} : { autoResponse: { ...autoResponse } }) };
}

/** Everyone of one session must agree on its region, so that is the default; without sessions, or where an origin begins them, the nearest is best. */
function resolveHome(home: string | undefined, nearest: boolean): Route["home"] {
  if (home === undefined) return { kind: nearest ? "visitor" : "session" };
  return home === "visitor" || home === "session" || home === "first" ? { kind: home } : { kind: "region", region: home };
}

function resolveSource({ path, cookie, header, query, subprotocol, ip, jwt, learn }: ParsedRoute["session"][number]): SessionSource {
  if (path !== undefined) return { kind: "path", name: path };
  if (cookie !== undefined) return { kind: "cookie", name: cookie, learn: learn !== undefined };
  if (query !== undefined) return { kind: "query", name: query, learn: false };
  if (subprotocol !== undefined) return { kind: "subprotocol", prefix: subprotocol };
  if (ip !== undefined) return { kind: "ip" };
  if (jwt !== undefined) return resolveJwt(jwt);
  return header === undefined ? { kind: "issue" } : { kind: "header", name: header.toLowerCase(), learn: learn !== undefined };
}

function resolveJwt({ claim, cookie, query, secret, jwks, issuer, audience }: NonNullable<ParsedRoute["session"][number]["jwt"]>): JwtSource {
  return {
    kind: "jwt",
    claim: claim.split("."),
    token: cookie !== undefined ? { cookie } : query !== undefined ? { query } : "bearer",
    // The cross checks have seen that one of the two is there.
    keys: secret !== undefined ? { secret } : { jwks: jwks ?? "" },
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
}

function resolveResume({ mode, profile, prelude, handover }: ParsedRoute["resume"]): Resume {
  if (mode === "restart") return { mode };
  // Where state is handed over nothing need be replayed; that a transparent route says what, the cross checks have seen.
  const replayed = profile === undefined ? { prelude: { ...(prelude ?? NOTHING) } } : { profile };
  return mode === "transparent" || handover === undefined ? { mode: "transparent", ...replayed } : { mode, handover: { ...handover }, ...replayed };
}

const NOTHING = { frames: 0, bytes: 0, swallow: 0, mute: false } as const;

function byId<From, To>(from: Readonly<Record<string, From>>, resolve: (value: From, id: string) => To): Readonly<Record<string, To>> {
  const to = withoutPrototype<To>();
  for (const [id, value] of Object.entries(from)) to[id] = resolve(value, id);
  return to;
}

/** So that a look-up by a visitor's or operator's word (`constructor`) finds nothing that nobody wrote. */
function withoutPrototype<T>(): Record<string, T> {
  return Object.create(null);
}
