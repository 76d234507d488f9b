// Which headers pass between visitor and origin. Hop-by-hop fields end here (RFC 9110 §7.6.1), and so does whatever only we may set. Each call on
// a Headers is a crossing into the runtime: a request's are read in one, and an answer's are left alone where nothing has to be taken out.

import { withoutTags } from "./learned.ts";

const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** Ours alone, in either direction: the field itself and everything internal that starts like it. */
const OURS = "limpet(?:-.*)?";

/** Our cookies, of any pool: no origin sees one, and none sets one. */
const OUR_COOKIE = /^(__host-|__secure-)?limpet-[a-z0-9-]+$/i;

/** What only we may say of where a request came from. */
const WHENCE = [
  "x-forwarded(?:-.*)?",
  "x-real-ip",
  "forwarded(?:-.*)?",
  "x-original-(?:url|host|forwarded-.*)",
  "x-rewrite-url",
  "(?:x-|x-cluster-|true-|fastly-)client-ip",
];

/** Our name on the way (RFC 9110 §7.6.3): a request that bears it has been here. */
const VIA = "1.1 limpet";

/** WebSocket handshake fields that belong to one connection and are made anew on the next. */
const HANDSHAKE = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept"];

/** Names as the runtime gives them, in lower case. */
const namesOf = (...names: readonly string[]): RegExp => new RegExp(`^(?:${names.join("|")})$`);
const STAYS_WITH_VISITOR = namesOf(...HOP_BY_HOP, ...HANDSHAKE, OURS, ...WHENCE);
const STAYS_WITH_ORIGIN = namesOf(...HOP_BY_HOP, ...HANDSHAKE, OURS);
/** What servers say of their own connection with every answer, and the runtime replaces by itself. */
const REPLACED = namesOf("connection", "keep-alive", "transfer-encoding");
const PLAIN_CONNECTION = /^\s*(?:keep-alive|close)\s*$/i;

/** Other fields that belong to one request, or that only we may say. */
const PER_REQUEST = [
  "host",
  "content-length",
  "via",
  "cookie",
  "accept-encoding",
  "last-event-id",
  "signature",
  "signature-input",
  "sec-websocket-.*",
];
const SAID_PER_REQUEST = namesOf(...HOP_BY_HOP, ...PER_REQUEST, OURS);

/** Whether a header may be the same with every request to an origin, whoever asks: then the configuration may say it. */
export function maySayAlways(name: string): boolean {
  return !SAID_PER_REQUEST.test(name.toLowerCase());
}

/** Header names in lower case and their values. */
export type HeaderRecord = Record<string, string>;

export interface Forwarded {
  readonly visitorIp: string | null;
  readonly host: string;
  readonly scheme: string;
  readonly style: "x-forwarded" | "forwarded" | "off";
  /** Draws our own part of a visitor's trace: 16 random hexadecimal digits. */
  readonly newSpanId: () => string;
}

/** All headers of a message, read in one crossing. */
export function recordOf(headers: Headers): HeaderRecord {
  const record: HeaderRecord = Object.create(null); // a header may be called __proto__
  headers.forEach((value, name) => {
    record[name] = value;
  });
  return record;
}

/** The headers of a visitor's request as its origin gets them; the `Limpet` field is added by whoever carries it. */
export function requestHeaders(given: Readonly<HeaderRecord>, facts: Forwarded): HeaderRecord {
  const headers: HeaderRecord = Object.create(null);
  for (const name in given) if (!STAYS_WITH_VISITOR.test(asRead(name))) headers[name] = given[name] ?? "";
  for (const name of connectionOptions(given["connection"])) delete headers[name];
  if (facts.style === "x-forwarded") {
    if (facts.visitorIp !== null) headers["x-forwarded-for"] = facts.visitorIp;
    headers["x-forwarded-host"] = facts.host;
    headers["x-forwarded-proto"] = facts.scheme;
  }
  if (facts.style === "forwarded") headers["forwarded"] = forwardedField(facts);
  withoutOurCookies(headers);
  continueTrace(headers, facts.newSpanId);
  headers["via"] = headers["via"] === undefined ? VIA : `${headers["via"]}, ${VIA}`;
  return headers;
}

