// What each kind of text in the configuration must look like. Each function gives the fault of a value, or `undefined` for a good one.

import { TEXT_MAX } from "./config-limits.ts";
import { found, quoted } from "./config-words.ts";
import { maySayAlways } from "./headers.ts";

/** Paths that are answered by Limpet itself, whatever the routes say. */
const OWN_PATH = "/_limpet";

const ID = /^[a-z0-9-]{1,32}$/;
/** RFC 9110 §5.6.2: names of headers, and of cookies by RFC 6265 §4.1.1. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 1123 §2.1: letters, digits and inner hyphens, at most 63 in a label. */
const HOST = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** Names in the Worker's environment that are ours. */
const OWN_BINDING = /^(LIMPET_(SECRET|ADMIN_TOKENS|DEV|DEV_INFO)|RING|CARRIER|CONTROL|AFFINITY|ASSETS)$/;
/** Names under which no origin may be bound: a later Limpet may bring more of its own. */
const OWN_PREFIX = /^LIMPET_/;
/** Shorter ones can be found by trying. */
const SEED_LEAST = 16;
const PARAMETER = /^:[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

export function idFault(value: unknown): string | undefined {
  if (typeof value === "string" && ID.test(value)) return undefined;
  return `found ${found(value)}; an id is 1 to 32 characters of a–z, 0–9 and "-"`;
}

/** A secret: what was found is not repeated. */
export function seedFault(value: unknown): string | undefined {
  if (typeof value === "string" && value.length >= SEED_LEAST && value.length <= TEXT_MAX.seed) return undefined;
  return `a seed is a text of ${SEED_LEAST} to ${TEXT_MAX.seed} characters that nobody can guess, like the output of "openssl rand -hex 16"`;
}

export function claimFault(value: unknown): string | undefined {
  if (typeof value === "string" && value.length <= TEXT_MAX.token && /^[^.\s]+(\.[^.\s]+)*$/.test(value)) return undefined;
  return `found ${found(value)}; a claim is a name like "sub", or names on the way to it like "org.id"`;
}

export function secretNameFault(value: unknown): string | undefined {
  const named = typeof value === "string" && value.length <= TEXT_MAX.token && /^[A-Z][A-Z0-9_]*$/.test(value);
  if (named && OWN_BINDING.test(value)) return `found ${found(value)}, which is Limpet's own; it needs a secret of its own, under another name`;
  return named
    ? undefined
    : `it needs the *name* of a Worker secret, like "SESSION_JWT_KEY" (set by \`npx wrangler secret put\`), never the secret itself`;
}

/** A Fetcher in the Worker's environment: a service, a VPC service, an mTLS certificate. */
export function bindingFault(value: unknown): string | undefined {
  const named = typeof value === "string" && value.length <= TEXT_MAX.token && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value);
  if (named && (OWN_BINDING.test(value) || OWN_PREFIX.test(value)))
    return `found ${found(value)}, which is Limpet's own; bind the origin under another name`;
  return named ? undefined : `found ${found(value)}; needed is the name of a binding in wrangler.toml, like "COLLAB_VPC"`;
}

/** How the receiver of a signature finds its key. */
export function keyIdFault(value: unknown): string | undefined {
  if (typeof value === "string" && value.length <= TEXT_MAX.token && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)) return undefined;
  return `found ${found(value)}; a key's id is 1 to ${TEXT_MAX.token} characters of ASCII without blanks, '"' and "\\", like "limpet-2027"`;
}

