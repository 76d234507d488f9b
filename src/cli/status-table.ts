// What `limpet status` shows: a table a ring, as wide as the terminal bears. Pure: rings, width and moment in, text out.

import type { OriginView, RingsView, RingView } from "./admin-views.ts";
import { columns, widthOf, type Column } from "./columns.ts";
import { clock, counted, percent, shown, type Paint } from "./text.ts";

export interface Look {
  /** Columns of the terminal. */
  readonly width: number;
  readonly nowMs: number;
  readonly paint: Paint;
}

const BAR_CELLS = 10;

/** The richest layout that fits is shown: what an operator cannot do without stays to the end. */
function layoutsFor(look: Look): readonly (readonly Column<OriginView>[])[] {
  const origin: Column<OriginView> = { head: "origin", align: "left", cell: ({ id, backup }) => shown(id) + (backup ? " (backup)" : "") };
  const state: Column<OriginView> = { head: "state", align: "left", cell: (each) => stateCell(each, look) };
  const health: Column<OriginView> = { head: "health", align: "left", cell: (each) => healthCell(each, look) };
  const bar: Column<OriginView> = { head: "share", align: "left", cell: (each) => `${barOf(each.share)} ${shareCell(each, look)}` };
  const share: Column<OriginView> = { head: "share", align: "right", cell: (each) => percent(each.share) };
  const weight: Column<OriginView> = { head: "weight", align: "right", cell: (each) => String(each.weight) };
  const sessions: Column<OriginView> = { head: "sessions", align: "right", cell: (each) => String(each.sessions) };
  const connections: Column<OriginView> = { head: "connections", align: "right", cell: (each) => String(each.connections) };
  return [
    [origin, state, health, bar, weight, sessions, connections],
    [origin, state, health, share, weight, sessions, connections],
    [origin, state, health, share, sessions],
    [origin, state, health],
    [origin, state],
  ];
}

export function statusTables({ rings }: RingsView, look: Look): string {
  return rings.map((ring) => ("unreachable" in ring ? silentRing(ring, look) : ringTable(ring, look))).join("\n\n");
}

function silentRing({ pool, region }: { readonly pool: string; readonly region: string }, { paint }: Look): string {
  return `${paint("bold", `${pool}@${region}`)}  ${paint("red", "unreachable")}\n  its ring object does not answer; visitors are served by what is known of it`;
}

function ringTable(ring: RingView, look: Look): string {
  const { paint } = look;
  const facts = [
    ring.down ? paint("yellow", "out of service") : undefined,
    `epoch ${ring.epoch}`,
    counted(ring.sessions, "session"),
    counted(ring.connections, "connection"),
    ring.moving > 0 ? paint("yellow", `${ring.moving} moving`) : undefined,
    ring.waiting > 0 ? paint("yellow", `${ring.waiting} waiting to move`) : undefined,
    ring.quarantined.length > 0 ? paint("red", `${ring.quarantined.length} in quarantine`) : undefined,
  ].filter((fact) => fact !== undefined);
  const head = wrapped(`${paint("bold", `${ring.pool}@${ring.region}`)}  ${facts[0]}`, facts.slice(1), look.width);
  return ring.origins.length === 0 ? `${head}\n  no origins` : `${head}\n${originTable(ring.origins, look)}`;
}

function wrapped(first: string, more: readonly string[], width: number): string {
  const lines = [first];
  for (const fact of more) {
    const longer = `${lines.at(-1)} · ${fact}`;
    if (widthOf(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(`  ${fact}`);
  }
  return lines.join("\n");
}

function originTable(origins: readonly OriginView[], look: Look): string {
  let drawn = "";
  for (const layout of layoutsFor(look)) {
    drawn = columns(layout, origins, look.paint);
    if (widthOf(drawn) <= look.width) break;
  }
  return drawn;
}

function stateCell({ state, maintenance }: OriginView, { paint }: Look): string {
  const word = maintenance && state === "active" ? "maintenance" : state;
  return word === "active" ? word : paint(word === "gone" ? "dim" : "yellow", shown(word));
}

function healthCell({ health }: OriginView, { paint }: Look): string {
  return paint(health === "healthy" ? "green" : "red", shown(health));
}

function barOf(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
  return "█".repeat(full) + "░".repeat(BAR_CELLS - full);
}

function shareCell({ share, shareEndsAtMs }: OriginView, { nowMs }: Look): string {
  const said = percent(share).padStart(5);
  return shareEndsAtMs !== undefined && shareEndsAtMs > nowMs ? `${said}, full at ${clock(shareEndsAtMs, nowMs)}` : said;
}
