// `limpet status`: the rings as they are, once, or every second in place.

import { createLogUpdate } from "log-update";
import { AdminClient, mayPass, type RouterOptions } from "./admin-client.ts";
import type { RingsView } from "./admin-views.ts";
import { CommandFault } from "./fault.ts";
import { statusTables } from "./status-table.ts";
import { clock, listed, paint, printJson } from "./text.ts";

const LOOK_MS = 1_000;

/** Where no terminal says how wide it is, nobody needs it narrow. */
const WIDTH_ELSEWHERE = 200;

export interface StatusOptions extends RouterOptions {
  readonly watch: boolean;
  readonly json: boolean;
}

export async function status(pool: string | undefined, { watch, json, ...options }: StatusOptions): Promise<void> {
  const client = new AdminClient(options);
  const first = await look(client, pool);
  if (watch) return watching(client, pool, first, json);
  if (json) printJson(first);
  else console.log(drawn(first));
}

async function look(client: AdminClient, pool: string | undefined): Promise<RingsView> {
  const { rings } = await client.ask((api) => api.rings.$get());
  const asked = rings.filter((ring) => (pool ?? ring.pool) === ring.pool);
  if (asked.length > 0 || pool === undefined) return { rings: asked };
  throw new CommandFault(`There is no pool ${pool}. Known are ${listed([...new Set(rings.map((ring) => ring.pool))])}.`);
}

function drawn(rings: RingsView): string {
  return statusTables(rings, { width: process.stdout.columns ?? WIDTH_ELSEWHERE, nowMs: Date.now(), paint });
}

/** Until Ctrl-C. Whom it could once ask it goes on asking: a router that is away for a moment, as in a deploy, is why people watch. */
async function watching(client: AdminClient, pool: string | undefined, first: RingsView, json: boolean): Promise<void> {
  const screen = json || !process.stdout.isTTY ? undefined : createLogUpdate(process.stdout);
  const stop = (): void => {
    screen?.done(); // gives the cursor back
    process.exit(0);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  let [last, seenAtMs] = [first, Date.now()];
  let away: string | undefined;
  for (;;) {
    if (screen) screen(cropped([drawn(last), "", footer(seenAtMs, away)].join("\n")));
    else if (away !== undefined) console.error(away);
    else if (json) printJson(last);
    else console.log(`${drawn(last)}\n`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    try {
      last = await look(client, pool);
      [seenAtMs, away] = [Date.now(), undefined];
    } catch (error) {
      if (!(error instanceof CommandFault) || !mayPass(error)) {
        screen?.done();
        throw error;
      }
      away = error.message;
    }
  }
}

function footer(seenAtMs: number, away: string | undefined): string {
  const said = `${clock(seenAtMs)}, every second; Ctrl-C ends it`;
  return away === undefined ? paint("dim", said) : `${paint("red", `as of ${clock(seenAtMs)}.`)} ${away}`;
}

/** The head of what is higher than the terminal: its end would push the rest out of sight. */
function cropped(text: string): string {
  const lines = text.split("\n");
  const room = Math.max(2, (process.stdout.rows ?? lines.length + 1) - 1);
  if (lines.length <= room) return text;
  return [...lines.slice(0, room - 1), paint("dim", `… ${lines.length - room + 1} lines more: name a pool, or make the window higher`)].join("\n");
}
