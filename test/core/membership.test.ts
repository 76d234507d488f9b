// Origins that join, change and leave by an operator's word: the layers merged, what is remembered, what cannot be, and what is asked wrongly.

import { describe, expect, test } from "vitest";
import { newDrain } from "../../src/core/drain.ts";
import { membersOf, mergeLayers, originOf, type ConfiguredOrigin, type MemberOrder } from "../../src/core/lifecycle.ts";
import { conflictOf, forgotten, orderFor, parseChange, parseMove, parseWanted, standing, stayingOrder, UNCHANGED, type Membership } from "../../src/core/membership.ts";
import { saltsOf } from "../../src/core/salts.ts";

const configured = (id: string, more: Partial<ConfiguredOrigin> = {}): ConfiguredOrigin => ({ id, url: `https://${id}.example.com`, weight: 2, salt: 5, backup: false, ...more });
const order = (more: Partial<MemberOrder> = {}): MemberOrder => ({ ...UNCHANGED, ...more });
const WHOLE = order({ url: "https://new.example.com", weight: 3, salt: 7, backup: true });

describe("what the configuration says and what an operator ordered make one origin", () => {
  const all = (origin: ConfiguredOrigin): unknown => [origin.url, origin.weight, origin.salt, origin.backup];
  const CONFIGURED = all(configured("a"));
  const ORDERED = ["https://new.example.com", 3, 7, true];
  test.each<[what: string, written: boolean, ordered: MemberOrder | undefined, there: unknown, remembered: unknown]>([
    ["configured", true, undefined, CONFIGURED, CONFIGURED],
    ["known to nobody", false, undefined, undefined, undefined],
    ["joined at run time", false, WHOLE, ORDERED, ORDERED],
    ["joined, and configured later", true, WHOLE, ORDERED, ORDERED],
    ["re-weighted", true, order({ weight: 9 }), ["https://a.example.com", 9, 5, false], ["https://a.example.com", 9, 5, false]],
    ["weighted nothing", true, order({ weight: 0 }), ["https://a.example.com", 0, 5, false], ["https://a.example.com", 0, 5, false]],
    ["at another address, as a backup", true, order({ url: "https://b.example.com", backup: true }), ["https://b.example.com", 2, 5, true], ["https://b.example.com", 2, 5, true]],
    ["re-weighted, and configured no more", false, order({ weight: 9 }), undefined, undefined],
    ["at another address, and configured no more", false, order({ url: "https://b.example.com" }), undefined, undefined],
    ["leaving", true, order({ leavingAtMs: 1 }), CONFIGURED, CONFIGURED],
    ["gone, though configured", true, order({ leavingAtMs: 1, goneAtMs: 2 }), undefined, CONFIGURED],
    ["joined, and gone again", false, { ...WHOLE, leavingAtMs: 1, goneAtMs: 2 }, undefined, ORDERED],
  ])("%s", (_, written, ordered, there, remembered) => {
    const layers = { configured: written ? [configured("a")] : [], members: new Map(ordered && [["a", ordered]]) };
    expect(membersOf(layers).map(all)[0]).toEqual(there);
    const known = originOf("a", layers);
    expect(known && all(known)).toEqual(remembered);
  });

  test("who joined is drained and found down as those are who are configured", () => {
    const merged = mergeLayers({ configured: [configured("m")], members: new Map([["a", WHOLE], ["z", WHOLE]]), drains: new Map([["z", newDrain(1)]]), down: new Set(["a"]) });
    expect(merged.map(({ id, lifecycle, health }) => [id, lifecycle, health])).toEqual([["a", "active", "down"], ["m", "active", "healthy"], ["z", "draining", "healthy"]]);
  });
});

