// The faults of a configuration: collected as paths of keys, shown as text, in the order of the input and each one once.

import type * as v from "valibot";
import { quoted } from "./config-words.ts";

export interface ConfigFault {
  /** Like `pools.collab.origins[2].url`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** A fault before it is shown. */
export interface FoundFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export function shapeFault(issue: v.BaseIssue<unknown>): FoundFault {
  return { path: (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key))), message: issue.message };
}

/** Sorted as the input is written (a missing name after its neighbours; of one place in the order of finding), without repetition. */
export function inOrder(input: unknown, faults: readonly FoundFault[]): ConfigFault[] {
  const ranks = new Ranks();
  const ranked = faults.map((fault) => ({ fault, ranks: ranks.of(input, fault.path) }));
  ranked.sort((a, b) => compareRanks(a.ranks, b.ranks));
  const shown = new Map<string, ConfigFault>();
  for (const { fault } of ranked) {
    const path = pathText(fault.path);
    const identity = JSON.stringify([path, fault.message]);
    if (!shown.has(identity)) shown.set(identity, { path, message: fault.message });
  }
  return [...shown.values()];
}

/** Names with dots, list places in brackets, anything that is no plain name in quotes. */
export function pathText(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    if (!/^[A-Za-z0-9_-]{1,60}$/.test(key)) return `${text}[${quoted(key)}]`;
    return text === "" ? key : `${text}.${key}`;
  }, "");
}

/** Where each key of a path stands among its neighbours. Remembers the neighbours, so that many faults in one place stay cheap. */
class Ranks {
  readonly #known = new Map<object, Map<string, number>>();

  of(input: unknown, path: readonly (string | number)[]): number[] {
    let here = input;
    return path.map((key) => {
      const rank = this.#rank(here, key);
      here = typeof here === "object" && here !== null && Object.hasOwn(here, key) ? Reflect.get(here, key) : undefined;
      return rank;
    });
  }

  #rank(parent: unknown, key: string | number): number {
    if (typeof key === "number") return key;
    if (typeof parent !== "object" || parent === null) return 0;
    let order = this.#known.get(parent);
    if (!order) {
      order = new Map(Object.keys(parent).map((name, index) => [name, index]));
      this.#known.set(parent, order);
    }
    return order.get(key) ?? order.size;
  }
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (let depth = 0; depth < Math.min(a.length, b.length); depth++) {
    const difference = (a[depth] ?? 0) - (b[depth] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
