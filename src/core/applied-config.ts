// A configuration that was applied to a running router, as it travels: in KV, from the control object to the rings, from them to their carriers,
// and onto the disk of each. Beside the bundle's; the larger revision holds, and of two equal ones what was applied.
// docs/formats.md describes the wire form; test/formats holds a stored sample.

import * as v from "valibot";
import type { ConfigChange } from "./config-diff.ts";
import { hashText } from "./hash.ts";

export interface AppliedConfig {
  readonly format: 1;
  readonly revision: number;
  /** The configuration as written, as JSON; its revision stands in it. */
  readonly text: string;
  /** Of the bundle's that it was applied over: in dev it holds as long as that is the same. */
  readonly over: number;
  /** Rings that it names no more, and that somebody may still be at. */
  readonly retired: readonly RetiredRing[];
}

export interface RetiredRing {
  readonly pool: string;
  readonly region: string;
}

/** One that held, as the control object remembers it. */
export interface Revision {
  readonly revision: number;
  readonly text: string;
  readonly source: "bundle" | "applied";
  /** Of the bundle that it was applied over, or that it is. */
  readonly bundleHash: number;
  readonly atMs: number;
  readonly who: string;
  readonly why: string | undefined;
}

/** Who changed it. */
export interface AuditRow {
  readonly seq: number;
  readonly atMs: number;
  readonly who: string;
  readonly what: "apply" | "undo";
  readonly revision: number;
  readonly why: string | undefined;
  /** The first of them. */
  readonly changes: readonly ConfigChange[];
  readonly changeCount: number;
}

/** What the code brought. */
export interface BundledConfig {
  readonly revision: number;
  readonly text: string;
  readonly hash: number;
}

const schema = v.object({
  format: v.literal(1),
  revision: v.number(),
  text: v.string(),
  over: v.number(),
  retired: v.array(v.object({ pool: v.string(), region: v.string() })),
});

/** `undefined` for what was written in another format, or is none. */
export function decodeApplied(value: unknown): AppliedConfig | undefined {
  const parsed = v.safeParse(schema, value);
  return parsed.success ? parsed.output : undefined;
}

export function bundledConfig(raw: unknown, revision: number): BundledConfig {
  const text = JSON.stringify(raw);
  return { revision, text, hash: hashText(text, 0) };
}

/**
 * Whether it holds beside that bundle. In dev, where a file is changed without its revision, the bundle holds whenever it is another one than
 * before.
 */
export function prevails({ revision, over }: AppliedConfig, bundle: BundledConfig, dev: boolean): boolean {
  return dev ? over === bundle.hash : revision >= bundle.revision;
}

/** Which of two is to be kept: revisions are given out once, and grow. */
export function isNewerApplied(next: AppliedConfig, held: AppliedConfig | undefined): boolean {
  return !held || next.revision > held.revision;
}
