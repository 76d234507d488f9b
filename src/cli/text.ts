// How results look: one line of JSON, or words for people. Colours are left away where nobody sees them: no terminal, or NO_COLOR.

import { styleText } from "node:util";

type Colour = "bold" | "dim" | "red" | "yellow" | "green";

export type Paint = (colour: Colour, text: string) => string;

export const paint: Paint = (colour, text) => styleText(colour, text, { stream: process.stdout });

/** For texts that are compared. */
export const plain: Paint = (_, text) => text;

export function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}

/** `1 session`, `2 sessions`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Of today by the clock of this machine; with its date when it is of another day. */
export function clock(atMs: number, nowMs: number = Date.now()): string {
  const [at, now] = [new Date(atMs), new Date(nowMs)];
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")} ${time}`;
}

/** What came over the network, for a terminal: control characters would be orders to it. */
export function shown(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "�");
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names: readonly string[], word = "and"): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${word} ${names.at(-1)}`;
}
