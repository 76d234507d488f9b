// What people type after options: durations, weights, shares, origins with their addresses. Each fault says what it is like.

import { InvalidArgumentError } from "commander";

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** As for timers: 24 days. */
const DURATION_MAX_MS = 2 ** 31 - 1;

/** `500ms`, `30s`, `5m`, `1h`, in ms. */
export function duration(text: string): number {
  const [, count, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const value = Math.round(Number(count) * (UNITS_MS[unit] ?? NaN));
  if (!(value <= DURATION_MAX_MS)) throw new InvalidArgumentError("a duration is a number with its unit: 500ms, 30s, 5m, 1h.");
  return value;
}

export function port(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : NaN; // `Number` alone takes "" for 0
  if (!(value <= 65_535)) throw new InvalidArgumentError("a port is a whole number from 0 to 65535 (0: any free one).");
  return value;
}

/** What is too large or too small the router says. */
export function weight(text: string): number {
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(value < Infinity)) throw new InvalidArgumentError("a weight is a number: 1, 2, 0.5.");
  return value;
}

/** A share of all keys, 0–1. */
export function share(text: string): number {
  const [, count, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const value = Number(count) / (percent ? 100 : 1);
  if (!(value <= 1)) throw new InvalidArgumentError("a share is from 0 to 1, or in percent: 0.2, 20%.");
  return value;
}

/** The same option again: the next of a list. */
export function each<T>(one: (text: string) => T): (text: string, before: readonly T[] | undefined) => readonly T[] {
  return (text, before = []) => [...before, one(text)];
}

/** `ID=URL` or `ID=URL,WEIGHT`. */
export function added(text: string): { readonly id: string; readonly url: string; readonly weight: number } {
  const [, id, url, heavy] = /^([^=]+)=(.+?)(?:,([^,]*))?$/.exec(text) ?? [];
  if (id === undefined || url === undefined || !URL.canParse(url))
    throw new InvalidArgumentError("it is like weur-3=https://weur-3.example.com, or weur-3=https://weur-3.example.com,2 with its weight.");
  return { id, url, weight: heavy === undefined ? 1 : weight(heavy) };
}

/** `ID=WEIGHT`. */
export function reweighted(text: string): { readonly id: string; readonly weight: number } {
  const [, id, heavy] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (id === undefined || heavy === undefined) throw new InvalidArgumentError("it is like weur-1=2: the origin and its weight.");
  return { id, weight: weight(heavy) };
}

/** `Name: value`, as curl takes it. */
export function header(text: string): readonly [name: string, value: string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("a header is like 'X-Session-Id: 7'.");
  return [name.toLowerCase(), value];
}

/** `NAME=VALUE`. */
export function cookie(text: string): string {
  if (!/^[^=;\s]+=[^;]*$/.test(text)) throw new InvalidArgumentError("a cookie is like sid=abc; give --cookie again for another.");
  return text;
}

/** As many as the router tells at once. */
export function entries(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : NaN;
  if (!(value >= 1 && value <= 2_000)) throw new InvalidArgumentError("it is a whole number from 1 to 2000.");
  return value;
}
