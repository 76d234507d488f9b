// Every wait and buffer that is not the configuration's: meaning, unit, and what goes wrong outside it. One place.

/** A WebSocket handshake or the headers of a stream. Shorter cuts slow origins off; longer leaves visitors hanging. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** One that took as long has not been answered; a timer may come a little early. */
export const TIMED_OUT_MS = HANDSHAKE_TIMEOUT_MS - 50;

/** Handshakes of one object that may wait for their answer at once: the platform's own limit (November 2026). */
export const HANDSHAKE_SLOTS = 6;

/** Of those slots, for event streams altogether and for those of one origin: one whose headers do not come holds up no WebSocket. */
export const STREAM_SLOTS = 3;
export const STREAM_SLOTS_PER_ORIGIN = 2;

/** Arrivals of one carrier that wait for a slot, sockets and streams each; one more gets 503, whatever is known of the time that the others need. */
export const ARRIVALS_WAITING_MAX = 1_000;

/** A handshake that takes longer makes the ring object probe meanwhile. */
export const SLOW_HANDSHAKE_MS = 1_000;

/** How long a visitor's connection may be without an origin before the visitor is told (close 1012, 503). */
export const RECONNECT_DEADLINE_MS = 15_000;

/** The same for a visitor who is just arriving: nobody waits longer for a first answer. */
export const ARRIVAL_DEADLINE_MS = 5_000;

/** An arrival whose slot is expected later than this is told at once: the rest of its time is for its own handshake, and for what no estimate knows. */
export const ARRIVAL_SLOT_WITHIN_MS = 4_000;

/**
 * When those come back who were not served. Sooner would be a second storm while nothing is known of a queue; after the longest whoever is told again
 * has waited half a minute for nothing.
 */
export const COME_BACK_MIN_MS = 4_000;
export const COME_BACK_MAX_MS = 30_000;

/** Waits between attempts to reach an origin, in order; the last repeats. The first re-dial is immediate. */
export const RECONNECT_BACKOFF_MS = [50, 150, 300, 600, 1_000] as const;

/** Failed dials at one placement after which the ring object is asked for another, even if it finds the origin well. */
export const FAILURES_UNREACHED = 2;
export const FAILURES_REACHED = 4;

/**
 * A carrier that has not answered a live request for so long is pinged: most open a leg sooner. The ping's own limit: with both a visitor waits two seconds
 * for a carrier that cannot be reached. And how long nobody of an isolate tries that one again.
 */
export const CARRIER_PING_AFTER_MS = 500;
export const CARRIER_PING_MS = 1_500;
export const CARRIER_SILENT_MS = 5_000;

/** Between two looks of a carrier that stands in for another: does that one answer, is each session still where it belongs? */
export const STAND_IN_LOOK_MS = 5_000;
/** Its longest wait for the home ring's word: past it KV's snapshot has it. */
export const STAND_IN_WORD_MS = 1_000;
/** How long the home ring keeps a session where its stand-in was told, unless that asks again. */
export const STAND_IN_ORDER_MS = 60_000;
/** Visitors of a stand-in are sent back to the home carrier within this time of each other: its handshakes are six at a time. */
export const STAND_IN_BACK_SPREAD_MS = 2_000;

/** Between a change of what is carried and its report. */
export const REPORT_MS = 250;
/**
 * While connections are open a carrier's alarm comes this often, and reports anew: where the object was lost meanwhile the alarm starts its next life,
 * which tells the ring object that nobody is here. An object whose sockets go out may be evicted after 15 minutes without one.
 */
export const AWAKE_MS = 5_000;
/** Between two looks for origins that are silent and sessions at rest; routes say a second at least. */
export const LOOK_EVERY_MS = 500;

/** A planned move's longest wait for `enter` after `leave`: past it the carrier asks the ring object itself. */
export const MOVE_DEADLINE_MS = 6_000;

/** Before a session that is being moved asks the ring object once more, where `enter` has not come. */
export const ASK_AGAIN_MS = 1_000;

/** Visitors who must come back are told within this time of each other, so that they do not all come at once. */
export const RESTART_SPREAD_MS = 250;

/** How far ahead a planned move may book an origin's tokens: what is urgent waits no longer than that. */
export const BOOKED_AHEAD_MS = 500;

/** The longest wait for tokens after a loss: their visitors are closed after RECONNECT_DEADLINE_MS. */
export const URGENT_WAIT_MAX_MS = 5_000;

