// One HTTP question, and every way it can end as a value: nothing here throws, the page always has something to show.

import * as v from "valibot";

const ANSWER_WITHIN_MS = 5_000;

export type Answer<T> =
  | { readonly kind: "ok"; readonly value: T; readonly headers: Headers }
  | { readonly kind: "absent" }
  | { readonly kind: "unauthorized" }
  | { readonly kind: "failed"; readonly sentence: string };

export async function ask<T>(url: string, shape: v.GenericSchema<unknown, T>, init: RequestInit = {}): Promise<Answer<T>> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_WITHIN_MS), cache: "no-store" });
    if (response.status === 404) return { kind: "absent" };
    if (response.status === 401 || response.status === 403) return { kind: "unauthorized" };
    if (!response.ok) return { kind: "failed", sentence: `answered ${response.status}` };
    const parsed = v.safeParse(shape, await response.json());
    if (!parsed.success) return { kind: "failed", sentence: "answered something this page does not understand" };
    return { kind: "ok", value: parsed.output, headers: response.headers };
  } catch {
    // Refused, cut, too late or no JSON: to a visitor it is all the same, and the next turn asks again.
    return { kind: "failed", sentence: "is not reachable" };
  }
}

/** For orders whose answer does not matter beyond "done". */
export async function order(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer<unknown>> {
  try {
    const response = await fetch(url, { method: "POST", headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (response.ok) return { kind: "ok", value: undefined, headers: response.headers };
    return { kind: "failed", sentence: `answered ${response.status}` };
  } catch {
    // As in `ask`.
    return { kind: "failed", sentence: "is not reachable" };
  }
}

export function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}
