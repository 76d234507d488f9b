// `npm run draw:day -- FILE`: the picture of a day, of the file that `npm run scenario -- day --json FILE` wrote. Above: the live sessions of each
// origin; below: busiest ÷ mean of each ring, with the times in which its origins or shares were on their way shaded.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { area, curveStepAfter, line, stack } from "d3-shape";
import { REGIONS } from "./config.ts";
import { busiestOverMean } from "./moves.ts";
import { BUSIEST_MAX, type DayRecord, type Sample } from "./report.ts";

type Drawn = Pick<DayRecord, "beganAtMs" | "overAtMs" | "steps" | "samples">;

/** Of Okabe and Ito: told apart by everyone, on light and on dark. One a region; its origins are shades of it. */
const COLOURS = { weur: "#0072b2", enam: "#d55e00" } as const;
const SHADES = [1, 0.75, 0.5, 0.3];
const INK = "#777";
const PANEL = { left: 48, width: 656 };
const SESSIONS = { top: 88, height: 170 };
const BALANCE = { top: 300, height: 150 };
const [LEAST, MOST] = [1, 2];
const MINUTE_MS = 60_000;

function picture({ beganAtMs, overAtMs, steps, samples }: Drawn): string {
  const x = (atMs: number): number => ((atMs - beganAtMs) / (overAtMs - beganAtMs)) * PANEL.width;
  const title = "A day of eight origins in two regions, in minutes";
  const phases = [...Map.groupBy(steps, ({ phase }) => phase)].map(([phase, all]) => {
    const [fromMs, toMs] = [all[0]?.beganAtMs ?? 0, all.at(-1)?.overAtMs ?? 0];
    return { phase, from: x(fromMs), to: x(toMs) };
  });
  const names = phases.map(({ phase, from, to }, index) => {
    const line = `<path d="M${px(from)} 0V${BALANCE.top + BALANCE.height - SESSIONS.top}" class="phase"/>`;
    return `${line}<text x="${px((from + to) / 2)}" y="${index % 2 === 0 ? -8 : -22}" class="tick">${phase.replaceAll("-", " ")}</text>`;
  });
  const minutes = Array.from({ length: Math.floor((overAtMs - beganAtMs) / MINUTE_MS) + 1 }, (_, minute) => {
    return `<text x="${px(x(beganAtMs + minute * MINUTE_MS))}" y="${BALANCE.height + 18}" class="tick">${minute} min</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 510" role="img" aria-label="${title}">
<title>${title}</title>
<style>
text { font-family: system-ui, sans-serif; fill: ${INK} }
.head { font-size: 17px; font-weight: 600; text-anchor: middle } .title { font-size: 13px; font-weight: 600 }
.tick { font-size: 11px; text-anchor: middle } .value { font-size: 11px; text-anchor: end } .name { font-size: 12px; font-weight: 600 }
.grid { stroke: ${INK}; stroke-opacity: .25; fill: none } .phase { stroke: ${INK}; stroke-opacity: .5; stroke-dasharray: 1 3; fill: none }
.bar { stroke: ${INK}; stroke-dasharray: 5 4; fill: none }
</style>
<text x="360" y="24" class="head">${title}</text>
<text x="${PANEL.left}" y="46" class="title">live sessions, by origin</text>
<g transform="translate(${PANEL.left} ${SESSIONS.top})">
${[sessionsOver(samples, x), ...names].join("\n")}
</g>
<g transform="translate(${PANEL.left} ${BALANCE.top})">
<text y="-14" class="title">busiest ÷ mean of a ring's live sessions, by weight and share; shaded: on the way</text>
${[balanceOver(samples, x), ...minutes].join("\n")}
</g>
${REGIONS.map((region, index) => `<g transform="translate(${PANEL.left + index * 80} 494)"><rect y="-10" width="12" height="12" fill="${COLOURS[region]}"/><text x="18" class="name">${region}</text></g>`).join("\n")}
</svg>
`;
}

/** Whoever is on no origin (its own has just died) is missing. */
function sessionsOver(samples: readonly Sample[], x: (atMs: number) => number): string {
  const [first, second] = REGIONS.map((region) => samples.filter((sample) => sample.region === region));
  if (!first || !second) return "";
  const ids = [...new Set(samples.flatMap(({ origins }) => origins.map(({ id }) => id)))].toSorted();
  const inOrder = REGIONS.flatMap((region) => ids.filter((id) => id.startsWith(region)));
  const moments = first.map((sample, index) => {
    const origins = [...sample.origins, ...(second[index]?.origins ?? [])];
    return { atMs: sample.atMs, counts: new Map(origins.map(({ id, sessions }) => [id, sessions])) };
  });
  const most = Math.max(1, ...moments.map(({ counts }) => [...counts.values()].reduce((total, each) => total + each, 0)));
  const y = (sessions: number): number => (1 - sessions / most) * SESSIONS.height;
  const layers = stack<(typeof moments)[number], string>()
    .keys(inOrder)
    .value(({ counts }, id) => counts.get(id) ?? 0)(changes(moments, ({ counts }) => [...counts].join()));
  const shape = area<(typeof layers)[number][number]>()
    .x(({ data }) => x(data.atMs))
    .y0(([from]) => y(from))
    .y1(([, to]) => y(to))
    .curve(curveStepAfter)
    .digits(1);
  const areas = layers.map((layer) => {
    const region = REGIONS.find((each) => layer.key.startsWith(each)) ?? REGIONS[0];
    const shade = SHADES[(Number(layer.key.split("-").at(-1)) - 1) % SHADES.length];
    return `<path d="${shape(layer) ?? ""}" fill="${COLOURS[region]}" fill-opacity="${shade}"><title>${layer.key}</title></path>`;
  });
  const values = [0, most].map((value) => `<text x="-8" y="${px(y(value) + 4)}" class="value">${value}</text>`);
  return [...areas, ...values].join("\n");
}

function balanceOver(samples: readonly Sample[], x: (atMs: number) => number): string {
  const y = (ratio: number): number => (1 - (Math.min(MOST, Math.max(LEAST, ratio)) - LEAST) / (MOST - LEAST)) * BALANCE.height;
  const values = [1, BUSIEST_MAX, MOST].map((value) => {
    const kind = value === BUSIEST_MAX ? "bar" : "grid";
    return `<path d="M0 ${px(y(value))}H${PANEL.width}" class="${kind}"/><text x="-8" y="${px(y(value) + 4)}" class="value">${value}</text>`;
  });
  const rings = REGIONS.map((region) => {
    const own = samples.filter((sample) => sample.region === region);
    const curve = line<Sample>(
      ({ atMs }) => x(atMs),
      ({ origins }) => y(busiestOverMean(origins)),
    )
      .defined(({ origins }) => busiestOverMean(origins) > 0)
      .curve(curveStepAfter)
      .digits(1);
    const shaded = own.flatMap(({ ramping, atMs }, index) => {
      const next = own[index + 1];
      return ramping && next ? [`M${px(x(atMs))} 0H${px(x(next.atMs))}V${BALANCE.height}H${px(x(atMs))}Z`] : [];
    });
    return `<path d="${shaded.join("")}" fill="${COLOURS[region]}" fill-opacity=".12"/><path d="${curve(changes(own, ({ origins }) => String(busiestOverMean(origins)))) ?? ""}" fill="none" stroke="${COLOURS[region]}" stroke-width="1.6"/>`;
  });
  return [...values, ...rings].join("\n");
}

/** Those that differ from the one before, and the last: of a step's curve nothing else shows. */
function changes<T>(all: readonly T[], of: (each: T) => string): T[] {
  return all.filter((each, index) => {
    const before = all[index - 1];
    return before === undefined || index === all.length - 1 || of(each) !== of(before);
  });
}

function px(value: number): string {
  return String(Number(value.toFixed(1)));
}

const [from] = process.argv.slice(2);
if (from === undefined) {
  console.error("Usage: npm run draw:day -- FILE, a file that `npm run scenario -- day --json FILE` wrote");
  process.exit(1);
}
const file = fileURLToPath(new URL("../../docs/images/scenario-day.svg", import.meta.url));
writeFileSync(file, picture(JSON.parse(readFileSync(from, "utf8")) as Drawn)); // written by run.ts
console.log(file);
