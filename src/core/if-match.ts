// The precondition of an order (RFC 9110 §13.1.1): it counts only while the ring is at the epoch that whoever orders has seen.

/** A ring's entity tag, and that of whatever it shows of itself. */
export function etagOf({ generation, epoch }: { readonly generation: number; readonly epoch: number }): string {
  return `"${generation}.${epoch}"`;
}

/** The tags that a header allows; `undefined`: there is no condition. What is no tag allows nothing. */
export function ifMatch(header: string | undefined): readonly string[] | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  return header.split(",").map((tag) => tag.trim());
}