describe("what is remembered beside the configuration", () => {
  const layers = [configured("a")];
  test.each<[what: string, origin: ConfiguredOrigin, ordered: MemberOrder | undefined]>([
    ["of one that is not configured: all", { ...configured("b"), salt: 0 }, order({ url: "https://b.example.com", weight: 2, salt: 0, backup: false })],
    ["of one that is as configured: nothing", configured("a"), undefined],
    ["of one that is otherwise: what is", configured("a", { weight: 0 }), order({ weight: 0 })],
  ])("%s", (_, origin, ordered) => {
    expect(orderFor(origin, layers)).toEqual(ordered);
    const members = new Map(ordered && [[origin.id, ordered]]);
    expect(originOf(origin.id, { configured: layers, members })).toEqual(origin); // and it says what was wanted
  });

  test("who stays after all is what it was, and nothing is left of an order that only said that it leaves", () => {
    expect(stayingOrder({ ...WHOLE, leavingAtMs: 1, goneAtMs: 2 })).toEqual(WHOLE);
    expect(stayingOrder(order({ leavingAtMs: 1 }))).toBeUndefined();
    expect(stayingOrder(undefined)).toBeUndefined();
  });

  test("of those that left, and are not configured, the last hundred", () => {
    const gone = (atMs: number): MemberOrder => ({ ...WHOLE, leavingAtMs: 0, goneAtMs: atMs });
    const left = Array.from({ length: 101 }, (_, n) => [`gone-${n}`, gone(1000 - n)] as const);
    const members = new Map([...left, ["a", gone(1)] as const, ["b", WHOLE] as const]);
    expect(forgotten({ configured: [configured("a")], members })).toEqual(["gone-100"]);
    expect(forgotten({ configured: [], members })).toEqual(["gone-100", "a"]);
  });
});

describe("the salt of an origin that is put", () => {
  const fleet = ["m", "n", "o"].map((id) => configured(id, { weight: 1, salt: id === "n" ? 3 : 0 }));
  const layers = (members: Membership["members"] = new Map()): Membership => ({ configured: fleet, members, virtualNodes: 64 });
  const wanted = { url: "https://x.example.com/", weight: 1, backup: false };
  const best = saltsOf([...fleet, { id: "x", weight: 1 }], 64).get("x");

  test("is the best beside those that stand, and nobody else's is found anew", () => {
    expect(best).not.toBe(0); // it was a search
    expect(standing("x", wanted, layers())).toEqual({ id: "x", url: "https://x.example.com", weight: 1, salt: best, backup: false });
  });

  test.each<[what: string, salt: number | undefined, known: MemberOrder | undefined, backup: boolean, found: number | undefined]>([
    ["that is given", 77, undefined, false, 77],
    ["that it has", undefined, { ...WHOLE, salt: 9, backup: false }, false, 9],
    ["that it had before it left", undefined, { ...WHOLE, salt: 9, backup: false, goneAtMs: 1 }, false, 9],
    ["of another ring is not the one", undefined, { ...WHOLE, salt: 9, backup: false }, true, saltsOf([{ id: "x", weight: 1 }], 64).get("x")],
  ])("%s", (_, salt, known, backup, found) => {
    expect(standing("x", { ...wanted, salt, backup }, layers(new Map(known && [["x", known]]))).salt).toBe(found);
  });
});

describe("an origin cannot be here", () => {
  const layers: Membership = { configured: [configured("a", { weight: 1 })], members: new Map(), virtualNodes: 2048 };
  const pool = [
    { id: "a", region: "weur", url: "https://a.example.com", active: true },
    { id: "b", region: "weur", url: "https://b.example.com", active: false },
    { id: "e", region: "enam", url: "https://e.example.com", active: true },
  ];
  test.each<[what: string, origin: ConfiguredOrigin, why: RegExp | undefined]>([
    ["one of its own name and address", configured("a"), undefined],
    ["a new one", configured("c"), undefined],
    ["with the id of one elsewhere", configured("e", { url: "https://c.example.com" }), /^"e" is an origin of region "enam"/],
    ["with the address of another", configured("c", { url: "https://a.example.com" }), /^"https:\/\/a\.example\.com" is the address of "a" too/],
    ["with the address of one that leaves", configured("c", { url: "https://b.example.com" }), undefined],
    ["with as many points as fit", configured("c", { weight: 63 }), undefined],
    ["with one more", configured("c", { weight: 63.001 }), /131072/],
    ["of which backups have their own", configured("c", { weight: 64, backup: true }), undefined],
    ["nor may one that is there grow so", configured("a", { weight: 64 }), undefined],
    ["nor one more than that", configured("a", { weight: 64.001 }), /131072/],
  ])("%s", (_, origin, why) => {
    const found = conflictOf(origin, layers, { pool, region: "weur" });
    expect(found).toEqual(why ? expect.stringMatching(why) : undefined);
  });
});

