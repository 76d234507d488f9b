// Session keys for the benchmarks: distinct, of 24 characters, and flat in memory as keys that came off the wire are. (Keys that were put
// together in JavaScript are ropes, and whoever reads them first would pay for that.)

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function sessionKeys(count: number): string[] {
  return Array.from({ length: count }, (_, n) => {
    const scattered = (Math.imul(n, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0");
    return decoder.decode(encoder.encode(`${scattered}-session-${String(n).padStart(7, "0")}`));
  });
}