/** Sessions that leave and enter together: one waits for the slowest of its group. */
export const GROUP_MAX = 8;
/** Connections of one carrier that are between two origins by plan: with six handshakes at a time the last of them waits four of theirs. */
export const MOVING_CONNECTIONS_MAX = 24;

/** How long a planned move watches how busy its sessions are, before it begins with the idlest. */
export const WEIGH_MS = 200;

/** How long `enter` waits for the legs: its answer says whether they opened. */
export const ENTERED_WITHIN_MS = 3_000;

/** Sessions of a planned move that were looked at and found no turn, before it begins anew with the idlest: beyond them nobody is looked for. */
export const LATER_MAX = 32;
/** Before a planned move asks again for tokens that it did not get, and when it gives up asking: its turn comes again with the clock's. */
export const LATER_MS = 100;
export const NO_PROGRESS_MS = 10_000;

/** Sessions whose origins' deaths are remembered; one more, and the oldest death is forgotten. */
export const BLAMED_MAX = 10_000;

/** No planned move goes to an origin for this long after sessions that were moved there could not reach it. */
export const HALT_MS = 5_000;

/** A death counts against a session that arrived by re-homing within this time before it. */
export const BLAMED_WITHIN_MS = 30_000;

/** An operator's longest wait for the move of one session: quiet time, close, and the opening of its new legs mostly take less. */
export const MOVE_WAIT_MS = 10_000;

/** An origin that accepts a connection's leg and closes it again, this often within the window, is given up: the visitor comes back. */
export const RESETS_MAX = 6;
export const RESETS_WINDOW_MS = 30_000;

/** Longest wait for an origin to fall quiet before a planned close: a busy origin never does. */
export const QUIET_MAX_MS = 500;

/** How long the connections of a session that have their new legs wait for the others, so that nobody misses what one of them sends. */
export const GATHER_READY_MS = 2_000;

/** Frames of one visitor held back in a move; past either the visitor is told (1013). MQTT clients send half a dozen frames a packet. */
export const HELD_FRAMES_MAX = 10_000;
export const HELD_BYTES_MAX = 4 * 1024 * 1024;
/** Held by all connections of one session: none takes what the others of its carrier may need. */
export const HELD_BYTES_MAX_PER_SESSION = 8 * 1024 * 1024;
/** Held by one carrier altogether: an object has 128 MB. */
export const HELD_BYTES_MAX_PER_CARRIER = 32 * 1024 * 1024;

/** Bytes waiting in a socket for a slow reader; past it that reader is told (1013). */
export const SOCKET_BUFFER_MAX_BYTES = 8 * 1024 * 1024;
/** Bytes sent between two looks at what is waiting: each look is a crossing into the runtime. What was sent since comes on top of the bound. */
export const SOCKET_LOOK_BYTES = 256 * 1024;
/**
 * The same of all sockets of a carrier together: an object has 128 MB, and holds frames and connections beside. Past it those are told that have waited
 * longest. What they leave unread when they are closed comes on top, once as much at most, and so does the largest message that waits.
 */
export const CARRIER_BUFFER_MAX_BYTES = 32 * 1024 * 1024;
/** Sent and not seen gone, from which on all sockets are looked at: before the bound, so that it is known by then who reads. */
export const CARRIER_BUFFER_LOOK_BYTES = CARRIER_BUFFER_MAX_BYTES / 2;
/**
 * What a closed visitor leaves unread is counted no longer: by then the platform has most probably cut it (idle connections after 100 to 400 s), and of a
 * socket that sleeps with its object a loss after its own close is told to nobody (seen on workerd 1.20261117).
 */
export const CLOSED_COUNTS_MS = 400_000;
/** Between two such looks. Shorter leaves no reader the time to read; what comes meanwhile is on top of the bound. */
export const CARRIER_LOOK_MS = 50;

/** A visitor of an event stream who has taken nothing for so long is given up. Shorter cuts whoever is in a tunnel; longer holds an origin back for nobody. */
export const STREAM_TAKEN_WITHIN_MS = 30_000;
/** An event stream on which nothing was written for so long gets a comment: idle ones are cut after 100 s by some on the way. */
export const STREAM_KEEP_ALIVE_MS = 25_000;
/** Between two looks at both. */
export const STREAM_LOOK_MS = 5_000;

/**
 * Between two of a busy carrier's calls to its ring object, which are three at most: all carriers together make 600 a second, and a ring object can
 * answer 1,000 (platform).
 */
export const callsEveryMs = (carriers: number): number => 5 * carriers;

/** Sessions asked about in one call: a storm of 10,000 is a few dozen calls. */
export const BATCH_MAX = 256;

