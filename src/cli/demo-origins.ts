// The servers that `npm start` runs itself: what the configuration says of them, and that nothing else is in their place. Each fault
// is one sentence, said before anything is started.

import type { OriginPlan } from "../../examples/collab/fleet.ts";
import type { Config } from "../core/config-types.ts";
import { CommandFault } from "./fault.ts";
import { whyTaken } from "./ports.ts";

/** The pool of the page to try it. */
const POOL = "collab";

/** What to start, and where. Throws `CommandFault` when it cannot be started on this machine. */
export function demoOrigins(config: Config): Required<OriginPlan>[] {
  const pool = Object.hasOwn(config.pools, POOL) ? config.pools[POOL] : undefined;
  if (!pool)
    throw new CommandFault(`limpet.config.ts has no pool "${POOL}", which \`npm start\` and its page need: to run other pools, use \`npm run dev\`.`);
  const plans = pool.origins.map(({ id, region, url }) => ({ id, region, url, port: localPort(url) }));
  const elsewhere = plans.filter(({ port }) => port === undefined).map(({ id, url }) => `${id} has ${url}`);
  if (elsewhere.length > 0) {
    throw new CommandFault(
      `\`npm start\` runs the origins of the pool "${POOL}" itself, so that their urls must be http://127.0.0.1:PORT, but ${elsewhere.join(", ")}: for servers that run already, use \`npm run dev\`.`,
    );
  }
  return plans.map(({ id, region, port = 0 }) => ({ id, region, port }));
}

/** One sentence with every port of theirs that somebody else holds. */
export async function assertOriginsFree(plans: readonly Required<OriginPlan>[]): Promise<void> {
  const reasons = await Promise.all(plans.map(({ port }) => whyTaken(port)));
  const taken = plans.filter((_, index) => reasons[index] !== undefined).map(({ id, port }) => `${port} (${id})`);
  if (taken.length === 0) return;
  const [noun, place] = taken.length === 1 ? ["port", "it is"] : ["ports", "they are"];
  throw new CommandFault(
    `The servers of limpet.config.ts cannot use the ${noun} ${taken.join(", ")}, as ${place} in use on this machine: end what listens there (another \`npm start\`?), or change the urls in limpet.config.ts.`,
  );
}

/** `undefined`: not an address at which this machine's own servers listen. */
function localPort(url: string): number | undefined {
  const { protocol, hostname, port } = new URL(url);
  const isLocal = protocol === "http:" && ["127.0.0.1", "localhost"].includes(hostname);
  return isLocal && port !== "" ? Number(port) : undefined;
}
