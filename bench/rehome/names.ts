// Who is who: visitors are numbered through all sessions, so that a number alone says whose frame it is; and what is said on the wire.
// To the origin: `h<visitor>` (a hello, the first frame of a connection and its prelude), `v<visitor>.<n>`.
// To the visitor: `a<visitor>.<n>` (the answer to that frame), `p<leg>.<n>` (pushed by the origin on that leg).

export const VISITORS_PER_SESSION = 2;

export function sessionOf(visitor: number): number {
  return Math.floor(visitor / VISITORS_PER_SESSION);
}

export function keyOf(session: number): string {
  return `s-${session}`;
}

/** The path of a visitor's WebSocket: everyone of a session has the same. */
export function pathOf(visitor: number): string {
  return `/s/${keyOf(sessionOf(visitor))}`;
}

/** The two numbers behind the letter of a frame. */
export function numbersIn(frame: string): readonly [whose: number, n: number] {
  const [whose, n] = frame.slice(1).split(".");
  return [Number(whose), Number(n)];
}