/**
 * New sessions of one ring: as many at once, and a second ever after. What a ring object can be asked in a second (platform: 1,000 requests); whoever
 * begins more would only keep it from those it knows. Far above what carriers can open: six handshakes of 100 ms are 60 a second each.
 */
export const NEW_SESSIONS_PER_SECOND = 1_000;
export const NEW_SESSIONS_AT_ONCE = 10_000;

/** Those who were too many come back within the minute that the limit of an address looks back on, spread over half of it. */
export const NEWCOMERS_BACK_WITHIN_S = 30;

/** The rate limit's longest answer: without one a session is let in. */
export const RATE_LIMIT_ANSWER_MS = 500;

/** Sessions that are over and not new when they come back: for so long at least, so many of each ring (1 to 2 MB). */
export const LATELY_MS = 60_000;
export const LATELY_MAX = 20_000;

/** A ring object that has lived before knows nobody who comes back to it: as long nobody is new. */
export const REBORN_MS = 60_000;

/** A ring object's wait for its carriers' tables after it started. */
export const PULL_TIMEOUT_MS = 1_500;

/** Probes under way at once, of the six outgoing handshakes an object has: of the regular checks, and of those that somebody waits for. */
export const PROBE_SLOTS = 4;
export const VERDICT_SLOTS = 1;
/** Of the regular ones, for origins that are known to be down: those that hang hold up nobody else's check. */
export const DOWN_SLOTS = PROBE_SLOTS / 2;
/** Origins that are looked at together when another one has fallen: who asks for a verdict meanwhile waits for no more than these. */
export const SWEEP_AT_ONCE = 2;
/** What Workers tell is older by so much: of an origin that has just come back it speaks of the time before. */
export const TOLD_LATE_MS = 2_500;
/** Between probes of one verdict that somebody asked for. */
export const VERDICT_SPACING_MS = 100;

/** Answers kept for calls that a carrier repeats. */
export const ANSWERS_KEPT = 64;

/** Another object's longest answer, where a placement waits for it: ours may probe an origin several times first. */
export const OBJECT_ANSWER_MS = 10_000;
/** The same where it only has to look. */
export const GUEST_ANSWER_MS = 3_000;

/**
 * Sessions of `home: "first"` whose home one ring object remembers; one more, and the one that was asked for longest ago is forgotten. About 100 bytes each on disk.
 */
export const FIRSTS_MAX = 100_000;
/** The same of one isolate, in memory. */
export const FIRSTS_HELD_MAX = 10_000;

/** KV may take a minute to be seen elsewhere: who cannot read what is older than that says that it is not there. */
export const KV_SEEN_MS = 90_000;

/** A former home's longest answer to whether it has a session, and how long one that gave none is not asked again. */
export const HOME_ANSWER_MS = 2_000;
export const HOME_SILENT_MS = 5_000;
/** Sessions that one ring has given to others, for two horizons each; one more, and the oldest is forgotten. About 100 bytes each on disk. */
export const GIVEN_MAX = 50_000;
/** Between two questions for the sessions that live on at a former home, and for what a newborn ring has not heard (less where the horizon is shorter). */
export const STRAYS_EVERY_MS = 10_000;

/** How long guests of one region are gathered into one call. */
export const GATHER_GUESTS_MS = 2;

/** Before sessions that found no turn to follow the ring try again. */
export const FOLLOW_AGAIN_MS = 2_000;

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

/** Leases of one ring, whatever their weight: who may register must not fill every snapshot. */
export const LEASES_MAX = 1_000;
/** An origin whose lease was not renewed is down so long before it is gone: it may have its sessions' state. */
export const LEASE_GONE_MS = 600_000;
/** A lease that is over, but no lapse as things are, is looked at again. */
export const LEASE_AGAIN_MS = 5_000;

/** Pins of sessions whose carrier was lost are kept this long for the visitors who come back. */
export const ORPHAN_PIN_MS = 60_000;

/** KV takes one write a second and key; shorter only where the horizon is (dev). */
export const PULL_CONFIG_EVERY_MS = 15_000;

export const publishEveryMs = (horizonMs: number): number => Math.min(1_000, horizonMs / 20);

/** Nothing has failed: the answer may still come. */
export class Late extends Error {}

/** Rejects with `Late` when `work` has not settled in time; the timer never outlives it. */
export async function within<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Late(`${what}: no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A configuration of a thousand origins has a quarter of that; a row of the control object's database holds twice as much. */
export const CONFIG_MAX_BYTES = 1024 * 1024;
