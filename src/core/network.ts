// The network that an address stands for: an IPv4 address itself, of an IPv6 address its /64, which is what one subscriber is given (RFC 6177).

/**
 * Equal for all addresses of one network, however they are written; `undefined`: none, or this machine's own, which is no
 * visitor's (the local runtime says it of everybody). What is no address stands for itself.
 */
export function networkOf(address: string | undefined): string | undefined {
  if (address === undefined || address.startsWith("127.") || address === "::1") return undefined;
  const [head = "", tail] = address.toLowerCase().split("::", 2);
  if (!address.includes(":")) return address;
  const groups = (text: string | undefined): string[] => (text ? text.split(":") : []);
  const [before, after] = [groups(head), groups(tail)];
  const mapped = after.at(-1) ?? before.at(-1) ?? "";
  if (mapped.includes(".")) return mapped; // ::ffff:192.0.2.1
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, GROUPS - before.length - after.length) }, () => "0");
  const network = [...before, ...zeros, ...after].slice(0, GROUPS / 2);
  return `${network.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

const GROUPS = 8;
