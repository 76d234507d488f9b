// Which headers pass between visitor and origin. Hop-by-hop fields end here (RFC 9110 §7.6.1), and so does whatever only we may set.

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
const OURS = /^limpet(-|$)/;

/** Our cookies, of any pool: no origin sees one, and none sets one. */
const OUR_COOKIE = /^(__host-|__secure-)?limpet-[a-z0-9-]+$/i;

/** What only we may say of where a request came from. */
const WHENCE = /^(x-forwarded-.*|x-real-ip|forwarded|x-original-(url|host)|true-client-ip)$/;

/** Our name on the way (RFC 9110 §7.6.3): a request that bears it has been here. */
const VIA = "1.1 limpet";

/** WebSocket handshake fields that belong to one connection and are made anew on the next. */
const HANDSHAKE = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept"];

/** Other fields that belong to one request, or that only we may say. */
const PER_REQUEST = ["host", "content-length", "via", "cookie", "accept-encoding", "last-event-id", "signature", "signature-input"];

/** Whether a header may be the same with every request to an origin, whoever asks: then the configuration may say it. */
export function maySayAlways(name: string): boolean {
  const lower = name.toLowerCase();
  return !HOP_BY_HOP.includes(lower) && !PER_REQUEST.includes(lower) && !OURS.test(lower) && !lower.startsWith("sec-websocket-");
}

export interface Forwarded {
  readonly visitorIp: string | null;
  readonly host: string;
  readonly scheme: string;
  readonly style: "x-forwarded" | "forwarded" | "off";
  /** Draws our own part of a visitor's trace: 16 random hexadecimal digits. */
  readonly newSpanId: () => string;
}

/** The headers of a visitor's request as its origin gets them; the `Limpet` field is added by whoever carries it. */
export function requestHeaders(incoming: Headers, facts: Forwarded): Headers {
  const headers = passing(incoming);
  for (const name of Array.from(headers.keys()).filter((each) => WHENCE.test(each))) headers.delete(name);
  if (facts.style === "x-forwarded") {
    if (facts.visitorIp !== null) headers.set("x-forwarded-for", facts.visitorIp);
    headers.set("x-forwarded-host", facts.host);
    headers.set("x-forwarded-proto", facts.scheme);
  }
  if (facts.style === "forwarded") headers.set("forwarded", forwardedField(facts));
  withoutOurCookies(headers);
  continueTrace(headers, facts.newSpanId);
  headers.append("via", VIA);
  return headers;
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
function continueTrace(headers: Headers, newSpanId: () => string): void {
  const given = headers.get("traceparent");
  if (given === null) return;
  const [, version, trace, parent, flags] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(given) ?? [];
  const readable =
    version !== undefined &&
    version !== "ff" &&
    !/^0+$/.test(trace ?? "0") &&
    !/^0+$/.test(parent ?? "0") &&
    (version !== "00" || given.length === 55);
  if (readable) headers.set("traceparent", `00-${trace}-${newSpanId()}-${flags}`);
  else for (const name of ["traceparent", "tracestate"]) headers.delete(name);
}

/** Whether this request has come through a Limpet before: an origin that leads back here would send it round for ever. */
export function isLoop(incoming: Headers): boolean {
  return (incoming.get("via") ?? "").split(",").some((each) => each.trim().toLowerCase() === VIA);
}

/** The headers of an origin's answer as the visitor gets them. */
export function responseHeaders(incoming: Headers): Headers {
  const headers = passing(incoming);
  const cookies = headers.getSetCookie();
  if (cookies.length === 0) return headers;
  headers.delete("set-cookie");
  for (const cookie of cookies) if (!OUR_COOKIE.test(nameIn(cookie))) headers.append("set-cookie", cookie);
  return headers;
}

function passing(incoming: Headers): Headers {
  const headers = new Headers(incoming);
  for (const name of incoming.get("connection")?.split(",") ?? []) {
    const token = name.trim().toLowerCase();
    if (/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(token)) headers.delete(token);
  }
  for (const name of [...HOP_BY_HOP, ...HANDSHAKE]) headers.delete(name);
  for (const name of Array.from(headers.keys()).filter((each) => OURS.test(each))) headers.delete(name);
  return headers;
}

function withoutOurCookies(headers: Headers): void {
  const pairs =
    headers
      .get("cookie")
      ?.split(";")
      .map((pair) => pair.trim()) ?? [];
  const others = pairs.filter((pair) => !OUR_COOKIE.test(nameIn(pair)));
  if (others.length === pairs.length) return;
  if (others.length > 0) headers.set("cookie", others.join("; "));
  else headers.delete("cookie");
}

function nameIn(pair: string): string {
  return pair.split("=", 1)[0]?.trim() ?? "";
}