describe("what is asked", () => {
  const DEV = { dev: true, bound: false };
  const URL = "http://127.0.0.1:9";

  test("is completed, and may be as little as an address", () => {
    expect(parseWanted("a", { url: URL }, DEV)).toEqual({ ok: true, value: { url: URL, weight: 1, backup: false } });
    expect(parseWanted("a", { url: URL, weight: 0, salt: 0, backup: true }, DEV)).toEqual({ ok: true, value: { url: URL, weight: 0, salt: 0, backup: true } });
    expect(parseChange({ weight: 2 }, DEV)).toEqual({ ok: true, value: { weight: 2 } });
    expect(parseMove({})).toEqual({ ok: true, value: {} });
    expect(parseMove({ to: "weur-2" })).toEqual({ ok: true, value: { to: "weur-2" } });
  });

  const pathsOf = (parsed: ReturnType<typeof parseWanted> | ReturnType<typeof parseChange> | ReturnType<typeof parseMove>): unknown =>
    parsed.ok ? "none" : parsed.faults.map(({ path }) => path);

  test.each<[what: string, id: string, body: unknown, paths: string[]]>([
    ["everything at once, in the order of the body", "No", { backup: 1, weight: -1, salt: 0.5, url: "ftp://x", hint: "" }, ["backup", "weight", "salt", "url", "hint", "id"]],
    ["no body", "a", undefined, [""]],
    ["a list", "a", [], [""]],
    ["no address", "a", {}, ["url"]],
    ["credentials", "a", { url: "https://me:secret@x.example.com" }, ["url"]],
    ["a path", "a", { url: "https://x.example.com/app" }, ["url"]],
    ["a query", "a", { url: "https://x.example.com?q" }, ["url"]],
    ["weight beyond the limit", "a", { url: URL, weight: 100.5 }, ["weight"]],
    ["a name of the prototype", "a", JSON.parse('{"url":"http://127.0.0.1:9","__proto__":{}}'), ["__proto__"]],
    ["an id that is too long", "a".repeat(33), { url: URL }, ["id"]],
  ])("of a PUT wrongly: %s", (_, id, body, paths) => {
    expect(pathsOf(parseWanted(id, body, DEV))).toEqual(paths);
  });

  test.each<[body: unknown, paths: string[]]>([
    [{}, [""]],
    [{ salt: 1 }, ["salt"]],
    [{ url: 5, weight: "2" }, ["url", "weight"]],
  ])("of a PATCH wrongly: %j", (body, paths) => {
    expect(pathsOf(parseChange(body, DEV))).toEqual(paths);
  });

  test("of a move wrongly", () => {
    expect(pathsOf(parseMove({ to: "Weur", from: "x" }))).toEqual(["to", "from"]);
  });

  test("outside dev over https alone, unless a binding leads there; a secret in it is not repeated", () => {
    const at = (dev: boolean, bound: boolean): unknown => pathsOf(parseWanted("a", { url: URL }, { dev, bound }));
    expect([at(true, false), at(false, true), at(false, false)]).toEqual(["none", "none", ["url"]]);
    expect(pathsOf(parseChange({ url: URL }, { dev: false, bound: false }))).toEqual(["url"]);
    expect(JSON.stringify(parseWanted("a", { url: "https://me:secret@x.example.com" }, DEV))).not.toContain("secret");
  });
});
