// What carriers and ring objects say to each other, and what a Worker hands to a carrier. Versioned: each side understands its neighbour
// one version older and newer. docs/formats.md describes it; test/formats holds stored samples.

import type { Reason, Routed } from "./decision.ts";
import type { Resume } from "./config-types.ts";

export const PROTOCOL_VERSION = 1;

/** Neighbours may be one version older or newer: a newer one only adds names, which an older one does not read. */
export function isUnderstood(version: number): boolean {
  return Number.isInteger(version) && version >= PROTOCOL_VERSION - 1 && version <= PROTOCOL_VERSION + 1;
}

/**
 * Who calls, in which life, and the how-many-eth call of that life: a repeated `seq` gets its old answer, a gap a pull of the table.
 * Incarnations are ordered as text (start time first): a call of an older life than the known one is refused.
 */
export interface Envelope {
  readonly version: number;
  readonly slice: number;
  readonly incarnation: string;
  readonly seq: number;
}

/** A session as the protocol names it: a keyed hash, and the two numbers that the decision needs. Never the key itself. */
export interface SessionRef {
  readonly keyHash: string;
  readonly position: number;
  readonly lot: number;
  /** `false`: nothing names a session; the connection stands for itself. */
  readonly keyed: boolean;
  /** Its origin issued the key, and everyone of it brings a tag that names the place: no other origin knows the session. */
  readonly learned?: boolean | undefined;
  /** Its home was drawn by its key: another set of regions is another home. Who says so goes on to another region's carrier where it is told to. */
  readonly drawn?: boolean | undefined;
}

/** Carrier → ring: where does this session go? */
export interface PlaceItem extends SessionRef {
  /** Where the carrier has it now: a live placement, which counts for every key. */
  readonly live?: LivePlacement | undefined;
  /** What the visitor's cookie claims: counts for keys of one visitor. */
  readonly claim?: { readonly origin: string; readonly fence: number } | undefined;
  /** Origins that this carrier has just failed to reach: the ring object probes before it believes it. */
  readonly excluded: readonly string[];
  /** No leg of the session can be opened where it is, again and again: it goes elsewhere even if that origin answers probes. */
  readonly unreached?: boolean | undefined;
  /** No origin has accepted it yet: `ended` says when one has. Of a carrier that does not say so every session counts at once, and none is too many. */
  readonly opening?: boolean | undefined;
  /** Beside `opening`: the visitor's, as in their request. */
  readonly visitor?: string | undefined;
  /** Beside `opening`: another region's ring has sent it here. It is not sent on again. */
  readonly sentOn?: boolean | undefined;
}

export interface LivePlacement {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  /** Where its legs were opened: an origin may have another address since. */
  readonly url?: string | undefined;
}

/** Ring → carrier: a session's one origin. A carrier obeys the largest fence it has seen for a key. */
export interface Placement extends LivePlacement {
  readonly keyHash: string;
  readonly url: string;
  readonly epoch: number;
  readonly reason: Reason;
  readonly replicas: readonly string[];
  readonly movedFrom?: string | undefined;
}

/** Worker → ring: where is this session now? Nothing is placed by it. */
export interface FindItem extends SessionRef {
  readonly claim?: LiveRequest["claim"];
  readonly excluded: readonly string[];
}

/** Worker → ring: its origin has answered that this session belongs to another of the pool. */
export interface RedirectItem extends SessionRef {
  readonly claim?: LiveRequest["claim"];
  /** Who said so: counts only while the session is there. */
  readonly from: string;
  readonly to: string;
}

/** Worker → the ring that arbitrates `home: "first"`: where is this session at home? */
export interface FirstItem {
  readonly keyHash: string;
  /** Its home, if nobody was first. */
  readonly nearest: string;
  /** The visitor's, as in a `LiveRequest`. */
  readonly visitor?: string | undefined;
  /** By it an arbiter knows who would have arbitrated before the pool's regions changed. */
  readonly lot?: number | undefined;
  /** Asked by another arbiter, which nobody else is asked for. */
  readonly handedOn?: boolean | undefined;
}

export type FirstAnswer =
  | { readonly kind: "region"; readonly region: string }
  /** It is new, and too many are. */
  | { readonly kind: "too-many-sessions" };

export type RedirectAnswer =
  /** Where it is from now on, or where it has been moved to meanwhile. */
  | { readonly kind: "placed"; readonly decision: Routed }
  /** The pool has no such origin, or none that may take a session now. */
  | { readonly kind: "unknown" | "unavailable" };

export type PlaceAnswer =
  /** `probedAtMs`: the excluded origin was probed then, and answered: it still holds the session. */
  | { readonly kind: "placed"; readonly placement: Placement; readonly probedAtMs?: number | undefined }
  /** It is between two origins: `enter` says where. */
  | { readonly kind: "moving"; readonly keyHash: string }
  /** It lives on at the home that it had before the pool's regions changed; said only where the item says `drawn`. */
  | { readonly kind: "elsewhere"; readonly keyHash: string; readonly region: string }
  /** `quarantined`: its origins keep dying. `too-many-sessions`: it is new, and too many are; said only of one that is being opened. */
  | {
      readonly kind: "refused";
      readonly keyHash: string;
      readonly why: "no-origin" | "owner-lost" | "quarantined" | "too-many-sessions";
      readonly epoch: number;
    };