/** Where public keys are; http only where the tokens are tried out. */
export function jwksFault(value: unknown): string | undefined {
  const url = parsedUrl(value);
  if (url && value !== "" && (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "") return undefined;
  return `found ${found(value)}; keys are at an address like "https://issuer.example.com/.well-known/jwks.json"`;
}

/** A name of something else: whether that exists is checked where all of it can be seen. */
export function nameFault(what: string): (value: unknown) => string | undefined {
  return (value) => (typeof value === "string" && value !== "" ? undefined : `found ${found(value)}; needed is ${what}`);
}

export function tokenFault(value: unknown): string | undefined {
  if (typeof value === "string" && value.length <= TEXT_MAX.token && TOKEN.test(value)) return undefined;
  return `found ${found(value)}; a cookie's or header's name is 1 to ${TEXT_MAX.token} letters, digits or !#$%&'*+-.^_\`|~`;
}

/** What the runtime takes is longer (2,048 characters), but a ping is short. */
export function pingFault(value: unknown): string | undefined {
  if (typeof value === "string" && value !== "" && value.length <= TEXT_MAX.token) return undefined;
  return `found ${found(value)}; needed is the text of a whole message, 1 to ${TEXT_MAX.token} characters, like "ping"`;
}

export function headerValueFault(value: unknown): string | undefined {
  const fits = typeof value === "string" && value.length <= TEXT_MAX.headerValue && /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/.test(value);
  return fits
    ? undefined
    : `found ${found(value)}; a header's value is printable ASCII without blanks at its ends, at most ${TEXT_MAX.headerValue} characters`;
}

/** The name of a header that every request to an origin bears. */
export function originHeaderNameFault(name: string): string | undefined {
  const fault = tokenFault(name);
  if (fault !== undefined || maySayAlways(name)) return fault;
  return `${quoted(name)} belongs to one request or connection, or is Limpet's own to say; take it out`;
}

/** The value of such a header. It may be a secret: what was found is not repeated. */
export function originHeaderFault(value: unknown): string | undefined {
  const fits = typeof value === "string" && value.length <= TEXT_MAX.originHeader && /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/.test(value);
  return fits
    ? undefined
    : `a header's value is printable ASCII without blanks at its ends, at most ${TEXT_MAX.originHeader} characters; or { secret: "NAME" }, the name of a Worker secret`;
}

export function hostFault(value: unknown): string | undefined {
  if (typeof value === "string" && value.length <= TEXT_MAX.host && HOST.test(value)) return undefined;
  return `found ${found(value)}; a host name is like "app.example.com", without scheme, port or path, and in its ASCII form (xn--…)`;
}

/** A host name, or `*.` before one: any host below it. */
export function hostPatternFault(value: unknown): string | undefined {
  const host = typeof value === "string" && value.startsWith("*.") ? value.slice(2) : value;
  if (hostFault(host) === undefined) return undefined;
  return `found ${found(value)}; a host name is like "weur-1.example.com", or "*.example.com" for all below it`;
}

/** An origin's URL: where to connect, nothing more. Whether http is allowed is checked with `dev` in sight. */
export function originUrlFault(value: unknown): string | undefined {
  return bareUrlFault(value, `an origin's url is like "https://weur-1.example.com"`);
}

/** Of an address that the open network leads to, outside dev. */
export function openUrlFault(url: string): string | undefined {
  if (!url.startsWith("http:")) return undefined;
  return `found ${quoted(url)}; outside dev an origin is reached by https: session keys and cookies travel there`;
}

/** The origin of a web page, as a browser's `Origin` header names it. */
export function webOriginFault(value: unknown): string | undefined {
  return bareUrlFault(value, `a web page's origin is like "https://app.example.com"; to allow all, leave allowedOrigins out`);
}

/** A bare URL as it is compared: lower case, without a default port, without a closing slash. `undefined` for anything else. */
export function bareUrl(value: unknown): string | undefined {
  const url = parsedUrl(value);
  return url === undefined || bareFault(url, "") !== undefined ? undefined : url.origin;
}

/** The path of a health check; a query is allowed. */
export function checkPathFault(value: unknown): string | undefined {
  if (!isPathText(value)) return `found ${found(value)}; a path starts with "/" and is at most ${TEXT_MAX.path} characters, like "/healthz"`;
  return rewriteFault(value);
}

export function cookiePathFault(value: unknown): string | undefined {
  if (isPathText(value) && /^[\x21-\x3a\x3c-\x7e]+$/.test(value)) return undefined;
  return `found ${found(value)}; a cookie's path starts with "/" and has no ";", blank or control character`;
}

/** A route's path: literal segments, `:name` for one segment, a closing `*` for the rest. */
export function routePathFault(value: unknown): string | undefined {
  if (!isPathText(value))
    return `found ${found(value)}; a route's path starts with "/", like "/collab/:session" or "/*", at most ${TEXT_MAX.path} characters`;
  if (value === OWN_PATH || value.startsWith(`${OWN_PATH}/`)) return `${OWN_PATH} and everything below it is Limpet's own; choose another path`;
  const segments = value.slice(1).split("/");
  for (const [index, segment] of segments.entries()) {
    const fault = segmentFault(segment, index === segments.length - 1);
    if (fault !== undefined) return fault;
  }
  const names = parametersOf(value);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return `":${twice}" stands there twice; give each segment its own name`;
  return /[?#]/.test(value) ? `a route's path has no query and no fragment; take out "?" or "#"` : rewriteFault(value);
}

/** The names of a path's `:name` segments, in order. */
export function parametersOf(path: string): string[] {
  return path.split("/").flatMap((segment) => (segment.startsWith(":") ? [segment.slice(1)] : []));
}

function isPathText(value: unknown): value is string {
  return typeof value === "string" && value.startsWith("/") && value.length <= TEXT_MAX.path;
}

function segmentFault(segment: string, last: boolean): string | undefined {
  if (segment === "") return last ? undefined : `an empty segment ("//") never matches; take it out`;
  if (segment === "*") return last ? undefined : `"*" stands only at the end, for all the rest; use ":name" for one segment`;
  if (segment.includes("*")) return `found the segment ${quoted(segment)}; "*" is a segment of its own, at the end`;
  if (!segment.includes(":")) return undefined;
  if (PARAMETER.test(segment)) return undefined;
  return `found the segment ${quoted(segment)}; ":name" is a whole segment, of letters, digits, "_" and "-" after a letter or "_"`;
}

/** Requests arrive as the URL standard writes them; a path that it would write differently matches nothing. */
function rewriteFault(path: string): string | undefined {
  const url = URL.canParse(`http://host${path}`) ? new URL(`http://host${path}`) : undefined;
  const written = url === undefined ? "" : url.pathname + url.search;
  return written === path ? undefined : `found ${quoted(path)}, which no request has; a request for it says ${quoted(written)}: write that`;
}

function bareUrlFault(value: unknown, example: string): string | undefined {
  const url = parsedUrl(value);
  return url === undefined ? `found ${found(value)}; ${example}` : bareFault(url, example);
}

function bareFault(url: URL, example: string): string | undefined {
  if (url.protocol !== "http:" && url.protocol !== "https:") return `found the scheme ${quoted(url.protocol)}; ${example}`;
  if (url.username !== "" || url.password !== "") return `it carries credentials, which would be sent and logged; take them out: ${example}`;
  // `href` keeps a lone "?" or "#", which `search` and `hash` do not show.
  const more = [url.pathname !== "/" ? "a path" : "", url.href.includes("?") ? "a query" : "", url.href.includes("#") ? "a fragment" : ""].filter(
    Boolean,
  );
  return more.length === 0 ? undefined : `it has ${more.join(" and ")}, which the visitor's request brings; take it out: ${example}`;
}

function parsedUrl(value: unknown): URL | undefined {
  if (typeof value !== "string" || value.length > TEXT_MAX.url) return undefined;
  try {
    return new URL(value);
  } catch {
    return undefined; // Not a URL: the caller says so. `canParse` first would parse each one twice.
  }
}
