// What a carrier says of the sessions that it carries, awake and parked, to its ring object.

import type { Placement, SessionRef, Table, TableRow } from "../core/protocol.ts";
import type { CarriedSession } from "./carried-session.ts";

/** Every session with its placement, and those whose place is still being asked for. */
export function tableOf(sessions: Iterable<CarriedSession>, opening: ReadonlySet<CarriedSession>, parked: readonly TableRow[]): Table {
  const all = [...sessions];
  const rows = all.flatMap((session): TableRow[] => {
    const { ref, placement, connectionCount } = session;
    if (!placement) return [];
    return [{ ...rowOf(ref, placement, connectionCount), ...(opening.has(session) && { opening: true }) }];
  });
  return { rows: [...rows, ...parked], asking: all.filter(({ placement }) => !placement).map(({ ref }) => ref.keyHash) };
}

export function rowOf(ref: SessionRef, { origin, region, url, fence, reason, movedFrom }: Placement, connections: number): TableRow {
  return { ...ref, origin, region, url, fence, reason, movedFrom, connections };
}

/** Connections by origin. */
export function connectionsIn({ rows }: Pick<Table, "rows">): Map<string, number> {
  const counts = new Map<string, number>(); // not a record: an origin may be called "constructor"
  for (const { origin, connections } of rows) counts.set(origin, (counts.get(origin) ?? 0) + connections);
  return counts;
}
