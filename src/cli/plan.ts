// `limpet plan`: what changes of a ring would move, before they are made. Nothing is changed.

import type { Sent } from "../http/admin-app.ts";
import { AdminClient, inPath, type RouterOptions } from "./admin-client.ts";
import type { PlannedView, ShareChange } from "./admin-views.ts";
import { columns, type Column } from "./columns.ts";
import { CommandFault, EXIT } from "./fault.ts";
import { counted, paint, printJson, shown, type Paint } from "./text.ts";

export interface PlanOptions extends RouterOptions {
  readonly add?: readonly { readonly id: string; readonly url: string; readonly weight: number }[];
  readonly remove?: readonly string[];
  readonly drain?: readonly string[];
  readonly reweight?: readonly { readonly id: string; readonly weight: number }[];
  readonly down?: true;
  readonly maxMoved?: number;
  readonly json: boolean;
}

export async function plan(pool: string, region: string, options: PlanOptions): Promise<void> {
  const changes = changesOf(options);
  if (changes.length === 0) throw new CommandFault("Say what to plan: --add, --remove, --drain, --reweight or --down.");
  const planned = await new AdminClient(options).ask((api) =>
    api.rings[":pool"][":region"].plan.$post({ ...inPath({ pool, region }), json: { changes } }),
  );
  if (options.json) printJson(planned);
  else console.log(plannedText(planned, paint));
  const { maxMoved } = options;
  if (maxMoved === undefined || planned.movedShare <= maxMoved) return;
  throw new CommandFault(`It would move ${exact(planned.movedShare)} of all keys: more than --max-moved ${exact(maxMoved)}.`, EXIT.movesTooMuch);
}

/** Joining first, so that what leaves has somewhere to go. */
function changesOf({ add = [], remove = [], drain = [], reweight = [], down }: PlanOptions): Sent<"planRing">["changes"] {
  return [
    ...add.map((put) => ({ put })),
    ...reweight.map((each) => ({ reweight: each })),
    ...drain.map((id) => ({ drain: id })),
    ...remove.map((id) => ({ remove: id })),
    ...(down ? [{ down }] : []),
  ];
}

const COLUMNS: readonly Column<ShareChange & { readonly id: string }>[] = [
  { head: "origin", align: "left", cell: ({ id }) => shown(id) },
  { head: "before", align: "right", cell: ({ before }) => exact(before) },
  { head: "after", align: "right", cell: ({ after }) => exact(after) },
  { head: "gained", align: "right", cell: ({ gained }) => (gained > 0 ? `+${exact(gained)}` : "") },
  { head: "lost", align: "right", cell: ({ lost }) => (lost > 0 ? `-${exact(lost)}` : "") },
];

export function plannedText({ origins, elsewhere, movedShare, optimumShare, sessions }: PlannedView, paint: Paint): string {
  const isElsewhere = elsewhere.before > 0 || elsewhere.after > 0;
  const rows = [...origins, ...(isElsewhere ? [{ id: "other regions", ...elsewhere }] : [])];
  const optimum = `the least that such a change can move is ${exact(optimumShare)}`;
  const lines = [
    columns(COLUMNS, rows, paint),
    "",
    `${paint("bold", `${exact(movedShare)} of all keys move`)}; ${optimum}.`,
    `${counted(sessions.moved, "live session")} of ${sessions.live} would be moved.`,
    sessions.stranded > 0
      ? paint("red", `${counted(sessions.stranded, "live session")} could go nowhere: closed when the drain is over. Add an origin first.`)
      : undefined,
  ];
  return lines.filter((line) => line !== undefined).join("\n");
}

/** To a tenth of a percent. */
function exact(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
