// Origins that join, change and leave by an operator's word: what of it is remembered beside the configuration, and what cannot be.
// What is asked for is parsed here too: the body of a request, all its faults at once.

import * as v from "valibot";
import { inOrder, shapeFault, type ConfigFault } from "./config-faults.ts";
import { LIMITS } from "./config-limits.ts";
import { choice, closed, flag, leaf, quantity, tunable } from "./config-shapes.ts";
import { bareUrl, idFault, openUrlFault, originUrlFault } from "./config-texts.ts";
import { found, quoted } from "./config-words.ts";
import type { DrainWish } from "./drain.ts";
import { membersOf, originOf, type ConfiguredOrigin, type Layers, type MemberOrder } from "./lifecycle.ts";
import { openHostFault } from "./open-hosts.ts";
import { withSalts } from "./salts.ts";

/** An origin as an operator wants it. */
export interface WantedOrigin {
  readonly url: string;
  readonly weight: number;
  /** Absent: the one it has; of one that is new the best of those that are tried. */
  readonly salt?: number | undefined;
  readonly backup: boolean;
}

export interface OriginChange {
  readonly url?: string | undefined;
  readonly weight?: number | undefined;
}

/** An origin as it tells of itself. */
export interface WantedLease {
  readonly url: string;
  readonly weight: number;
  /** Absent: the pool's. */
  readonly ttlMs?: number | undefined;
  readonly instance?: string | undefined;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly faults: readonly ConfigFault[] };

/** What must hold of an address, beside what one looks like. */
export interface Addressing {
  readonly dev: boolean;
  /** It is reached by a binding, which is not open to the world. */
  readonly bound: boolean;
  /** `admin.originHosts`. */
  readonly hosts?: readonly string[] | undefined;
}

const wanted = closed("an origin", {
  url: leaf<string>(originUrlFault),
  weight: tunable(LIMITS.originWeight),
  salt: tunable(LIMITS.salt),
  backup: v.optional(flag(), false),
});

const change = closed("what is to change of an origin", {
  url: v.optional(leaf<string>(originUrlFault)),
  weight: v.optional(quantity(LIMITS.originWeight)),
});

/** What orchestrators call one life of a server: a pod's uid, a boot id. */
function instanceFault(value: unknown): string | undefined {
  const isName = typeof value === "string" && /^[\x21-\x7e]{1,128}$/.test(value);
  return isName ? undefined : `found ${found(value)}; an instance is a name of 1 to 128 characters of ASCII without blanks`;
}

const drain = closed("how the origin is drained", {
  mode: v.optional(choice(["move", "finish"])),
  deadlineMs: v.optional(quantity(LIMITS.drainDeadlineMs)),
});

const lease = closed("an origin's lease", {
  url: leaf<string>(originUrlFault),
  weight: tunable(LIMITS.originWeight),
  ttlMs: v.optional(quantity(LIMITS.leaseTtlMs)),
  instance: v.optional(leaf<string>(instanceFault)),
});

const move = closed("where a session is to go", { to: v.optional(leaf<string>(idFault)) });

/** The body of a PUT. The id, which the path names, is judged beside it. */
export function parseWanted(id: string, body: unknown, addressing: Addressing): Parsed<WantedOrigin> {
  return parse(wanted, body, [...nameFaults(id), ...addressFaults(body, addressing)]);
}

/** The body with which an origin takes a lease, or renews it. */
export function parseLease(id: string, body: unknown, addressing: Addressing): Parsed<WantedLease> {
  const parsed = parse(lease, body, [...nameFaults(id), ...addressFaults(body, addressing)]);
  return parsed.ok ? { ok: true, value: { ...parsed.value, url: bareUrl(parsed.value.url) ?? parsed.value.url } } : parsed;
}

/** The body of an order to drain; there may be none. */
export function parseDrain(body: unknown): Parsed<DrainWish> {
  return parse(drain, body ?? {}, []);
}

/** The body of a PATCH. */
export function parseChange(body: unknown, addressing: Addressing): Parsed<OriginChange> {
  const parsed = parse(change, body, addressFaults(body, addressing));
  if (!parsed.ok || parsed.value.url !== undefined || parsed.value.weight !== undefined) return parsed;
  return { ok: false, faults: [{ path: "", message: "found nothing to change; give weight, url, or both" }] };
}

export function parseMove(body: unknown): Parsed<{ readonly to?: string | undefined }> {
  return parse(move, body, []);
}

/** The origin that will stand in the ring. Where a salt has to be found nobody else's changes. */
export function standing(id: string, { url, weight, salt, backup }: WantedOrigin, layers: Membership): ConfiguredOrigin {
  const known = originOf(id, layers);
  const given = salt ?? (known?.backup === backup ? known.salt : undefined); // backups are another ring
  const origin = { id, url: bareUrl(url) ?? url, weight, backup };
  if (given !== undefined) return { ...origin, salt: given };
  const others = membersOf(layers).filter((each) => each.id !== id);
  const found = withSalts([...others, { ...origin, salt: undefined }], layers.virtualNodes).find((each) => each.id === id);
  return { ...origin, salt: found?.salt ?? 0 };
}

export interface Membership extends Pick<Layers, "configured" | "members"> {
  readonly virtualNodes: number;
}

