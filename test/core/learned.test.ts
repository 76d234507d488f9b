// Keys that origins issue: what a tag is put behind, taken off from, and where it counts for nothing.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LearnedSource, Pool } from "../../src/core/config-types.ts";
import { cookieValueIn, engineIoSid, queryWithoutTags, readTag, unwrap, withEngineIoSid, withoutTags, wrap } from "../../src/core/learned.ts";

const SEALED = "1.QbzU3fcpdu0BaT2U_Tb8-J6";

describe("a value", () => {
  test.each([
    ["with a tag", `abc~limpet.${SEALED}`, "abc", SEALED],
    ["with a tilde of its own", `a~b~limpet.${SEALED}`, "a~b", SEALED],
    ["without a tag", "abc", "abc", undefined],
    ["of a tag alone", `~limpet.${SEALED}`, "", SEALED],
    ["with two tags", `abc~limpet.1.x~limpet.${SEALED}`, "abc", SEALED],
    ["with the mark alone", "abc~limpet.", "abc", ""],
    ["with something behind the tag", `abc~limpet.${SEALED};x`, "abc;x", undefined],
  ])("%s is taken apart", (_, value, bare, sealed) => {
    expect(unwrap(value)).toEqual({ bare, sealed });
  });

  test("comes back as it was, and what the origin gets is what the key is made of", () => {
    fc.assert(
      fc.property(fc.string(), (bare) => {
        fc.pre(!bare.includes("~limpet."));
        const wrapped = wrap(bare, SEALED);
        expect([unwrap(wrapped), withoutTags(wrapped)]).toEqual([{ bare, sealed: SEALED }, bare]);
      }),
    );
  });

  test("in a query is found with its tilde encoded or not, wherever it stands", () => {
    expect(queryWithoutTags(`?EIO=4&sid=abc~limpet.${SEALED}&t=1`, undefined)).toBe("?EIO=4&sid=abc&t=1");
    expect(queryWithoutTags(`?sid=abc%7Elimpet.${SEALED}&sid=d%7elimpet.x`, undefined)).toBe("?sid=abc&sid=d");
    expect(queryWithoutTags("?q=limpets", "sid")).toBe("?q=limpets");
    expect(queryWithoutTags(`?a=%20&sid=a%2Fb~%6cimpet.${SEALED}&%`, "sid")).toBe("?a=%20&sid=a%2Fb&%");
  });
});

describe("a tag counts", () => {
  const pool = { id: "web" } as Pool; // all that is read of it
  const source: LearnedSource = { kind: "cookie", name: "JSESSIONID", learn: true };
  const tag = { pool: "web", source: "cookie JSESSIONID", value: "abc", home: "weur", origin: "weur-1", fence: 7 };
  test.each<[what: string, opened: unknown, bare: string, counts: boolean]>([
    ["as sealed", tag, "abc", true],
    ["beside another value", tag, "abd", false],
    ["in another pool", { ...tag, pool: "api" }, "abc", false],
    ["under another name", { ...tag, source: "cookie PHPSESSID" }, "abc", false],
    ["in a header of that name", { ...tag, source: "header JSESSIONID" }, "abc", false],
    ["without its fence", { ...tag, fence: undefined }, "abc", false],
    ["with what a newer version added", { ...tag, later: 1 }, "abc", true],
    ["of rubbish", 7, "abc", false],
    ["of nothing", undefined, "abc", false],
  ])("%s: %s", (_, opened, bare, counts) => {
    expect(readTag(opened, pool, source, bare) !== undefined).toBe(counts);
  });
});

describe("a Set-Cookie", () => {
  const past = (date: string): boolean => date.includes("1970");
  test.each<[setCookie: string, value: string | undefined]>([
    ["SID=abc; Path=/", "abc"],
    ['SID="a b"; Secure', "a b"],
    ["SID = abc ;Path=/", "abc"],
    ["SID=abc", "abc"],
    ["SID=; Path=/", undefined],
    ["SID=abc; Max-Age=0", undefined],
    ["SID=abc; max-age=-5; Path=/", undefined],
    ["SID=abc; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "abc"],
    ["SID=abc; Expires=Thu, 01 Jan 1970 00:00:00 GMT", undefined],
    ["XSID=abc", undefined],
    ["", undefined],
    ["SID", undefined],
  ])("%j sets %j", (setCookie, value) => {
    const found = cookieValueIn(setCookie, "SID", past);
    expect(found?.value).toBe(value);
    if (found) expect(`${found.before}${found.value}${found.after}`.replaceAll(" ", "")).toBe(setCookie.replaceAll(" ", ""));
  });

  test("of any text is read in no time, without an exception", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void cookieValueIn(text, "SID", past)));
    expect(cookieValueIn(`SID=${"a ".repeat(50_000)};${" ;".repeat(50_000)}`, "SID", past)?.value.length).toBe(99_999);
    for (const name of ["SID", "q"]) expect(cookieValueIn(`${name}=${" ".repeat(100_000)}""x`, "SID", past)?.value).toBe(name === "SID" ? '""x' : undefined);
    expect(cookieValueIn(`SID="${'" '.repeat(50_000)}`, "SID", past)?.value.length).toBeGreaterThan(90_000);
  });
});

describe("the open packet of Engine.IO", () => {
  const packet = '0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000}';
  test("tells its session and gets another, with all that stands behind it", () => {
    expect(engineIoSid(packet)).toBe("lv_VI97HAXpY6yYWAAAC");
    const more = `${packet}\u001e4hello\u001e4{"sid":"no"}`;
    expect(engineIoSid(more)).toBe("lv_VI97HAXpY6yYWAAAC");
    expect(withEngineIoSid(more, "x~limpet.y")).toBe(more.replace("lv_VI97HAXpY6yYWAAAC", "x~limpet.y"));
  });

  test.each(["", "0", "2probe", "4{}", '0{"sid":7}', '0{"sid":""}', "0{", "0[1]", '96:0{"sid":"a"}', '___eio[0]("0{}")', "null"])("%j is none", (body) => {
    expect(engineIoSid(body)).toBeUndefined();
  });
});
