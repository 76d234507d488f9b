// Checks of routes that need two places at once: the pools and regions they name, their own path, and the routes before them.
// As config-cross.ts, they take only what has the right type and leave the rest to the faults of shape.

import { entriesOf, field, HOME_WORDS, itemsOf, namesOf, repeatedHeaders, unknownRegion } from "./config-cross.ts";
import type { FoundFault } from "./config-faults.ts";
import { LIMITS } from "./config-limits.ts";
import { isFields } from "./config-shapes.ts";
import { parametersOf, routePathFault } from "./config-texts.ts";
import { anyOf, didYouMean, quoted } from "./config-words.ts";
import { locationHint } from "./hints.ts";

const SOURCES = ["path", "cookie", "header", "issue", "query", "subprotocol", "jwt", "ip"];

export function routeFaults(input: unknown, dev: boolean): FoundFault[] {
  const routes = itemsOf(field(input, "routes"));
  return [
    ...routes.flatMap((route, index) => {
      const path = ["routes", index];
      return [
        ...poolNameFaults(input, route, path),
        ...repeatedHeaders(field(route, "header"), [...path, "header"]),
        ...sourceFaults(route, path, dev),
        ...learnFaults(route, path),
        ...requiredFaults(route, path),
        ...homeFaults(input, route, path),
        ...spliceFaults(input, route, path),
        ...resumeFaults(field(route, "resume"), [...path, "resume"]),
        ...closeCodeFaults(route, path),
        ...parkFaults(input, route, path),
      ];
    }),
    ...placeFaults(input, routes),
    ...unreachableFaults(routes),
  ];
}

type Path = FoundFault["path"];

function poolNameFaults(input: unknown, route: unknown, path: Path): FoundFault[] {
  const [name, pools] = [field(route, "pool"), namesOf(field(input, "pools"))];
  if (typeof name !== "string" || name === "" || !pools || pools.includes(name)) return [];
  const guess = didYouMean(name, pools);
  const known = pools.length === 0 ? "; there are no pools" : `; pools are ${anyOf(pools)}`;
  return [{ path: [...path, "pool"], message: `there is no pool ${quoted(name)}${guess === "" ? known : guess}` }];
}

function sourceFaults(route: unknown, path: Path, dev: boolean): FoundFault[] {
  const [routePath, sources] = [field(route, "path"), itemsOf(field(route, "session"))];
  const names = routePathFault(routePath) === undefined && typeof routePath === "string" ? parametersOf(routePath) : undefined;
  const seen = new Set<string>();
  return sources.flatMap((source, index) => {
    if (!isFields(source)) return [];
    const place = [...path, "session", index];
    const kinds = SOURCES.filter((kind) => field(source, kind) !== undefined);
    const [kind] = kinds;
    if (kind === undefined) {
      // A misspelt name has its own fault, and learn alone too.
      if (Object.keys(source).length > 0) return [];
      return [
        {
          path: place,
          message: `it names no source; write one of ${SOURCES.map((kind) => (kind === "issue" || kind === "ip" ? `{ ${kind}: true }` : `{ ${kind}: … }`)).join(", ")}`,
        },
      ];
    }
    if (kinds.length > 1)
      return [
        {
          path: place,
          message: `it names ${kinds.length} sources (${kinds.join(", ")}); write one entry for each, in the order in which they count`,
        },
      ];
    const name = field(source, kind);
    if (typeof name === "string" || name === true) {
      const identity = `${kind} ${kind === "header" && name !== true ? name.toLowerCase() : name}`;
      if (seen.has(identity)) return [{ path: place, message: "this source stands before already; take one out" }];
      seen.add(identity);
    }
    if (kind === "jwt") return jwtFaults(name, dev, [...place, "jwt"]);
    if (kind !== "path" || typeof name !== "string" || name === "" || !names || names.includes(name)) return [];
    const guess = didYouMean(name, names);
    const known = names.length === 0 ? '; it names none: write a segment as ":name"' : `; its names are ${anyOf(names)}`;
    return [{ path: [...place, "path"], message: `the route's path has no segment ":${name.slice(0, 60)}"${guess === "" ? known : guess}` }];
  });
}

