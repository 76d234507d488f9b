// `limpet apply`: another configuration for a running router, without a deploy. What would change is shown first; then it is applied, and waited for
// until every ring has it. `limpet config` writes the one that holds to a file, and `--undo` brings back the one before.

import { createInterface } from "node:readline/promises";
import { writeFile } from "node:fs/promises";
import ora from "ora";
import { AdminClient, type RouterOptions } from "./admin-client.ts";
import { readConfig } from "./config-file.ts";
import { CommandFault, EXIT } from "./fault.ts";
import { counted, listed, paint, printJson, shown, type Paint } from "./text.ts";

export interface ApplyOptions extends RouterOptions {
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly why?: string;
  readonly json: boolean;
}

interface Change {
  readonly path: string;
  readonly what: "added" | "removed" | "changed";
  readonly before?: unknown;
  readonly after?: unknown;
}

interface RingPlan {
  readonly pool: string;
  readonly region: string;
  readonly movedShare?: number;
  readonly optimumShare?: number;
  readonly unreachable?: true;
}

interface Planned {
  readonly revision: number;
  readonly changes: readonly Change[];
  readonly plan: readonly RingPlan[];
}

interface ConfigView {
  readonly revision: number;
  readonly source: "bundle" | "applied";
  readonly config: object;
  readonly pending: readonly string[];
  readonly rings: readonly {
    readonly pool: string;
    readonly region: string;
    readonly revision?: number;
    readonly unreadable?: { readonly revision: number; readonly why: string };
  }[];
}

/** Between two looks at who has it. */
const LOOK_MS = 500;
const HELD_WITHIN_MS = 60_000;

export async function apply(file: string, options: ApplyOptions): Promise<void> {
  const raw = await readConfig(file);
  const client = new AdminClient(options);
  const { revision: present } = await client.json<ConfigView>("GET", "config");
  const planned = await client.json<Planned>("PUT", "config?dryRun=true", { body: raw, ifMatch: present });
  if (options.json && options.dryRun) printJson(planned);
  else if (!options.json) console.log(plannedText(planned, present, paint));
  if (options.dryRun || isNothing(planned)) return;
  if (!options.yes) await agreed(`Apply revision ${planned.revision}?`);
  const why = options.why === undefined ? "" : `?why=${encodeURIComponent(options.why)}`;
  const { revision } = await client.json<{ revision: number }>("PUT", `config${why}`, { body: raw, ifMatch: present });
  await finish(client, revision, options.json);
}

export async function undo({ yes, json, why, ...router }: Omit<ApplyOptions, "dryRun">): Promise<void> {
  const client = new AdminClient(router);
  const { revision: present } = await client.json<ConfigView>("GET", "config");
  if (!yes) await agreed(`Undo revision ${present}?`);
  const query = why === undefined ? "" : `?why=${encodeURIComponent(why)}`;
  const undone = await client.json<Omit<Planned, "plan">>("POST", `config/undo${query}`, { ifMatch: present });
  if (!json) console.log(changesText(undone.changes, paint));
  await finish(client, undone.revision, json);
}

/** The configuration that holds, for a file that is to be deployed, or changed and applied. */
export async function pullConfig({ out, json, ...router }: RouterOptions & { readonly out?: string; readonly json: boolean }): Promise<void> {
  const view = await new AdminClient(router).json<ConfigView>("GET", "config");
  const text = `${JSON.stringify(view.config, undefined, 2)}\n`;
  if (json) printJson(view);
  else if (out === undefined) process.stdout.write(text);
  if (out === undefined) return;
  await writeFile(out, text);
  if (!json) console.log(`Revision ${view.revision} (${view.source}) is in ${out}.`);
}

/** What is asked for says the same as what holds. */
function isNothing({ changes }: Pick<Planned, "changes">): boolean {
  return changes.every(({ path }) => path === "configRevision");
}

async function finish(client: AdminClient, revision: number, json: boolean): Promise<void> {
  const spinner = json ? undefined : ora({ isSilent: !process.stderr.isTTY });
  spinner?.start(`revision ${revision} is on its way`);
  try {
    const untilMs = Date.now() + HELD_WITHIN_MS;
    for (;;) {
      const view = await client.json<ConfigView>("GET", "config");
      const missing = whoMisses(view, revision);
      if (missing.length === 0) break;
      if (spinner) spinner.text = `revision ${revision} is on its way: ${shown(listed(missing.slice(0, 3)))}`;
      if (Date.now() > untilMs) {
        const who = `${listed(missing.slice(0, 10))}${missing.length > 10 ? ` and ${missing.length - 10} more` : ""}`;
        throw new CommandFault(
          `Revision ${revision} holds, but after a minute not everywhere: ${shown(who)}. They are told until they have it.`,
          EXIT.notYet,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } finally {
    spinner?.stop();
  }
  if (json) printJson({ revision });
  else console.log(`Revision ${revision} holds: every ring has it, and each Worker within a minute.`);
}

function whoMisses({ revision: present, pending, rings }: ConfigView, revision: number): string[] {
  if (present > revision) return []; // somebody has changed it since
  const late = rings.filter((ring) => (ring.revision ?? 0) < revision);
  const told = late.map(({ pool, region, unreadable }) => `${pool}@${region}${unreadable ? ` (cannot read it: ${unreadable.why})` : ""}`);
  return [...(pending.includes("kv") ? ["KV"] : []), ...told];
}

export function plannedText({ revision, changes, plan }: Planned, present: number, paint: Paint): string {
  if (isNothing({ changes })) return `Nothing is different from revision ${present}, which holds.`;
  const moves = plan.map((ring) => {
    const name = `${ring.pool}@${ring.region}`;
    if (ring.movedShare === undefined) return `  ${name}: it does not answer`;
    return `  ${name}: ${exact(ring.movedShare)} of its keys move, of at least ${exact(ring.optimumShare ?? 0)}`;
  });
  const moving = plan.some(({ movedShare = 1 }) => movedShare > 0) ? ["", "What moves:", ...moves] : ["", "No key moves."];
  return [paint("bold", `Revision ${present} → ${revision}`), changesText(changes, paint), ...moving].join("\n");
}

const LINES_MAX = 200;

export function changesText(changes: readonly Change[], paint: Paint): string {
  const lines = changes.filter(({ path }) => path !== "configRevision").map((change) => `  ${changeText(change, paint)}`);
  const left = lines.length - LINES_MAX;
  return [...lines.slice(0, LINES_MAX), ...(left > 0 ? [`  and ${counted(left, "more change")}`] : [])].join("\n");
}

function changeText({ path, what, before, after }: Change, paint: Paint): string {
  const said = (value: unknown): string => shown(JSON.stringify(value) ?? "");
  switch (what) {
    case "added":
      return paint("green", `+ ${shown(path)}: ${said(after)}`);
    case "removed":
      return paint("red", `- ${shown(path)}: ${said(before)}`);
    case "changed":
      return paint("yellow", `~ ${shown(path)}: ${said(before)} → ${said(after)}`);
    default:
      return what satisfies never;
  }
}

function exact(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Where nobody can be asked it must be said beforehand. */
async function agreed(question: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) throw new CommandFault("Nobody can be asked here: look with --dry-run, then give --yes.");
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await asking.question(`${question} [y/N] `).finally(() => asking.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandFault("Nothing was changed.");
}
