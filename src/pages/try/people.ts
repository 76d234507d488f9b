// Friendly names and colours for those who edit together, and caution about those that others send: a name and a colour come from
// anybody who can open the document, and the editor writes the colour into a style.

import type { Awareness } from "y-protocols/awareness";

export interface Person {
  readonly name: string;
  readonly color: string;
  readonly colorLight: string;
}

const MANNERS = ["Amber", "Brave", "Calm", "Curious", "Gentle", "Lucky", "Merry", "Nimble", "Quiet", "Sunny", "Swift", "Witty"];
const CREATURES = ["Cormorant", "Crab", "Dolphin", "Heron", "Otter", "Oyster", "Plover", "Puffin", "Seal", "Tern", "Turtle", "Urchin"];

/** Each is dark enough for white letters (contrast 4.5 or more). */
const COLORS = ["#0f766e", "#1d4ed8", "#7c3aed", "#be185d", "#b45309", "#15803d", "#b91c1c", "#0369a1"];

const NAME_MAX_LENGTH = 32;
const NEUTRAL: Person = person("Somebody", "#52605d");

export function friendlyName(): string {
  return `${oneOf(MANNERS)} ${oneOf(CREATURES)}`;
}

export function tidyName(name: string): string {
  return name.replaceAll(/\p{C}/gu, "").trim().slice(0, NAME_MAX_LENGTH);
}

export function personCalled(name: string): Person {
  return person(name, oneOf(COLORS));
}

/** Replaces unseemly names and colours as they arrive. Must be called before the editor starts to listen. */
export function tame(awareness: Awareness): void {
  awareness.on("change", ({ added, updated }: { added: number[]; updated: number[] }) => {
    for (const client of [...added, ...updated]) {
      const state = awareness.getStates().get(client);
      if (state !== undefined && client !== awareness.clientID) state["user"] = tamed(state["user"]);
    }
  });
}

/** Everybody who has the document open; the visitor first, the others by name. */
export function present(awareness: Awareness): readonly { readonly id: string; readonly person: Person; readonly isSelf: boolean }[] {
  return [...awareness.getStates()]
    .map(([client, state]) => ({ id: String(client), person: tamed(state["user"]), isSelf: client === awareness.clientID }))
    .sort((a, b) => Number(b.isSelf) - Number(a.isSelf) || a.person.name.localeCompare(b.person.name) || (a.id < b.id ? -1 : 1));
}

function tamed(user: unknown): Person {
  if (typeof user !== "object" || user === null) return NEUTRAL;
  const name = "name" in user && typeof user.name === "string" ? tidyName(user.name) : "";
  const color = "color" in user && typeof user.color === "string" && /^#[0-9a-f]{6}$/i.test(user.color) ? user.color : NEUTRAL.color;
  return person(name === "" ? NEUTRAL.name : name, color);
}

function person(name: string, color: string): Person {
  return { name, color, colorLight: `${color}33` };
}

function oneOf(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "";
}
