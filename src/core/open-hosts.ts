// Hosts that an origin which joins at run time may have. Whoever holds a token must not make the router ask what only its own network sees: this
// machine, private networks, the platform's own services. Names are judged as they are written: what a name resolves to is not known here.

import { quoted } from "./config-words.ts";

/** What is wrong with the host of a bare URL (as the URL standard writes it) outside dev. `allowed`: host names, or `*.` and what they end with. */
export function openHostFault(url: string, allowed: readonly string[] | undefined): string | undefined {
  const host = new URL(url).hostname.replace(/\.+$/, "");
  if (isClosed(host)) {
    return `found ${quoted(url)}; an origin that joins at run time has a host that everybody can reach, no loopback, private or local one`;
  }
  if (allowed === undefined || allowed.some((pattern) => matches(pattern, host))) return undefined;
  return `found ${quoted(url)}; admin.originHosts allows ${allowed.length === 0 ? "no host" : allowed.join(", ")}`;
}

function matches(pattern: string, host: string): boolean {
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 : host === pattern;
}

/** Names that never leave a network (RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`). */
const LOCAL_NAMES = ["localhost", "local", "internal", "localdomain", "home.arpa"];

function isClosed(host: string): boolean {
  if (host.startsWith("[")) return isClosed6(groupsOf(host.slice(1, -1)));
  const octets = host.split(".");
  // Every other spelling of an IPv4 address (decimal, octal, hexadecimal, fewer parts) is written so by the URL standard.
  if (octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet))) return isClosed4(octets.map(Number));
  return !host.includes(".") || LOCAL_NAMES.some((name) => host === name || host.endsWith(`.${name}`));
}

/** Not for everybody (RFC 6890): first octets, and how many bits of them count. */
const CLOSED_4: readonly (readonly [network: number, bits: number])[] = [
  [ip(0, 0), 8],
  [ip(10, 0), 8],
  [ip(100, 64), 10],
  [ip(127, 0), 8],
  [ip(169, 254), 16],
  [ip(172, 16), 12],
  [ip(192, 0), 24],
  [ip(192, 168), 16],
  [ip(198, 18), 15],
  [ip(224, 0), 3],
];

function isClosed4([a = 0, b = 0, c = 0, d = 0]: readonly number[]): boolean {
  const address = ip(a, b, c, d);
  return CLOSED_4.some(([network, bits]) => address >>> (32 - bits) === network >>> (32 - bits));
}

function ip(a: number, b: number, c = 0, d = 0): number {
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** Only 2000::/3 is given out to everybody; of that, and of what translates to IPv4, the IPv4 address inside is judged. */
function isClosed6(groups: readonly number[]): boolean {
  const [first = 0, second = 0, third = 0] = groups;
  const last4 = fourOf(groups[6], groups[7]);
  if (first === 0x64 && second === 0xff9b) return isClosed4(last4);
  if (first === 0x2002) return isClosed4(fourOf(second, third));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return isClosed4(last4);
  return first >>> 13 !== 1;
}

function fourOf(high = 0, low = 0): number[] {
  return [high >>> 8, high & 0xff, low >>> 8, low & 0xff];
}

/** The eight groups of an IPv6 address as the URL standard writes it: hexadecimal, one run of zeros as `::`. */
function groupsOf(text: string): number[] {
  const [head = "", tail] = text.split("::", 2);
  const read = (part: string | undefined): number[] => (part ? part.split(":").map((group) => parseInt(group, 16)) : []);
  const [before, after] = [read(head), read(tail)];
  return [...before, ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0), ...after];
}
