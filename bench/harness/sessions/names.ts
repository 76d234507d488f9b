// Who is who: visitors are numbered through all sessions, so that a number alone says whose frame it is; and what is said on the wire.
// To the origin: `h<visitor>` (a hello, the first frame of a connection and its prelude), `v<visitor>.<n>`.
// To the visitor: `a<visitor>.<n>` (the answer to that frame), `p<leg>.<n>` (pushed by the origin on that leg).
// One session in so many has a listener too: it reads the session's log as server-sent events, each with its number as its id and
// `e<session>.<number>` as its data. Its first event, of the type `joined`, has the number of the last that it is not told of. Listeners bear
// their session's number.
// Pages are plain requests, of no session of these.

export const VISITORS_PER_SESSION = 2;
const SESSIONS_PER_LISTENER = 5;
/** Pages are below this path; a header of theirs names the origin that made them. */
export const PAGES = "/pages/";
export const MADE_BY = "x-made-by";

export function sessionOf(visitor: number): number {
  return Math.floor(visitor / VISITORS_PER_SESSION);
}

export function keyOf(session: number): string {
  return `s-${session}`;
}

export function hasListener(session: number): boolean {
  return session % SESSIONS_PER_LISTENER === 0;
}

/** The path of all that a session's visitors open. */
export function sessionPath(session: number): string {
  return `/s/${keyOf(session)}`;
}

export function sessionOfPath(path: string): number | undefined {
  const session = /^\/s\/s-(\d+)$/.exec(path)?.[1];
  return session === undefined ? undefined : Number(session);
}

export function pathOf(visitor: number): string {
  return sessionPath(sessionOf(visitor));
}

/** The two numbers behind the letter of a frame. */
export function numbersIn(frame: string): readonly [whose: number, n: number] {
  const [whose, n] = frame.slice(1).split(".");
  return [Number(whose), Number(n)];
}
