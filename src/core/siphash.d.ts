// What of npm's siphash 1.2.0 is used: it brings no types.
declare module "siphash" {
  /** SipHash-2-4: the high and the low 32 bits. `key` has four words. */
  const siphash: { hash(key: Uint32Array, message: Uint8Array): { h: number; l: number } };
  export default siphash;
}
