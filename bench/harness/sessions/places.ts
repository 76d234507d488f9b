// Where each session belongs, by Limpet's own decision over a fleet as it stands: the pure core, without pins and claims. It says when all
// has settled, and how many sessions an event had to move at the least.

import { decide } from "../../../src/core/decide.ts";
import { keyPoint } from "../../../src/core/hash.ts";
import { homeRegion, regionOrder } from "../../../src/core/home.ts";
import { parseConfig } from "../../../src/core/config.ts";
import { PLACEMENT } from "../../../src/core/ring.ts";
import { withSalts } from "../../../src/core/salts.ts";
import { FULL_SHARE } from "../../../src/core/share.ts";
import { viewOf, type RegionView } from "../../../src/core/snapshot.ts";
import { keyOf } from "./names.ts";

/** An origin as a router shows it. */
export interface Member {
  readonly id: string;
  readonly region: string;
  readonly url: string;
  readonly weight: number;
  readonly salt: number;
  readonly state: "joining" | "active" | "draining" | "drained";
  readonly health: "healthy" | "ejected" | "down";
}

export const POOL = "rooms";

/** Salts as a ring finds them: those that are known stay, whoever joins gets the best that is left. */
export function salted(members: readonly (Omit<Member, "salt"> & { readonly salt?: number })[], virtualNodes: number): Member[] {
  const regions = Map.groupBy(members, ({ region }) => region);
  return [...regions.values()].flatMap((group) =>
    withSalts(
      group.map((member) => ({ ...member, backup: false })),
      virtualNodes,
    ),
  );
}

/** The origin of each session, by its number. */
export function placesOf(raw: unknown, members: readonly Member[], sessions: number): (string | undefined)[] {
  const parsed = parseConfig(raw, { dev: true });
  const pool = parsed.ok ? parsed.config.pools[POOL] : undefined;
  const route = parsed.ok ? parsed.config.routes[0] : undefined;
  if (!parsed.ok || !pool || !route) throw new Error("the benchmark's configuration is none");
  const views = new Map(Object.keys(parsed.config.regions).map((region) => [region, viewIn(region, members, pool.virtualNodes)]));
  return Array.from({ length: sessions }, (_, session) => {
    const key = keyPoint(keyOf(session));
    const home = homeRegion(parsed.config, route, key.lot, () => ({}), undefined);
    const regions = regionOrder(parsed.config, pool, home).flatMap((region) => views.get(region) ?? []);
    const decision = decide({ key, keyed: true, regions, excluded: new Set(), policy: pool, balance: { kind: "ring" }, nowMs: Date.now() });
    return decision.kind === "routed" ? decision.origin.id : undefined;
  });
}

function viewIn(region: string, members: readonly Member[], virtualNodes: number): RegionView {
  const origins = members
    .filter((member) => member.region === region)
    .map(({ id, url, weight, salt, state, health }) => ({
      id,
      url,
      weight,
      salt,
      lifecycle: state,
      health,
      backup: false,
      closed: false,
      ejectedUntilMs: Infinity,
      share: FULL_SHARE,
    }));
  const versions = { format: 1 as const, placement: PLACEMENT, generation: 1, epoch: 1, hintsVersion: 0, configRevision: 1, writtenAtMs: 0 };
  return viewOf({ ...versions, pool: POOL, region, virtualNodes, kept: FULL_SHARE, origins });
}
