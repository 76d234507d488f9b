// What a parked connection goes on from, as bytes: before it is sealed, and after it was opened.

import { decodeAny, encodeAny } from "lib0/buffer";
import type { KeptConnection } from "./connection.ts";

/** Version of what is sealed: a connection that another version has sealed which this one cannot read is told to come back. */
const KEPT_FORMAT = 1;

export function encodeKept(kept: KeptConnection): Uint8Array<ArrayBuffer> {
  return encodeAny({ format: KEPT_FORMAT, ...kept }).slice();
}

/** Nobody else can have sealed it, so its shape is trusted beyond the format's number. */
export function decodeKept(bytes: ArrayBuffer): KeptConnection | undefined {
  try {
    const kept = decodeAny(new Uint8Array(bytes)) as KeptConnection & { readonly format: number };
    return kept.format === KEPT_FORMAT ? kept : undefined;
  } catch {
    return undefined; // another format, and not even this encoding
  }
}
