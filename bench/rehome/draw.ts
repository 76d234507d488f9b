// `npm run draw:rehome -- FILE`: the picture of how long visitors waited, from the rows that `npm run bench -- rehome --json FILE` wrote. For a
// drain and a kill: the share of the touched visitors whose longest gap was no longer than so much, and what each contestant lost beside.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { curveStepAfter, line } from "d3-shape";
import type { Row } from "../rows.ts";

/** Of Okabe and Ito: told apart by everyone, on light and on dark. */
const COLOURS: Readonly<Record<string, string>> = { limpet: "#0072b2", nginx: "#009e73", haproxy: "#d55e00" };
const INK = "#777";
const PANELS = [
  { event: "drain", title: "One of eight origins is drained" },
  { event: "kill", title: "One of eight origins is killed" },
];
const PANEL = { width: 290, height: 210, top: 90, lefts: [52, 400] };
const TICKS_MS = [10, 100, 1_000, 10_000];
const [FIRST_MS, LAST_MS] = [10, 10_000];

const x = (ms: number): number => (Math.log(Math.min(LAST_MS, Math.max(FIRST_MS, ms)) / FIRST_MS) / Math.log(LAST_MS / FIRST_MS)) * PANEL.width;
const y = (share: number): number => (1 - share) * PANEL.height;
const curve = line<Row>(
  ({ value }) => x(value),
  ({ quantile }) => y(Number(quantile)),
).curve(curveStepAfter);

function grid(): string {
  const times = TICKS_MS.map((ms) => {
    const name = ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
    return `<path d="M${x(ms).toFixed(1)} 0V${PANEL.height}" class="grid"/><text x="${x(ms).toFixed(1)}" y="${PANEL.height + 18}" class="tick">${name}</text>`;
  });
  const shares = [0, 0.5, 1].map(
    (share) => `<path d="M0 ${y(share)}H${PANEL.width}" class="grid"/><text x="-8" y="${y(share) + 4}" class="share">${share * 100} %</text>`,
  );
  return [...times, ...shares].join("\n");
}

/** A table below the curves, which is their legend: what each contestant did to its visitors beside letting them wait. */
function table(rows: readonly Row[], contestants: readonly string[], event: string): string {
  const columns = [
    { title: "p99", right: 136, metrics: ["GapP99Ms"], unit: " ms" },
    { title: "closed", right: 206, metrics: ["VisitorCloses"], unit: "" },
    { title: "unanswered", right: PANEL.width, metrics: ["Lost", "Unanswered"], unit: "" },
  ];
  const top = PANEL.height + 44;
  const head = columns.map(({ title, right }) => `<text x="${right}" y="${top}" class="cell">${title}</text>`);
  const lines = contestants.flatMap((name, place) => {
    const base = top + 20 * (place + 1);
    const figure = (metric: string): number => rows.find((row) => row.contestant === name && row.metric === event + metric)?.value ?? NaN;
    const cells = columns.map(({ right, metrics, unit }) => {
      const value = Math.round(metrics.map(figure).reduce((sum, each) => sum + each, 0));
      return `<text x="${right}" y="${base}" class="cell">${value.toLocaleString("en")}${unit}</text>`;
    });
    return [`<rect y="${base - 10}" width="12" height="12" fill="${COLOURS[name]}"/><text x="18" y="${base}" class="name">${name}</text>`, ...cells];
  });
  return [...head, ...lines].join("\n");
}

function panel(rows: readonly Row[], index: number, { event, title }: (typeof PANELS)[number]): string {
  const contestants = Object.keys(COLOURS).filter((name) => rows.some(({ contestant }) => contestant === name));
  const lines = contestants.toReversed().map((name) => {
    const points = rows.filter(({ contestant, metric }) => contestant === name && metric === `${event}GapMs`);
    return `<path d="${curve(points) ?? ""}" fill="none" stroke="${COLOURS[name]}" stroke-width="2.2"/>`;
  });
  return `<g transform="translate(${PANEL.lefts[index]} ${PANEL.top})">
<text x="${PANEL.width / 2}" y="-16" class="title">${title}</text>
${[grid(), ...lines, table(rows, contestants, event)].join("\n")}
</g>`;
}

function picture(rows: readonly Row[]): string {
  const title = "How long the visitors whom it touched waited for an answer";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 424" role="img" aria-label="${title}">
<title>${title}</title>
<style>
text { font-family: system-ui, sans-serif; fill: ${INK} }
.head { font-size: 17px; font-weight: 600; text-anchor: middle } .title { font-size: 14px; font-weight: 600; text-anchor: middle }
.tick { font-size: 11px; text-anchor: middle } .share { font-size: 11px; text-anchor: end }
.name { font-size: 13px; font-weight: 600 } .cell { font-size: 12px; text-anchor: end } .grid { stroke: ${INK}; stroke-opacity: .25; fill: none }
</style>
<text x="360" y="26" class="head">${title}</text>
<text x="360" y="46" class="tick">share of them by their longest time from a frame to the next answer</text>
${PANELS.map((each, index) => panel(rows, index, each)).join("\n")}
</svg>
`;
}

const [from] = process.argv.slice(2);
if (from === undefined) {
  console.error("Usage: npm run draw:rehome -- FILE, a file that `npm run bench -- rehome --json FILE` wrote");
  process.exit(1);
}
const rows = JSON.parse(readFileSync(from, "utf8")) as Row[]; // written by bench/run.ts
const file = fileURLToPath(new URL("../../docs/images/rehome-gaps.svg", import.meta.url));
writeFileSync(file, picture(rows));
console.log(file);
