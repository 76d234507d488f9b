// Which headers pass between visitor and origin. Hop-by-hop fields end here (RFC 9110 §7.6.1), and so does whatever only we may set.

import { parseCookies } from "./identity.ts";

const HOP_BY_HOP = ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/** Ours alone, in either direction: the field itself and everything internal that starts like it. */
const OURS = /^limpet(-|$)/;

/** WebSocket handshake fields that belong to one connection and are made anew on the next. */
const HANDSHAKE = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept"];

export interface Forwarded {
  readonly visitorIp: string | null;
  readonly host: string;
  readonly scheme: string;
  /** Name of our cookie on this pool: the origin does not see it. */
  readonly cookieName: string;
  readonly style: "x-forwarded" | "off";
}

/** The headers of a visitor's request as its origin gets them; the `Limpet` field is added by whoever carries it. */
export function requestHeaders(incoming: Headers, facts: Forwarded): Headers {
  const headers = passing(incoming);
  for (const name of ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded"]) headers.delete(name);
  if (facts.style === "x-forwarded") {
    if (facts.visitorIp !== null) headers.set("x-forwarded-for", facts.visitorIp);
    headers.set("x-forwarded-host", facts.host);
    headers.set("x-forwarded-proto", facts.scheme);
  }
  withoutOurCookie(headers, facts.cookieName);
  return headers;
}

/** The headers of an origin's answer as the visitor gets them. */
export function responseHeaders(incoming: Headers): Headers {
  return passing(incoming);
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

function withoutOurCookie(headers: Headers, cookieName: string): void {
  const cookie = headers.get("cookie");
  if (cookie === null || !parseCookies(cookie).has(cookieName)) return;
  const others = cookie.split(";").filter((pair) => pair.split("=")[0]?.trim() !== cookieName).map((pair) => pair.trim());
  if (others.length > 0) headers.set("cookie", others.join("; "));
  else headers.delete("cookie");
}