/** What has to be remembered of an origin beside the configuration; `undefined`: nothing, it says the same. */
export function orderFor(origin: ConfiguredOrigin, configured: readonly ConfiguredOrigin[]): MemberOrder | undefined {
  const written = configured.find(({ id }) => id === origin.id);
  const order = {
    url: origin.url === written?.url ? undefined : origin.url,
    weight: origin.weight === written?.weight ? undefined : origin.weight,
    salt: origin.salt === written?.salt ? undefined : origin.salt,
    backup: origin.backup === written?.backup ? undefined : origin.backup,
  };
  return Object.values(order).every((field) => field === undefined) ? undefined : { ...order, ...STAYING };
}

const STAYING = { leavingAtMs: undefined, goneAtMs: undefined, leftBy: undefined } as const;

/** The same order of an origin that does not leave; `undefined`: nothing is left of it. */
export function stayingOrder(order: MemberOrder | undefined): MemberOrder | undefined {
  if (!order) return undefined;
  const { url, weight, salt, backup } = order;
  return [url, weight, salt, backup].every((field) => field === undefined) ? undefined : { ...order, ...STAYING };
}

/** Of an origin whose membership nobody has changed. */
export const UNCHANGED: MemberOrder = { url: undefined, weight: undefined, salt: undefined, backup: undefined, ...STAYING };

/** What else is known of the pool. */
export interface Surroundings {
  /** Of every region, this one's as the next snapshot may show them. */
  readonly pool: readonly { readonly id: string; readonly region: string; readonly url: string; readonly active: boolean }[];
  readonly region: string;
}

/** Why an origin cannot be here beside the others, in a sentence; `undefined` when it can. */
export function conflictOf(origin: ConfiguredOrigin, layers: Membership, { pool, region }: Surroundings): string | undefined {
  const namesake = pool.find((each) => each.id === origin.id && each.region !== region);
  if (namesake)
    return `${quoted(origin.id)} is an origin of region ${quoted(namesake.region)}, and ids are unique in a pool: choose another id, or remove that one first.`;
  // One that is leaving takes no session: its address may have its next owner.
  const neighbour = pool.find((each) => each.url === origin.url && each.id !== origin.id && each.active);
  if (neighbour) {
    return `${quoted(origin.url)} is the address of ${quoted(neighbour.id)} too, and one server under two ids would own one session twice: drain or remove that one first.`;
  }
  const ring = [...membersOf(layers).filter((each) => each.id !== origin.id), origin].filter((each) => each.backup === origin.backup);
  const points = ring.reduce((sum, { weight }) => sum + weight * layers.virtualNodes, 0);
  if (points <= LIMITS.ringPoints.most) return undefined;
  return `weight × virtualNodes of this ring would be ${Math.round(points)} points; allowed are ${LIMITS.ringPoints.most}, because ${LIMITS.ringPoints.outside}: give less weight.`;
}

/** The same order of an origin that has left: all that it was, so that an id that comes back can be compared with it. */
export function goneOrder(id: string, order: MemberOrder, goneAtMs: number, layers: Pick<Layers, "configured" | "members">): MemberOrder {
  const { url, weight, salt, backup } = originOf(id, layers) ?? order;
  return { ...order, url, weight, salt, backup, goneAtMs };
}

/** So many origins that left and are not configured are remembered: whoever asks for one is told that it is gone. As many again whose leases ran out. */
const GONE_MAX = 100;

/** Those of them that are forgotten: the ones that left first. Fleets that come and go push no operator's removal out. */
export function forgotten({ configured, members }: Pick<Layers, "configured" | "members">): string[] {
  const written = new Set(configured.map(({ id }) => id));
  const gone = [...members].flatMap(([id, { goneAtMs, leftBy }]) => (goneAtMs === undefined || written.has(id) ? [] : [{ id, goneAtMs, leftBy }]));
  const oldest = (some: typeof gone): typeof gone => some.toSorted((a, b) => b.goneAtMs - a.goneAtMs || (a.id < b.id ? -1 : 1)).slice(GONE_MAX);
  const lapsed = ({ leftBy }: { readonly leftBy: string | undefined }): boolean => leftBy === "origin";
  return [...oldest(gone.filter(lapsed)), ...oldest(gone.filter((each) => !lapsed(each)))].map(({ id }) => id);
}

function parse<T>(schema: v.GenericSchema<unknown, T>, body: unknown, more: Parameters<typeof inOrder>[1]): Parsed<T> {
  const shape = v.safeParse(schema, body);
  if (shape.success && more.length === 0) return { ok: true, value: shape.output };
  return { ok: false, faults: inOrder(body, [...(shape.issues ?? []).map(shapeFault), ...more]) };
}

function nameFaults(id: string): Parameters<typeof inOrder>[1] {
  const fault = idFault(id);
  return fault === undefined ? [] : [{ path: ["id"], message: fault }];
}

function addressFaults(body: unknown, { dev, bound, hosts }: Addressing): Parameters<typeof inOrder>[1] {
  const url = typeof body === "object" && body !== null && "url" in body ? bareUrl(body.url) : undefined;
  const fault = url === undefined || dev || bound ? undefined : (openUrlFault(url) ?? openHostFault(url, hosts));
  return fault === undefined ? [] : [{ path: ["url"], message: fault }];
}
