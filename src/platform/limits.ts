// Every wait and buffer that is not the configuration's: meaning, unit, and what goes wrong outside it. One place.

/** A WebSocket handshake or the headers of a stream. Shorter cuts slow origins off; longer leaves visitors hanging. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;

/** How long a visitor's connection may be without an origin before the visitor is told (close 1012, 503). */
export const RECONNECT_DEADLINE_MS = 15_000;

/** The same for a visitor who is just arriving: nobody waits longer for a first answer. */
export const ARRIVAL_DEADLINE_MS = 5_000;

/** Waits between attempts to reach an origin, in order; the last repeats. The first re-dial is immediate. */
export const RECONNECT_BACKOFF_MS = [50, 150, 300, 600, 1_000] as const;

/** A move's longest wait for `enter` after `leave`: past it the carrier asks the ring object itself. */
export const MOVE_DEADLINE_MS = 6_000;

/** An origin that accepts a connection's leg and closes it again, this often within the window, is given up: the visitor comes back. */
export const RESETS_MAX = 6;
export const RESETS_WINDOW_MS = 30_000;

/** Longest wait for an origin to fall quiet before a planned close: a busy origin never does. */
export const QUIET_MAX_MS = 500;

/** Frames of one visitor held back in a move; past either the visitor is told (1013). */
export const HELD_FRAMES_MAX = 2_000;
export const HELD_BYTES_MAX = 4 * 1024 * 1024;
/** Held by one carrier altogether: an object has 128 MB. */
export const HELD_BYTES_MAX_PER_CARRIER = 32 * 1024 * 1024;

/** Bytes waiting in a socket for a slow reader; past it that reader is told (1013). */
export const SOCKET_BUFFER_MAX_BYTES = 8 * 1024 * 1024;

/** Sessions asked about in one call: a storm of 10,000 is a few dozen calls. */
export const BATCH_MAX = 256;

/** A ring object's wait for its carriers' tables after it started. */
export const PULL_TIMEOUT_MS = 1_500;

/** Probes under way at once, of the six outgoing handshakes an object has. */
export const PROBE_SLOTS = 4;
/** Between probes of one verdict that somebody asked for. */
export const VERDICT_SPACING_MS = 100;

/** Answers kept for calls that a carrier repeats. */
export const ANSWERS_KEPT = 64;

/** Between two tries to move sessions off an origin when nobody could take them. */
export const EVACUATE_AGAIN_MS = 500;

/** Between two comparisons of guests with their home rings (less where the horizon is shorter). */
export const GUESTS_EVERY_MS = 10_000;

/** Sessions in the published table of hints; of further ones a Worker asks the ring object. About 1 MB in KV and in each isolate. */
export const HINTS_MAX = 10_000;

/**
 * Sessions that a ring keeps at an origin by an origin's order (`Limpet: replay`); one more, and the oldest is forgotten: its origin says again where
 * it is. Well below HINTS_MAX: where keys are the visitors' choice, nobody may fill that table for all.
 */
export const ORDERS_MAX = 5_000;

/** Between two looks for orders that are over. */
export const SWEEP_ORDERS_MS = 10_000;

/** Pins of sessions whose carrier was lost are kept this long for the visitors who come back. */
export const ORPHAN_PIN_MS = 60_000;

/** KV takes one write a second and key; shorter only where the horizon is (dev). */
export const publishEveryMs = (horizonMs: number): number => Math.min(1_000, horizonMs / 20);

/** Rejects when `work` has not settled in time; the timer never outlives it. */
export async function within<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what}: no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
