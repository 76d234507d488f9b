// `limpet explain`: the way of a request, step by step, as the router would take it now. Nothing is placed, and no origin is asked.

import { AdminClient, type RouterOptions } from "./admin-client.ts";
import type { ExplainedView } from "./admin-views.ts";
import { columns, type Column } from "./columns.ts";
import type { VisitorCf } from "./places.ts";
import { paint, printJson, shown, type Paint } from "./text.ts";

export interface ExplainOptions extends RouterOptions {
  readonly cookie?: readonly string[];
  readonly header?: readonly (readonly [name: string, value: string])[];
  readonly from?: VisitorCf;
  readonly json: boolean;
}

export async function explain(url: string, { cookie = [], header = [], from, json, ...options }: ExplainOptions): Promise<void> {
  const client = new AdminClient(options);
  const headers = headersOf([...header, ...(cookie.length > 0 ? [["cookie", cookie.join("; ")] as const] : [])]);
  const body = { url: client.resolve(url), headers, ...(from ? { cf: { ...from } } : {}) };
  const explained = await client.ask((api) => api.explain.$post({ json: body }));
  if (json) printJson(explained);
  else console.log(explainedText(explained, paint));
}

/** The same header again is one, as HTTP reads it. */
function headersOf(pairs: readonly (readonly [name: string, value: string])[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of pairs) {
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
    headers[name] = before === undefined ? value : `${before}${name === "cookie" ? "; " : ", "}${value}`;
  }
  return headers;
}

export function explainedText({ identify, locate, carry, worker, ring }: ExplainedView, paint: Paint): string {
  const parts = [
    section("identify", identifyText(identify), paint),
    locate && section("locate", `home is ${locate.region}: ${locate.why}; looked at in this order: ${locate.regions.join(", ")}`, paint),
    carry && section("carry", carryText(carry), paint),
    worker &&
      section(
        "worker",
        `snapshot of epoch ${worker.epoch}, from ${worker.layer}${worker.hint ? `; a hint says ${worker.hint.origin}` : ""}`,
        paint,
        worker,
      ),
    ring &&
      ("unreachable" in ring ? section("ring", paint("red", "its object does not answer"), paint) : section("ring", ringText(ring), paint, ring)),
  ];
  return parts.filter((part) => part !== undefined).join("\n");
}

function identifyText({ outcome, detail, route, pool, source, key, keyHash, bound, claim }: ExplainedView["identify"]): string {
  const facts = [
    outcome === "identified" ? undefined : outcome,
    detail,
    route && `route ${route}`,
    pool && `pool ${pool}`,
    key === undefined ? route && "no session key: stateless" : `session key ${JSON.stringify(key)} in the ${source ?? "request"}`,
    keyHash && `hash ${keyHash}`,
    bound === false && "no affinity for this key",
    claim && `claim on ${claim.origin} by the ${claim.from}`,
  ];
  return facts.filter(Boolean).join(", ");
}

function carryText({ how, carrier, decidedBy, fault }: NonNullable<ExplainedView["carry"]>): string {
  const by = carrier === undefined ? "" : `, by carrier ${carrier}`;
  const decider = decidedBy === "ring" ? "the ring object decides" : "the Worker decides on its snapshot";
  return `${how}${by}; ${decider}${fault === undefined ? "" : `; refused before that: ${fault}`}`;
}

function ringText({ epoch, session, pin, quarantined }: Exclude<NonNullable<ExplainedView["ring"]>, { readonly unreachable: true }>): string {
  const facts = [
    `epoch ${epoch}`,
    session && `live at ${session.origin} (${session.region})${session.moving ? ", on its way" : ""}`,
    pin && `${pin.ordered ? "ordered to" : "pinned to"} ${pin.origin}`,
    quarantined && "in quarantine",
  ];
  return facts.filter(Boolean).join(", ");
}

type Decided = Pick<NonNullable<ExplainedView["worker"]>, "steps" | "decision" | "byChance">;
type StepView = Decided["steps"][number];

const HEAD_CELLS = 10;

function section(name: string, text: string, paint: Paint, decided?: Decided): string {
  const head = `${paint("bold", name.padEnd(HEAD_CELLS))}${shown(text)}`;
  if (!decided) return head;
  const steps = decided.steps.length === 0 ? [] : [indented(columns(STEPS, decided.steps, paint))];
  return [head, ...steps, " ".repeat(HEAD_CELLS) + decisionText(decided, paint)].join("\n");
}

const STEPS: readonly Column<StepView>[] = [
  { head: "step", align: "left", cell: ({ step }) => shown(step) },
  { head: "region", align: "left", cell: ({ region }) => shown(region) },
  { head: "origin", align: "left", cell: ({ origin = "" }) => shown(origin) },
  { head: "outcome", align: "left", cell: ({ outcome }) => shown(outcome) },
  { head: "", align: "left", cell: whyOf },
];

function whyOf({ share, fraction, load, capacity }: StepView): string {
  const facts = [
    fraction !== undefined && share !== undefined && `${fraction.toFixed(3)} of share ${share.toFixed(3)}`,
    load !== undefined && `load ${load}${capacity === undefined ? "" : ` of ${capacity}`}`,
  ];
  return facts.filter(Boolean).join(", ");
}

function decisionText({ decision, byChance }: Decided, paint: Paint): string {
  if (decision.kind === "refused") return paint("red", `→ refused: ${decision.why}`);
  return `${paint("green", `→ ${decision.origin}`)} (${decision.region}): ${decision.reason}${byChance ? ", by load, turn or chance: the next one may go elsewhere" : ""}`;
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((line) => " ".repeat(HEAD_CELLS - 2) + line)
    .join("\n");
}
