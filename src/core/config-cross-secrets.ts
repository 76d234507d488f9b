// A Worker secret has one use: what an origin is shown as a header's value, or knows to verify signatures, must not be the key that
// something else is trusted by.

import { entriesOf, field, itemsOf } from "./config-cross.ts";
import type { FoundFault } from "./config-faults.ts";
import { quoted } from "./config-words.ts";

const USES = { token: "the key of a token", header: "the value of a header", signature: "the key of a signature" };

interface Naming {
  readonly name: unknown;
  readonly use: keyof typeof USES;
  readonly path: FoundFault["path"];
}

export function secretFaults(input: unknown): FoundFault[] {
  const uses = new Map<string, Naming["use"]>();
  return [...namedByPools(input), ...namedByRoutes(input)].flatMap(({ name, use, path }) => {
    if (typeof name !== "string" || name === "") return [];
    const first = uses.get(name) ?? use;
    uses.set(name, first);
    if (first === use) return [];
    return [{ path, message: `${quoted(name)} is ${USES[first]} too; each use needs a secret of its own` }];
  });
}

function namedByPools(input: unknown): Naming[] {
  return entriesOf(field(input, "pools")).flatMap(([id, pool]) => {
    const path = ["pools", id];
    return [
      ...namedByHeaders(field(pool, "headers"), [...path, "headers"]),
      { name: field(field(pool, "signature"), "secret"), use: "signature" as const, path: [...path, "signature", "secret"] },
      ...itemsOf(field(pool, "origins")).flatMap((origin, index) => namedByHeaders(field(origin, "headers"), [...path, "origins", index, "headers"])),
    ];
  });
}

function namedByHeaders(headers: unknown, path: FoundFault["path"]): Naming[] {
  return entriesOf(headers).map(([name, text]) => ({ name: field(text, "secret"), use: "header", path: [...path, name, "secret"] }));
}

function namedByRoutes(input: unknown): Naming[] {
  return itemsOf(field(input, "routes")).flatMap((route, index) =>
    itemsOf(field(route, "session")).map((source, at): Naming => {
      return { name: field(field(source, "jwt"), "secret"), use: "token", path: ["routes", index, "session", at, "jwt", "secret"] };
    }),
  );
}