/** Whose signature counts must be said, once; and keys that travel in the clear are anybody's. */
function jwtFaults(jwt: unknown, dev: boolean, path: Path): FoundFault[] {
  const given = (...names: string[]): string[] => names.filter((name) => field(jwt, name) !== undefined);
  const [keys, places, jwks] = [given("secret", "jwks"), given("cookie", "query"), field(jwt, "jwks")];
  const faults: FoundFault[] = [];
  if (keys.length === 0)
    faults.push({ path, message: "nothing says whose signature counts; add secret (the name of a Worker secret) or jwks (an address)" });
  if (keys.length === 2)
    faults.push({ path: [...path, "jwks"], message: "secret stands beside it; a token is signed in one of the two ways, take one out" });
  if (places.length === 2) faults.push({ path: [...path, "query"], message: "cookie stands beside it; write one source for each place" });
  if (!dev && typeof jwks === "string" && jwks.startsWith("http:"))
    faults.push({
      path: [...path, "jwks"],
      message: `found ${quoted(jwks)}; outside dev keys are fetched by https, else anybody on the way could give others`,
    });
  return faults;
}

/** A learned key begins at whichever origin issues it: nearest to the visitor, and nobody has one before. */
function learnFaults(route: unknown, path: Path): FoundFault[] {
  const [preset, home, sources] = [field(route, "preset"), field(route, "home"), itemsOf(field(route, "session"))];
  const learned = sources.filter((source) => field(source, "learn") !== undefined);
  const faults = sources.flatMap((source, index): FoundFault[] => {
    const kind = SOURCES.find((each) => field(source, each) !== undefined);
    if (field(source, "learn") === undefined || kind === undefined || kind === "cookie" || kind === "header") return [];
    return [
      { path: [...path, "session", index, "learn"], message: `an origin issues keys in a cookie or a header; of ${kind} nothing can be learned` },
    ];
  });
  if (preset !== undefined && sources.length > 0)
    faults.push({
      path: [...path, "session"],
      message: `preset ${quoted(String(preset).slice(0, 60))} says where the session is; take one of the two out`,
    });
  if (preset === undefined && learned.length === 0) return faults;
  if (home !== undefined && home !== "visitor")
    faults.push({
      path: [...path, "home"],
      message: `an origin near the visitor begins the session, and its tag remembers the region; take home out`,
    });
  if (field(route, "required") === true && learned.length === sources.length)
    faults.push({ path: [...path, "required"], message: "only an origin gives out the key, so nobody could ever begin; take this out" });
  return faults;
}

/** What is required must be possible, and possible to lack. */
function requiredFaults(route: unknown, path: Path): FoundFault[] {
  if (field(route, "required") !== true) return [];
  const sources = itemsOf(field(route, "session"));
  const place = [...path, "required"];
  if (sources.length === 0 && field(route, "preset") === undefined)
    return [{ path: place, message: "the route has no session sources, so every request would be refused; add one, or take this out" }];
  const always = sources.some((source) => field(source, "issue") === true || field(source, "ip") === true);
  return always
    ? [{ path: place, message: "a source gives everybody a session ({ issue } or { ip }), so nothing is ever refused; take one of the two out" }]
    : [];
}

/** A key that is at home where its pool is not would be served from abroad for ever. */
function homeWithoutOrigins(input: unknown, route: unknown, home: unknown, regionIds: readonly string[] | undefined): string | undefined {
  if (typeof home !== "string" || !regionIds?.includes(home)) return undefined;
  const pool = field(route, "pool");
  const origins = typeof pool === "string" ? itemsOf(field(field(field(input, "pools"), pool), "origins")) : [];
  const there = origins.map((origin) => field(origin, "region"));
  if (there.length === 0 || there.includes(home)) return undefined;
  return `the pool has no origin in "${home}"; give it one there, or make another region the home`;
}

function homeFaults(input: unknown, route: unknown, path: Path): FoundFault[] {
  const [home, regionIds] = [field(route, "home"), namesOf(field(input, "regions"))];
  const place = [...path, "home"];
  if (home === "visitor") {
    // A pool without affinity remembers nobody by intent.
    if (poolField(input, route, "affinity") === "off" || field(route, "preset") !== undefined || itemsOf(field(route, "session")).some(remembers))
      return [];
    return [
      {
        path: place,
        message: `home "visitor" needs a { cookie } source or { issue: true }: nothing would remember the region otherwise; add one, or use "session" or a region's id`,
      },
    ];
  }
  const lone = home === "session" || home === "first" ? undefined : homeWithoutOrigins(input, route, home, regionIds);
  if (lone !== undefined) return [{ path: place, message: lone }];
  if (typeof home !== "string" || home === "" || home === "session" || home === "first" || !regionIds) return [];
  return unknownRegion(home, regionIds, place, HOME_WORDS);
}

