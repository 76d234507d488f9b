// `npm run draw:ring`: the picture of docs/ring.md, a real ring of three origins before and after a fourth joins.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { arc } from "d3-shape";
import { differenceOf, settle, type Difference } from "../../src/core/move.ts";
import { arcsOf, buildRing, CIRCLE, clockwise, ownerOf, type Ring, type RingMember } from "../../src/core/ring.ts";
import { joined } from "./contestants.ts";
import { snapshotView } from "./fleet.ts";

/** Few enough points to be seen; rings in use have 256 for each unit of weight. */
const VIRTUAL_NODES = 24;
/** Of Okabe and Ito: told apart by everyone, on light and on dark. */
const COLOURS: Readonly<Record<string, string>> = { "weur-1": "#0072b2", "weur-2": "#e69f00", "weur-3": "#009e73", "weur-4": "#d55e00" };
const INK = "#777";
const RADIUS = { inner: 88, outer: 124, moved: 132, movedOuter: 140 };

interface Arc {
  readonly owner: string;
  readonly from: number;
  readonly to: number;
}

function arcs(ring: Ring): Arc[] {
  return [...ring.points].map((point, index) => {
    const length = clockwise(ring.points.at(index - 1) ?? 0, point);
    return { owner: ownerOf(ring, point) ?? "", from: point - length, to: point };
  });
}

const shape = arc<{ from: number; to: number; inner: number; outer: number }>()
  .startAngle(({ from }) => (from / CIRCLE) * 2 * Math.PI)
  .endAngle(({ to }) => (to / CIRCLE) * 2 * Math.PI)
  .innerRadius(({ inner }) => inner)
  .outerRadius(({ outer }) => outer);

function circle(ring: Ring, x: number, title: string, subtitle: string, joiner?: string): string {
  const parts = arcs(ring);
  const slices = parts.map(
    ({ owner, from, to }) => `<path d="${shape({ from, to, inner: RADIUS.inner, outer: RADIUS.outer })}" fill="${COLOURS[owner]}"/>`,
  );
  const moved = parts
    .filter(({ owner }) => owner === joiner)
    .map(({ owner, from, to }) => `<path d="${shape({ from, to, inner: RADIUS.moved, outer: RADIUS.movedOuter })}" fill="${COLOURS[owner]}"/>`);
  return `<g transform="translate(${x} 190)">
${[...slices, ...moved].join("\n")}
<text y="-8" class="title">${title}</text><text y="14" class="small">${subtitle}</text>
</g>`;
}

/** Each origin's share of the keys, before and after: what the others lose is what the joiner gets. */
function bars({ origins }: Difference): string {
  const scale = 1500; // pixels for all of the keys
  return origins
    .map(({ id, before, after }, index) => {
      const y = 382 + index * 34;
      const bar = (share: number, dy: number, opacity: number): string =>
        `<rect x="96" y="${y + dy}" width="${(share * scale).toFixed(1)}" height="11" fill="${COLOURS[id]}" opacity="${opacity}"/><text x="${(102 + share * scale).toFixed(1)}" y="${y + dy + 9.5}" class="figure">${(share * 100).toFixed(1)} %</text>`;
      return `<text x="84" y="${y + 15}" class="label">${id}</text>${before > 0 ? bar(before, 0, 0.45) : ""}${bar(after, 12, 1)}`;
    })
    .join("\n");
}

function picture(fleet: readonly RingMember[], joiner: string): string {
  const before = fleet.filter(({ id }) => id !== joiner);
  const difference = differenceOf(settle(snapshotView(before, VIRTUAL_NODES), 0), settle(snapshotView(fleet, VIRTUAL_NODES), 0));
  const after = buildRing(fleet, VIRTUAL_NODES);
  const peak = (Math.max(...arcsOf(after)) * fleet.length) / CIRCLE;
  const title = `${joiner} joins: ${(difference.movedShare * 100).toFixed(1)} % of the keys move, all of them to it`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 530" role="img" aria-label="${title}">
<title>${title}</title>
<style>
text { font-family: system-ui, sans-serif; fill: ${INK}; text-anchor: middle }
.head { font-size: 17px; font-weight: 600 } .title { font-size: 18px; font-weight: 600 } .small { font-size: 12px }
.label { font-size: 13px; text-anchor: end } .figure { font-size: 10.5px; text-anchor: start }
</style>
<text x="360" y="26" class="head">${title}</text>
${circle(buildRing(before, VIRTUAL_NODES), 180, "before", `${before.length} origins`)}
${circle(after, 540, "after", `busiest ÷ mean ${peak.toFixed(2)}`, joiner)}
<text x="360" y="346" class="small">The outer marks are the arcs that moved. (${VIRTUAL_NODES} virtual nodes each, so that they can be seen.)</text>
<text x="360" y="364" class="small">Share of the keys, pale before and full after:</text>
${bars(difference)}
</svg>
`;
}

const file = fileURLToPath(new URL("../../docs/images/ring-join.svg", import.meta.url));
writeFileSync(file, picture(joined(["weur-1", "weur-2", "weur-3", "weur-4"], VIRTUAL_NODES), "weur-4"));
console.log(file);
