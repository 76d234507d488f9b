// The static pages: what is built is whole and needs nothing from elsewhere, and what other people send stays harmless.

import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { buildPages } from "../../src/pages/build.ts";
import { changesBetween } from "../../src/pages/dashboard/changes.ts";
import type { Origin, Ring } from "../../src/pages/shared/shapes.ts";
import { present, tame } from "../../src/pages/try/people.ts";
import { absent, knownOrigins } from "../../src/pages/try/origins.ts";

let outDir: string;

beforeAll(async () => {
  outDir = await mkdtemp(join(tmpdir(), "limpet-pages-"));
  await buildPages(outDir);
}, 30_000);
afterAll(() => rm(outDir, { recursive: true, force: true }));

test("both pages are built, and every asset they name is there", async () => {
  expect((await readdir(outDir)).sort()).toEqual(["_limpet"]);
  const assets = await readdir(join(outDir, "_limpet", "assets"));
  for (const page of ["index.html", "try.html"]) {
    const named = [...(await html(page)).matchAll(/\/_limpet\/assets\/([\w.-]+)/g)].map(([, name]) => name);
    expect(named, page).toHaveLength(3);
    for (const name of named) expect(assets).toContain(name);
  }
});

test("building again swaps the pages and leaves no older assets", async () => {
  const before = await readdir(join(outDir, "_limpet", "assets"));
  await buildPages(outDir);
  expect(await readdir(join(outDir, "_limpet", "assets"))).toEqual(before);
});

test("pages have no inline script or style, and load nothing from elsewhere", async () => {
  for (const page of ["index.html", "try.html"]) {
    const text = await html(page);
    expect(text).not.toMatch(/<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|<style/);
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  }
});

test("another visitor's name and colour are made harmless before the editor sees them", () => {
  const [ours, theirs] = [new Awareness(new Y.Doc()), new Awareness(new Y.Doc())];
  try {
    tame(ours);
    const seen: unknown[] = [];
    ours.on("change", () => seen.push(ours.getStates().get(theirs.clientID)?.["user"]));
    const users = [
      { name: "Bo", color: "#123456" },
      { name: "\u202eBo\n", color: "red;background:url(//x)" },
      { name: "x".repeat(99) },
      "text",
      null,
    ];
    for (const user of users) {
      theirs.setLocalState({ user });
      applyAwarenessUpdate(ours, encodeAwarenessUpdate(theirs, [theirs.clientID]), "network");
    }
    const neutral = { color: "#52605d", colorLight: "#52605d33" };
    expect(seen).toEqual([
      { name: "Bo", color: "#123456", colorLight: "#12345633" },
      { name: "Bo", ...neutral },
      { name: "x".repeat(32), ...neutral },
      { name: "Somebody", ...neutral },
      { name: "Somebody", ...neutral },
    ]);
    expect(present(ours).map(({ isSelf }) => isSelf)).toEqual([true, false]);
  } finally {
    ours.destroy();
    theirs.destroy();
  }
});

test("an origin's most telling state is shown, and what can be brought back is known", () => {
  const origins = [origin("a"), origin("b", { state: "draining" }), origin("c", { health: "down" }), origin("d"), origin("e", { state: "drained" })];
  const known = knownOrigins([ring(origins), { ...ring([origin("z")]), pool: "web" }], new Set(["d"]));
  expect(known.map(({ id, state }) => `${id} ${state}`)).toEqual(["a active", "b draining", "c down", "d killed", "e drained"]);
  expect(absent(known).map(({ id }) => id)).toEqual(["b", "d", "e"]);
});

test("the dashboard says what changed between two looks, and nothing when nothing did", () => {
  const before = [ring([origin("a"), origin("b"), origin("c")])];
  expect(changesBetween(before, before)).toEqual([]);
  const after = [ring([origin("a", { state: "draining" }), origin("b", { health: "ejected", sessions: 4 }), origin("d", { state: "joining" })])];
  expect(changesBetween(before, after)).toEqual(["a: active → draining.", "b: healthy → ejected.", "d joined, joining.", "c left collab · weur."]);
  const out = [ring([origin("a", { maintenance: true })], { down: true })];
  expect(changesBetween([ring([origin("a")])], out)).toEqual(["a: in maintenance.", "collab · weur is out of service."]);
  expect(changesBetween(out, [ring([origin("a")])])).toEqual(["a: out of maintenance.", "collab · weur is in service again."]);
});

function html(page: string): Promise<string> {
  return readFile(join(outDir, "_limpet", page), "utf8");
}

function origin(id: string, facts: Partial<Origin> = {}): Origin {
  return {
    id,
    url: "",
    region: "weur",
    weight: 1,
    backup: false,
    state: "active",
    health: "healthy",
    share: 1,
    maintenance: false,
    sessions: 0,
    connections: 0,
    ...facts,
  };
}

function ring(origins: Origin[], facts: Partial<Ring> = {}): Ring {
  const versions = { epoch: 1, generation: 1, configRevision: 1, hintsVersion: 1 };
  return { pool: "collab", region: "weur", ...versions, sessions: 0, connections: 0, down: false, unreachable: false, origins, ...facts };
}