function remembers(source: unknown): boolean {
  return field(source, "cookie") !== undefined || field(source, "issue") !== undefined || field(source, "learn") !== undefined;
}

/** What the route's pool says under a name. */
function poolField(input: unknown, route: unknown, name: string): unknown {
  const pool = field(route, "pool");
  return typeof pool === "string" ? field(field(field(input, "pools"), pool), name) : undefined;
}

const COUNTING = ["bounded-ring", "least-connections"];
const OF_THE_RELAY = ["resume", "rehomeOn", "quietMs", "originSilenceMs", "park"];

/** A spliced connection is between visitor and origin alone: nobody counts it, holds its session to one origin, or replaces its leg. */
function spliceFaults(input: unknown, route: unknown, path: Path): FoundFault[] {
  if (field(route, "carry") !== "splice") return [];
  const [balance, stickiness] = [poolField(input, route, "balance"), poolField(input, route, "stickiness")];
  const faults: FoundFault[] = OF_THE_RELAY.flatMap((name) => {
    if (field(route, name) === undefined) return [];
    return [{ path: [...path, name], message: `carry "splice" hands connections through, and nothing would heed it; take it out, or use "relay"` }];
  });
  const place = [...path, "carry"];
  if (typeof balance === "string" && COUNTING.includes(balance)) {
    const message = `the pool's balance ${quoted(balance)} goes by counted sessions, and a spliced one is not counted; use "relay", or a pool of another balance`;
    faults.push({ path: place, message });
  }
  if (stickiness === "strict") {
    const message = `the pool's stickiness "strict" promises one owner, and a spliced connection stays behind when its session goes elsewhere; use "relay", or a pool of stickiness "prefer"`;
    faults.push({ path: place, message });
  }
  return faults;
}

function resumeFaults(resume: unknown, path: Path): FoundFault[] {
  const given = ["profile", "prelude"].filter((name) => field(resume, name) !== undefined);
  const hook = field(resume, "handover") !== undefined;
  const idleHook = hook ? [{ path: [...path, "handover"], message: `only mode "handover" uses it; take it out, or change the mode` }] : [];
  const both = given.length === 2 ? [{ path: [...path, "prelude"], message: "a profile stands beside it, which says the same; take one out" }] : [];
  switch (field(resume, "mode")) {
    case "restart":
      return [
        ...given.map((name) => ({ path: [...path, name], message: `mode "restart" replays nothing; take it out, or change the mode` })),
        ...idleHook,
      ];
    case "transparent":
      if (given.length > 0) return [...both, ...idleHook];
      return [
        {
          path,
          message: `mode "transparent" must know what to replay; add a profile ("y-websocket", "hocuspocus", "graphql-ws" or "mqtt"), or a prelude of your own`,
        },
        ...idleHook,
      ];
    case "handover":
      if (hook) return both;
      return [{ path, message: `mode "handover" must know whom to ask; add handover: { path: "/handover" }` }, ...both];
    default:
      return [];
  }
}

function closeCodeFaults(route: unknown, path: Path): FoundFault[] {
  const codes = itemsOf(field(route, "rehomeOn"));
  return codes.flatMap((code, index) => {
    if (typeof code !== "number" || codes.indexOf(code) === index) return [];
    return [{ path: [...path, "rehomeOn", index], message: `${code} stands here twice; take one out` }];
  });
}

/** Whose protocol bears a new leg may be without one for a while, unless its origin would take the visitor for gone, or has more to say by itself. */
const PARKED_PROFILES: readonly unknown[] = ["y-websocket", "hocuspocus"];

