// The router's words, said to people.

import type { Tone } from "./dom.ts";

const REASONS: ReadonlyMap<string, string> = new Map([
  ["owner", "first on the ring for this key"],
  ["next", "the owner is out, so the next on the ring serves"],
  ["pin", "kept where it is by a pin"],
  ["claim", "kept where it is by its claim"],
  ["backup", "served by a backup origin of the region"],
  ["spill", "part of the region's load goes to another region"],
  ["failover", "its region cannot serve, another one does"],
  ["panic", "every origin looks out of order, this one is tried anyway"],
  ["replay", "sent here by an origin's own word"],
  ["balance", "placed by load or turn, not by a ring"],
]);

export function reasonSentence(reason: string): string {
  return REASONS.get(reason) ?? "";
}

const TONES: ReadonlyMap<string, Tone> = new Map<string, Tone>([
  ["active", "good"],
  ["healthy", "good"],
  ["joining", "warn"],
  ["draining", "warn"],
  ["ejected", "warn"],
  ["drained", "plain"],
  ["down", "bad"],
  ["killed", "bad"],
]);

export function toneOf(state: string): Tone {
  return TONES.get(state) ?? "plain";
}

/** "1 session", "2 sessions". */
export function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

export const UNKNOWN = "–";

export function shown(value: number | string | null | undefined): string {
  return value === null || value === undefined || value === "" ? UNKNOWN : String(value);
}