/** Ring → ring: a home ring asks another region's ring object, which has the only say over its origins. */
export interface GuestItem extends SessionRef {
  readonly homeRegion: string;
  readonly excluded: readonly string[];
  /** The asked region's origin that holds the session already, if one does. */
  readonly held?: string | undefined;
  /** The fence that this placement will have; the home ring gives it out. */
  readonly fence: number;
  /** It comes by a move, at the asked origin's pace. */
  readonly tokens?: Tokens | undefined;
}

/** What a move needs of its destination's pace. */
export interface Tokens {
  /** Connections. */
  readonly count: number;
  /** The session has lost its origin, and waits. */
  readonly urgent: boolean;
}

export type GuestAnswer =
  | {
      readonly kind: "placed";
      readonly origin: string;
      readonly url: string;
      readonly epoch: number;
      /** How long to wait until its tokens are good; default 0. */
      readonly waitMs?: number | undefined;
    }
  /** The origin would take it, but not yet. */
  | { readonly kind: "later" }
  | { readonly kind: "refused" };

/** Ring → ring: may the asker place this session for the first time, or is it yours? */
export type GivenAnswer =
  /** It is live there, or about to be. */
  | { readonly kind: "here" }
  /** The asker's: it is placed there by nobody meanwhile. Its fence is to be larger than this one. */
  | { readonly kind: "yours"; readonly fence: number }
  /** It was given to another region before. */
  | { readonly kind: "elsewhere"; readonly region: string }
  /** The asked ring has not read all of its own carriers yet. */
  | { readonly kind: "unknown" };

/** Ring → ring: a live session of yours whose home is ours by the configuration. */
export interface Stray {
  readonly keyHash: string;
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
}

export interface StrayList {
  readonly strays: readonly Stray[];
  /** It has not read all of its own carriers yet: what is missing here need not be over. */
  readonly partial?: boolean | undefined;
}

/** One live session of a carrier (`table`), or one guest of a ring (`guests`). */
export interface TableRow extends SessionRef, LivePlacement {
  readonly connections: number;
  readonly reason: Reason;
  readonly movedFrom?: string | undefined;
  /** No origin has accepted it yet. */
  readonly opening?: boolean | undefined;
}

export interface Table {
  readonly rows: readonly TableRow[];
  /** Key hashes of sessions whose placement the carrier has not heard yet. */
  readonly asking: readonly string[];
}

export interface LeaveItem {
  readonly keyHash: string;
  /** Fence of the placement that is left; a carrier that has a larger one ignores the item. */
  readonly fence: number;
  /** `true`: the origin is alive and is given time to answer; `false`: it is lost, its legs are dropped. */
  readonly planned: boolean;
}

/** Carrier → ring: it has left; `connections` came along, and `reached`: it had a leg there. */
export interface LeftItem {
  readonly keyHash: string;
  readonly connections: number;
  readonly reached: boolean;
}

/** How much there is to move, and how many frames have passed, both ways, since the session began. */
export interface Weight {
  readonly keyHash: string;
  readonly connections: number;
  readonly frames: number;
}

/** What became of sessions that were told where they are. */
export interface EnteredAnswer {
  /** They are not here any more. */
  readonly absent: readonly string[];
  /** None of their connections has a leg there. */
  readonly failed: readonly string[];
}

/** What a carrier has counted since it started. */
export interface Tally {
  /** Connections that got a new leg, by how long they had none: as many as `GAP_BOUNDS_MS` and one for beyond. */
  readonly gaps: readonly number[];
  readonly heldFrames: number;
  /** Connections refused because too much was waiting, and those ended because a bound was passed. */
  readonly refused: number;
}

/** Upper bounds (ms, inclusive) of the histogram of gaps. */
export const GAP_BOUNDS_MS = [50, 100, 200, 500, 1_000, 2_000, 5_000] as const;

export interface EndedItem {
  readonly keyHash: string;
  readonly fence: number;
}

/** What a Worker tells a carrier of a live request, by value: a Worker and an object may run different versions for a while. */
export interface LiveRequest extends SessionRef {
  readonly version: number;
  /** The session key, for the origin; absent where nothing names a session. */
  readonly key?: string | undefined;
  readonly claim?: { readonly origin: string; readonly fence: number } | undefined;
  readonly requestId: string;
  /** Keyed hash of the network that the visitor came from, where new sessions are counted by it. Never the address itself. */
  readonly visitor?: string | undefined;
  readonly resume: Resume;
  readonly rehomeOn: readonly number[];
  readonly quietMs: number;
  readonly originSilenceMs?: number | undefined;
  /** The session is parked after so long at rest. */
  readonly parkAfterMs?: number | undefined;
  /** As in a `PlaceItem`. */
  readonly sentOn?: boolean | undefined;
}

/** The internal header that carries a `LiveRequest`: JSON as base64url of UTF-8. Set by the Worker after the visitor's own was deleted. */
export const LIVE_HEADER = "limpet-live";

export function encodeLiveRequest(live: LiveRequest): string {
  const bytes = new TextEncoder().encode(JSON.stringify(live));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Only a Worker of ours can have written it, so its shape is trusted beyond the version: ours, or one newer, which only adds names. */
export function decodeLiveRequest(header: string | null): LiveRequest | undefined {
  if (header === null) return undefined;
  const bytes = Uint8Array.from(atob(header.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const live = JSON.parse(new TextDecoder().decode(bytes)) as LiveRequest;
  return isUnderstood(live.version) ? live : undefined;
}