/** As servers behind CGI and its heirs read a name: to them an underscore is a hyphen. */
function asRead(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}

/** RFC 7239 §4: an address of IPv6 in brackets, and whatever is no token in quotes. */
function forwardedField({ visitorIp, host, scheme }: Forwarded): string {
  const node = visitorIp?.includes(":") ? `[${visitorIp}]` : visitorIp;
  const parts = [
    ["for", node ?? "unknown"],
    ["host", host],
    ["proto", scheme],
  ] as const;
  return parts.map(([name, value]) => `${name}=${/^[\w.-]+$/.test(value) ? value : JSON.stringify(value)}`).join(";");
}

/** W3C Trace Context §3.2: a trace goes on with us as its latest part; one that cannot be read is not passed on. */
function continueTrace(headers: HeaderRecord, newSpanId: () => string): void {
  const given = headers["traceparent"];
  if (given === undefined) return;
  const [, version, trace, parent, flags] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(given) ?? [];
  const readable =
    version !== undefined &&
    version !== "ff" &&
    !/^0+$/.test(trace ?? "0") &&
    !/^0+$/.test(parent ?? "0") &&
    (version !== "00" || given.length === 55);
  if (readable) headers["traceparent"] = `00-${trace}-${newSpanId()}-${flags}`;
  else for (const name of ["traceparent", "tracestate"]) delete headers[name];
}

/** Whether this request has come through a Limpet before: an origin that leads back here would send it round for ever. */
export function isLoop(via: string | undefined): boolean {
  return via !== undefined && via.split(",").some((each) => each.trim().toLowerCase() === VIA);
}

/** Whether an origin's answer has nothing that visitors must not get: it may then pass as it is. */
export function mayPass(incoming: Headers): boolean {
  for (const name of incoming.keys()) {
    if (STAYS_WITH_ORIGIN.test(name) && !REPLACED.test(name)) return false;
    if (name === "connection" && !PLAIN_CONNECTION.test(incoming.get(name) ?? "")) return false; // it may name others
    if (name === "set-cookie" && incoming.getSetCookie().some((cookie) => OUR_COOKIE.test(nameIn(cookie)))) return false;
  }
  return true;
}

/** The headers of an origin's answer as the visitor gets them. */
export function responseHeaders(incoming: Headers): Headers {
  const headers = new Headers(incoming);
  for (const name of connectionOptions(incoming.get("connection") ?? undefined)) headers.delete(name);
  for (const name of Array.from(headers.keys())) if (STAYS_WITH_ORIGIN.test(name)) headers.delete(name);
  const cookies = headers.getSetCookie();
  if (cookies.length === 0) return headers;
  headers.delete("set-cookie");
  for (const cookie of cookies) if (!OUR_COOKIE.test(nameIn(cookie))) headers.append("set-cookie", cookie);
  return headers;
}

/** The fields that `Connection` makes hop-by-hop; what is no token is none. */
function connectionOptions(connection: string | undefined): string[] {
  if (connection === undefined) return [];
  const options = connection.toLowerCase().split(",");
  return options.map((option) => option.trim()).filter((option) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(option));
}

/** Without our cookies, and without the tags of other servers' (`learn`). */
function withoutOurCookies(headers: HeaderRecord): void {
  const given = headers["cookie"];
  if (given === undefined || !/limpet/i.test(given)) return;
  const pairs = given.split(";").map((pair) => pair.trim());
  const others = pairs.filter((pair) => !OUR_COOKIE.test(nameIn(pair)));
  if (others.length > 0) headers["cookie"] = withoutTags(others.join("; "));
  else delete headers["cookie"];
}

function nameIn(pair: string): string {
  return pair.split("=", 1)[0]?.trim() ?? "";
}
