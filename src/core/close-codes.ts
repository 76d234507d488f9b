// Which close codes may be sent, and what a received one becomes on the other leg.
// workerd's close() throws for 999, 1004, 1005, 1006, 1015 and from 5000 on, and wrongly accepts 1016–2999 (seen on 1.20261117).

export interface Close {
  readonly code: number;
  readonly reason: string;
}

/** Sent where a visitor should come back: its origin, or the router, starts again. */
export const RESTART: Close = { code: 1012, reason: "service restart: please reconnect" };
/** Sent where the new origin refuses what the visitor said when it opened: most often a fresh token is needed. */
export const STALE_HANDSHAKE: Close = { code: 1012, reason: "the new origin wants a fresh handshake: please reconnect" };
/** Sent where a session ends because nobody has said anything for as long as its pool allows. */
export const IDLE: Close = { code: 1001, reason: "nothing was said for too long" };
/** Sent where an origin or an operator has ended the session. */
export const SESSION_OVER: Close = { code: 1000, reason: "this session is over" };
/** Sent where the origins of a session keep dying: coming back at once would take the next one. */
export const QUARANTINED: Close = { code: 1013, reason: "the origins of this session keep dying: please try again later" };
/** Sent where a bound was passed and frames may be lost otherwise. */
export const overloaded = (reason: string): Close => ({ code: 1013, reason });

/** How a connection that broke off is seen (RFC 6455 §7.1.5): no close frame came. */
export const LOST: Close = { code: 1006, reason: "the connection was lost" };
/** Sent to the origin whose session goes elsewhere, and to one whose visitor has gone without a word. */
export const MOVING: Close = { code: 1012, reason: "this session moves to another origin" };
/** Sent to the origin whose session has nothing to say for a while. */
export const PARKING: Close = { code: 1012, reason: "this session is parked until somebody speaks, or you wake it" };
export const GOING: Close = { code: 1001, reason: "" };

/** What a close event says. */
export function closeOf({ code, reason }: Close): Close {
  return code === 1006 ? LOST : { code, reason };
}

/** The answer to a close that nobody may send. */
const PROTOCOL_ERROR: Close = { code: 1002, reason: "" };

/** Greatest length of a close reason: 125 bytes of a control frame less 2 of the code (RFC 6455 §5.5). */
const REASON_MAX_BYTES = 125 - 2;

/**
 * The close to send for one that was received. `undefined`: close without a code (none was received, 1005).
 * Codes that stand for a lost peer (1006, 1015) become 1011; codes nobody may send become 1011 too.
 */
export function relayed(received: Close): Close | undefined {
  if (received.code === 1005 || received.code === 0) return undefined;
  return { code: isSendable(received.code) ? received.code : 1011, reason: shortened(received.reason) };
}

/** What its sender is answered where the other side has no answer of its own. */
export function answerTo(received: Close): Close | undefined {
  if (received.code === 1005 || received.code === 0) return undefined;
  return isSendable(received.code) ? relayed(received) : PROTOCOL_ERROR;
}

/** Whether a received close stands for a peer that said what nobody may: it is told so itself. A lost one is another matter. */
export function isFaulty({ code }: Close): boolean {
  return code !== 0 && code !== 1005 && code !== 1006 && !isSendable(code);
}

/**
 * What the runtime's `error` event stands for. It ends a connection whose peer broke the protocol by itself, says so to that peer (1002, or 1009
 * for a message of more than 32 MiB), and tells us in a text alone (workerd 1.20261117); an error without that text is a lost connection.
 */
export function brokenProtocol(message: string): Close | undefined {
  const code = /protocolError\.statusCode = (\d{4})/.exec(message)?.[1];
  if (code === undefined) return undefined;
  return {
    code: 1011,
    reason: code === "1009" ? "the other side sent a message of more than 32 MiB" : "the other side broke the WebSocket protocol",
  };
}

/** Whether the code is one of the application's own (RFC 6455 §7.4.2). */
export function isApplications({ code }: Close): boolean {
  return code >= 3000;
}

export function isSendable(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

function shortened(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  if (bytes.length <= REASON_MAX_BYTES) return reason;
  // A cut in mid-character leaves one replacement character (3 bytes), which is taken off.
  return new TextDecoder().decode(bytes.slice(0, REASON_MAX_BYTES)).replace(/\uFFFD$/, "");
}
