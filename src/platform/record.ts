// Step "record": one structured line for a decision, sampled; refusals, faults and moves always. Never a raw session key.

import type { Reason } from "../core/decision.ts";
import { LIMPET_FIELD, fieldForVisitor } from "../core/limpet-field.ts";
import type { Layer } from "./snapshots.ts";

export interface Recorded {
  readonly requestId: string;
  readonly pool: string;
  readonly kind: "http" | "live";
  readonly origin?: string | undefined;
  readonly region?: string | undefined;
  readonly epoch?: number | undefined;
  readonly reason?: Reason | undefined;
  readonly keyHash?: string | undefined;
  readonly status: number;
  readonly attempts?: number;
  /** Who answered for the ring: this isolate's memory, KV, the ring object, or the bare configuration. */
  readonly layer?: Layer | undefined;
  /** Why it is always recorded: a refusal or a fault. */
  readonly fault?: string | undefined;
}

/** Ordinary decisions are drawn; the line is made only for one that is. */
export function isDrawn(sampleShare: number): boolean {
  return Math.random() < sampleShare;
}

export function record(recorded: Recorded): void {
  console.log(JSON.stringify({ limpet: "decision", ...recorded }));
}

/** Tells the visitor who serves, where the configuration exposes it. */
export function exposeTo(headers: Headers, facts: Parameters<typeof fieldForVisitor>[0]): void {
  headers.set(LIMPET_FIELD, fieldForVisitor(facts));
}
