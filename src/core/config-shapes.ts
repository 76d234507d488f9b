// The building blocks of the configuration's schema, on valibot. Its own strict object stops at the first unknown name, lets
// `constructor` pass as a known one, and its record drops that id in silence; these report all of it.

import * as v from "valibot";
import { isWithin, rangeOf, type Limit } from "./config-limits.ts";
import { idFault } from "./config-texts.ts";
import { anyOf, didYouMean, found } from "./config-words.ts";

type Schema<Input, Output = Input> = v.GenericSchema<Input, Output>;
type Fields = Readonly<Record<string, unknown>>;

/** A value that one function judges: the fault, or `undefined` for a good one. */
export function leaf<T>(faultOf: (value: unknown) => string | undefined): Schema<T> {
  return v.custom<T>(
    (value) => faultOf(value) === undefined,
    (issue) => faultOf(issue.input) ?? "",
  );
}

export function quantity(limit: Limit): Schema<number> {
  return leaf((value) => (isWithin(limit, value) ? undefined : `found ${found(value)}; allowed is ${rangeOf(limit)}: ${limit.outside}`));
}

/** A number that may be left out; the table says what it is then. */
export function tunable<F extends number | undefined>(limit: Limit<F>): v.OptionalSchema<Schema<number>, F> {
  return v.optional(quantity(limit), limit.fallback);
}

export function flag(): Schema<boolean> {
  return leaf((value) => (typeof value === "boolean" ? undefined : `found ${found(value)}; allowed is true or false`));
}

/** One of some words. */
export function choice<const T extends string>(words: readonly T[]): Schema<T> {
  return leaf((value) => {
    if (words.some((word) => word === value)) return undefined;
    return `found ${found(value)}; allowed is ${anyOf(words)}${typeof value === "string" ? didYouMean(value, words) : ""}`;
  });
}

export function list<Input, Output>(
  item: Schema<Input, Output>,
  what: string,
): v.ArraySchema<Schema<Input, Output>, (issue: v.ArrayIssue) => string> {
  return v.array(item, (issue) => `found ${found(issue.input)}; needed is a list of ${what}: [ … ]`);
}

/** An object of known names; every unknown one is a fault. Names on its prototype do not count. */
export function closed<const E extends v.ObjectEntries>(
  what: string,
  entries: E,
): Schema<v.InferInput<v.ObjectSchema<E, undefined>>, v.InferOutput<v.ObjectSchema<E, undefined>>> {
  type Input = v.InferInput<v.ObjectSchema<E, undefined>>;
  const names = Object.keys(entries);
  const known = v.object(entries);
  return v.pipe(
    fields<Input>(what),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const input: Fields = { ...dataset.value };
      for (const name of Object.keys(input).filter((each) => !Object.hasOwn(entries, each))) {
        addIssue({ message: unknownName(name, names), path: [step(input, name)] });
      }
      // Every known name is looked at, so that a missing one is told what belongs there.
      const result = v.safeParse(known, Object.fromEntries(names.map((name) => [name, input[name]])));
      for (const issue of result.issues ?? []) addIssue({ message: issue.message, path: issue.path });
      return result.success ? result.output : NEVER;
    }),
  );
}

/** An object whose names the user chooses; ids, where nothing else is said. Without a prototype: no name finds what nobody wrote. */
export function dictionary<Input, Output>(
  what: string,
  value: Schema<Input, Output>,
  nameFault: (name: string) => string | undefined = idFault,
): Schema<Readonly<Record<string, Input>>, Readonly<Record<string, Output>>> {
  return v.pipe(
    fields<Readonly<Record<string, Input>>>(what),
    v.rawTransform(({ dataset, addIssue }) => {
      const output: Record<string, Output> = Object.create(null);
      for (const [name, each] of Object.entries(dataset.value)) {
        const fault = nameFault(name);
        if (fault !== undefined) addIssue({ message: fault, path: [step(dataset.value, name)] });
        const result = v.safeParse(value, each);
        for (const issue of result.issues ?? []) addIssue({ message: issue.message, path: [step(dataset.value, name), ...(issue.path ?? [])] });
        if (result.success) output[name] = result.output;
      }
      return output;
    }),
  );
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fields<T>(what: string): Schema<T> {
  return leaf((value) => (isFields(value) ? undefined : `found ${found(value)}; needed is ${what}: { … }`));
}

function unknownName(name: string, known: readonly string[]): string {
  const guess = didYouMean(name, known);
  return `unknown name${guess === "" ? `; known here are ${known.join(", ")}` : guess}`;
}

function step(input: Fields, key: string): v.ObjectPathItem {
  return { type: "object", origin: "value", input, key, value: input[key] };
}
