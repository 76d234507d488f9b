// Admin tokens: how they are written, what each scope allows, and that a fault never repeats a token.

import { expect, test } from "vitest";
import { allows, parseTokens, type Scope } from "../../src/core/admin-tokens.ts";

const scopesOf = (text: string): readonly Scope[] | undefined => parseTokens(`t:${text}:secret`).tokens[0]?.scopes;

test("names, scopes and tokens are told apart, blanks and empty entries are nothing", () => {
  expect(parseTokens(" ops:read+operate:a:b , ,deploy:register:collab/weur-+wake:x,")).toEqual({
    tokens: [
      { name: "ops", scopes: [{ kind: "read" }, { kind: "operate" }], token: "a:b" },
      { name: "deploy", scopes: [{ kind: "register", pool: "collab", id: "weur-" }, { kind: "wake" }], token: "x" },
    ],
    faults: [],
  });
  expect(parseTokens("")).toEqual({ tokens: [], faults: [] });
});

test.each([
  ["no-scopes:secret"],
  ["ops::secret"],
  ["ops:write:secret"],
  ["ops:read:"],
  ["ops:read:sec ret"],
  [":read:secret"],
  ["o ps:read:secret"],
  ["ops:register:secret"],
  ["ops:register:collab:secret"],
  ["ops:register:Collab/a:secret"],
  ["ops:register:collab/*:secret"],
  ["limpet:read:secret"],
  ["config:operate:secret"],
  ["secret"],
])("%s is no entry, and is told without its token", (entry) => {
  const { tokens, faults } = parseTokens(`good:read:fine,${entry},also:read:well`);
  expect(tokens.map(({ name }) => name)).toEqual(["good", "also"]);
  expect(faults).toEqual([expect.stringMatching(/^entry 2/)]);
  expect(faults.join()).not.toMatch(/secret|sec ret|fine|well/);
});

test("all malformed entries are told", () => {
  expect(parseTokens("a,b:read:x,c:nothing:y").faults.map((fault) => fault.slice(0, 7))).toEqual(["entry 1", "entry 3"]);
});

test.each<[scopes: string, need: Parameters<typeof allows>[1]["scopes"], id: string | undefined, allowed: boolean]>([
  ["read", ["read"], undefined, true],
  ["read", ["operate"], undefined, false],
  ["operate", ["read"], undefined, false],
  ["operate", ["wake", "operate"], undefined, true],
  ["operate", ["wake"], undefined, true],
  ["wake", ["operate"], undefined, false],
  ["register:collab/weur-1", ["read", "register"], "weur-1", true],
  ["register:collab/weur-1", ["read", "register"], "weur-11", false],
  ["register:collab/weur-", ["read", "register"], "weur-11", true],
  ["register:collab/weur-", ["read", "register"], "weur", false],
  ["register:collab/weur-", ["read", "register"], "enam-1", false],
  ["register:other/weur-", ["read", "register"], "weur-1", false],
  ["register:collab/weur-1", ["read", "register"], undefined, false],
  ["register:collab/weur-1", ["operate"], "weur-1", false],
])("%s, asked for %j of collab/%s: %s", (text, scopes, id, allowed) => {
  expect(allows({ scopes: scopesOf(text) ?? [] }, { scopes, pool: "collab", id })).toBe(allowed);
});