function parkFaults(input: unknown, route: unknown, path: Path): FoundFault[] {
  const [park, resume] = [field(route, "park"), field(route, "resume")];
  if (!isFields(park) || field(route, "carry") === "splice") return []; // spliced, it has its own fault
  const [mode, profile, prelude] = [field(resume, "mode"), field(resume, "profile"), field(resume, "prelude")];
  const faults: FoundFault[] = [];
  if (mode !== "transparent" || (prelude === undefined && !PARKED_PROFILES.includes(profile)))
    faults.push({
      path: [...path, "park"],
      message: `a parked session has no origin for a while, which only resume with mode "transparent" and profile "y-websocket", "hocuspocus" or a prelude bears; change resume, or take this out`,
    });
  const [afterMs, poolName] = [field(park, "afterMs"), field(route, "pool")];
  const pool = typeof poolName === "string" ? field(field(input, "pools"), poolName) : undefined;
  const idleMs = field(field(pool, "session"), "idleMs") ?? LIMITS.sessionIdleMs.fallback;
  if (typeof afterMs === "number" && typeof idleMs === "number" && isFields(pool) && afterMs >= idleMs)
    faults.push({
      path: [...path, "park", "afterMs"],
      message: `found ${afterMs}, and the pool's sessions are over after session.idleMs (${idleMs}) without a word: nothing would ever be parked`,
    });
  const others = itemsOf(field(input, "routes")).filter(
    (other) => other !== route && field(other, "pool") === poolName && isFields(field(other, "park")),
  );
  const answered = JSON.stringify(field(park, "autoResponse") ?? null);
  if (others.some((other) => JSON.stringify(field(field(other, "park"), "autoResponse") ?? null) !== answered))
    faults.push({
      path: [...path, "park", "autoResponse"],
      message:
        "another parked route of this pool says something else; they share their carriers, which answer one ping: write the same in all of them",
    });
  return faults;
}

/** A region without coordinates is nearest to nobody: a fault only where visitors are to be sent to the nearest of several. */
function placeFaults(input: unknown, routes: readonly unknown[]): FoundFault[] {
  const [regions, pools] = [field(input, "regions"), field(input, "pools")];
  return routes.flatMap((route) => {
    const pool = field(route, "pool");
    if (field(route, "home") !== "visitor" || typeof pool !== "string") return [];
    const used = new Set(itemsOf(field(field(pools, pool), "origins")).map((origin) => field(origin, "region")));
    if (used.size < 2) return [];
    return entriesOf(regions).flatMap(([id, region]) => {
      if (!used.has(id) || !isFields(region) || hasPlace(id, region)) return [];
      return [
        {
          path: ["regions", id],
          message: `no visitor would ever be nearest to it; give hint, or latitude and longitude, because a route has home "visitor"`,
        },
      ];
    });
  });
}

function hasPlace(id: string, region: unknown): boolean {
  const hint = field(region, "hint");
  if (field(region, "latitude") !== undefined || field(region, "longitude") !== undefined) return true;
  // A hint that is none has its own fault.
  return hint !== undefined || locationHint(id) !== undefined;
}

/** A route behind one of the same path, and of no further conditions than its own, never gets a request. */
function unreachableFaults(routes: readonly unknown[]): FoundFault[] {
  const byPath = new Map<string, { conditions: ReadonlySet<string>; index: number }[]>();
  return routes.flatMap((route, index) => {
    const path = field(route, "path");
    const conditions = conditionsOf(route);
    if (typeof path !== "string" || routePathFault(path) !== undefined || !conditions) return [];
    const shape = path.replace(/\/:[^/]+/g, "/:");
    const earlier = byPath.get(shape) ?? [];
    byPath.set(shape, [...earlier, { conditions, index }]);
    const cover = earlier.find((other) => [...other.conditions].every((condition) => conditions.has(condition)));
    return cover === undefined
      ? []
      : [
          {
            path: ["routes", index],
            message: `routes[${cover.index}] takes every request before it gets here; take one out, or put the narrower one first`,
          },
        ];
  });
}

/** What a request must have besides the path; `undefined` where that is malformed. */
function conditionsOf(route: unknown): ReadonlySet<string> | undefined {
  const [host, header] = [field(route, "host"), field(route, "header")];
  if ((host !== undefined && typeof host !== "string") || (header !== undefined && !isFields(header))) return undefined;
  const conditions = entriesOf(header).map(([name, value]) => `header ${name.toLowerCase()}=${typeof value === "string" ? value : ""}`);
  return new Set(host === undefined ? conditions : [...conditions, `host ${host.toLowerCase()}`]);
}
