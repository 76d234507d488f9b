// Waiting until an origin is drained, or serves again: many short looks, so that there is progress to see, and a router that is away for a
// moment is waited for too. Bounded. An order stands, whatever becomes of who waits for it.

import ora from "ora";
import { inPath, mayPass, type AdminClient } from "./admin-client.ts";
import type { OriginView } from "./admin-views.ts";
import { CommandFault, EXIT } from "./fault.ts";
import { nameOf, type Place } from "./find-origin.ts";
import { counted, percent } from "./text.ts";

/** How long the router holds one answer back: as often is there something new to see. */
const LOOK_MS = 1_000;

/** Where nobody watches, a log gets a line as often as this. */
const LOG_MS = 5_000;

export interface Wait {
  readonly until: "drained" | "serving";
  readonly timeoutMs: number;
  /** What stops it again, for who is tired of waiting: a command. */
  readonly undo: string;
}

/** The origin as it is then. Throws `CommandFault` with `EXIT.notYet` when the time has passed. */
export async function waitFor(client: AdminClient, place: Place, { until, timeoutMs, undo }: Wait): Promise<OriginView> {
  const progress = new Progress();
  const untilMs = Date.now() + timeoutMs;
  const interrupted = (): void => {
    progress.stop();
    console.error(`Not waited for any longer; the order stands, and goes on. To take it back: ${undo}`);
    process.exit(EXIT.interrupted);
  };
  process.once("SIGINT", interrupted);
  try {
    let last: OriginView | undefined;
    for (;;) {
      const leftMs = Math.max(0, untilMs - Date.now());
      const seen = await look(client, place, until, Math.min(LOOK_MS, leftMs), progress, leftMs > 0);
      if (seen?.reached) return seen.origin;
      last = seen?.origin ?? last;
      if (seen) progress.say(standing(seen.origin, until));
      if (leftMs > 0) continue;
      const stands = last ? `: ${standing(last, until)}` : "";
      throw new CommandFault(
        `${nameOf(place)} is not ${until} after ${Math.round(timeoutMs / 1_000)} s${stands}. The order stands: wait on with a longer --timeout, or take it back: ${undo}`,
        EXIT.notYet,
      );
    }
  } finally {
    process.off("SIGINT", interrupted);
    progress.stop();
  }
}

/** The router says whether it is so yet (200, 202). `undefined`: it is away for a moment. */
async function look(
  client: AdminClient,
  place: Place,
  until: Wait["until"],
  holdMs: number,
  progress: Progress,
  again: boolean,
): Promise<{ readonly reached: boolean; readonly origin: OriginView } | undefined> {
  try {
    const { status, body } = await client.answer((api) =>
      api.rings[":pool"][":region"].origins[":id"].$get({ ...inPath({ ...place }), query: { waitFor: until, timeoutMs: String(holdMs) } }),
    );
    return { reached: status === 200, origin: body };
  } catch (error) {
    if (!again || !mayPass(error)) throw error;
    progress.say(error instanceof Error ? error.message : String(error));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return undefined;
  }
}

function standing({ id, state, health, share, sessions, connections }: OriginView, until: Wait["until"]): string {
  if (until === "serving") return `${id} is ${state} and ${health}, with ${percent(share)} of its share`;
  if (sessions === 0 && connections === 0) return `${id} is empty; requests in flight have their time`;
  return `${id} has ${counted(sessions, "session")} and ${counted(connections, "connection")} left`;
}

/** A spinner on a terminal; elsewhere now and then a line. On standard error: results are on standard output. */
class Progress {
  readonly #spinner = process.stderr.isTTY ? ora({ stream: process.stderr, discardStdin: false }) : undefined;
  #saidAtMs = -Infinity;
  #said = "";

  say(text: string): void {
    if (this.#spinner) {
      this.#spinner.text = text;
      if (!this.#spinner.isSpinning) this.#spinner.start();
    } else if (text !== this.#said && Date.now() - this.#saidAtMs >= LOG_MS) {
      console.error(text);
      this.#saidAtMs = Date.now();
      this.#said = text;
    }
  }

  stop(): void {
    this.#spinner?.stop();
  }
}
