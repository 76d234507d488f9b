// The event history that all origins share without talking: event N of every session exists from N × 200 ms after the Unix epoch on.
// Because it is a function of the clock alone, an origin that has never seen a visitor can go on where another one stopped, which is
// what resuming an SSE stream by `Last-Event-ID` needs. An application would read a shared log here. Pure: time comes in.

export const EVENT_EVERY_MS = 200;

/** At most this many missed events are sent after a pause (100 s); older ones are gone, as in any bounded log. */
export const MISSED_MAX = 500;

/** An id further ahead than this was never handed out by an origin whose clock is right (5 s). */
const AHEAD_MAX = 5_000 / EVENT_EVERY_MS;

export function newestEvent(nowMs: number): number {
  return Math.floor(nowMs / EVENT_EVERY_MS);
}

/** Milliseconds until the next event exists. */
export function untilNextEventMs(nowMs: number): number {
  return EVENT_EVERY_MS - (nowMs % EVENT_EVERY_MS);
}

/** The oldest event that is still kept. */
export function oldestEvent(nowMs: number): number {
  return newestEvent(nowMs) - MISSED_MAX + 1;
}

/** The first event to send to a visitor who saw `lastEventId` last; the newest one for whoever comes new or says something impossible. */
export function firstEventAfter(lastEventId: string | undefined, nowMs: number): number {
  const newest = newestEvent(nowMs);
  if (lastEventId === undefined || !/^\d{1,15}$/.test(lastEventId)) return newest;
  const wanted = Number(lastEventId) + 1;
  if (wanted > newest + AHEAD_MAX) return newest;
  return Math.max(wanted, oldestEvent(nowMs));
}
