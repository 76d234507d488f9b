// What changed between two looks at the rings, as sentences. Pure.

import type { Origin, Ring } from "../shared/shapes.ts";

export function changesBetween(before: readonly Ring[], after: readonly Ring[]): string[] {
  const old = new Map(before.map((ring) => [nameOf(ring), ring]));
  return after.flatMap((ring) => {
    const was = old.get(nameOf(ring));
    return was === undefined ? [`${nameOf(ring)}: a new ring.`] : ringChanges(was, ring);
  });
}

export function nameOf({ pool, region }: Ring): string {
  return `${pool} · ${region}`;
}

function ringChanges(was: Ring, is: Ring): string[] {
  const old = new Map(was.origins.map((origin) => [origin.id, origin]));
  const present = new Set(is.origins.map(({ id }) => id));
  return [
    ...is.origins.flatMap((origin) => originChanges(old.get(origin.id), origin)),
    ...was.origins.filter(({ id }) => !present.has(id)).map(({ id }) => `${id} left ${nameOf(is)}.`),
    ...(was.down === is.down ? [] : [`${nameOf(is)} is ${is.down ? "out of service" : "in service again"}.`]),
    ...(was.generation === is.generation ? [] : [`${nameOf(is)} was rebuilt: generation ${is.generation}.`]),
  ];
}

function originChanges(was: Origin | undefined, is: Origin): string[] {
  if (was === undefined) return [`${is.id} joined, ${is.state}.`];
  return [
    ...(was.state === is.state ? [] : [`${is.id}: ${was.state} → ${is.state}.`]),
    ...(was.health === is.health ? [] : [`${is.id}: ${was.health} → ${is.health}.`]),
    ...(was.maintenance === is.maintenance ? [] : [`${is.id}: ${is.maintenance ? "in" : "out of"} maintenance.`]),
    ...(was.weight === is.weight ? [] : [`${is.id}: weight ${was.weight} → ${is.weight}.`]),
  ];
}
