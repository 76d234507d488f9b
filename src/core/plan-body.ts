// What a plan is asked for: changes of a ring's origins, made one after the other. Parsed here, all faults at once.

import * as v from "valibot";
import { inOrder, shapeFault, type FoundFault } from "./config-faults.ts";
import { LIMITS } from "./config-limits.ts";
import { closed, flag, isFields, leaf, quantity } from "./config-shapes.ts";
import { idFault, originUrlFault } from "./config-texts.ts";
import { anyOf, found } from "./config-words.ts";
import type { Parsed } from "./membership.ts";

export type PlannedChange =
  | {
      readonly kind: "put";
      readonly origin: {
        readonly id: string;
        readonly url?: string | undefined;
        readonly weight?: number | undefined;
        readonly salt?: number | undefined;
        readonly backup?: boolean | undefined;
      };
    }
  | { readonly kind: "remove" | "drain" | "undrain"; readonly id: string }
  | { readonly kind: "reweight"; readonly id: string; readonly weight: number }
  | { readonly kind: "down" };

/** More would be another fleet. */
const CHANGES_MAX = 100;

const id = leaf<string>(idFault);
const KINDS = {
  put: closed("an origin", {
    id,
    url: v.optional(leaf<string>(originUrlFault)),
    weight: v.optional(quantity(LIMITS.originWeight)),
    salt: v.optional(quantity(LIMITS.salt)),
    backup: v.optional(flag()),
  }),
  remove: id,
  drain: id,
  undrain: id,
  reweight: closed("an id and a weight", { id, weight: quantity(LIMITS.originWeight) }),
  down: leaf<true>((value) => (value === true ? undefined : `found ${found(value)}; allowed is true`)),
} as const;

const NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];

export function parsePlan(body: unknown): Parsed<readonly PlannedChange[]> {
  const list = isFields(body) && Object.keys(body).every((name) => name === "changes") ? body["changes"] : undefined;
  if (!Array.isArray(list) || list.length === 0 || list.length > CHANGES_MAX) {
    return { ok: false, faults: [{ path: "changes", message: `needed is { "changes": [ … ] } and nothing else, with 1 to ${CHANGES_MAX} changes` }] };
  }
  const faults: FoundFault[] = [];
  const changes = list.flatMap((given: unknown, index): PlannedChange[] => {
    const path = ["changes", index];
    const [name, ...others] = isFields(given) ? Object.keys(given) : [];
    const kind = NAMES.find((each) => each === name);
    if (!kind || others.length > 0 || !isFields(given)) {
      faults.push({ path, message: `found ${found(given)}; a change has one name: ${anyOf(NAMES)}` });
      return [];
    }
    const shape = v.safeParse<v.GenericSchema>(KINDS[kind], given[kind]);
    if (shape.success) return [changeOf(kind, shape.output)];
    faults.push(...shape.issues.map(shapeFault).map((fault) => ({ ...fault, path: [...path, kind, ...fault.path] })));
    return [];
  });
  return faults.length > 0 ? { ok: false, faults: inOrder(body, faults) } : { ok: true, value: changes };
}

/** `value` is what the schema of the kind has let through. */
function changeOf(kind: keyof typeof KINDS, value: unknown): PlannedChange {
  switch (kind) {
    case "put":
      return { kind, origin: value as v.InferOutput<typeof KINDS.put> };
    case "remove":
    case "drain":
    case "undrain":
      return { kind, id: value as string };
    case "reweight":
      return { kind, ...(value as v.InferOutput<typeof KINDS.reweight>) };
    case "down":
      return { kind };
    default:
      return kind satisfies never;
  }
}
