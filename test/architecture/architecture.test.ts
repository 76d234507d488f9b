// The house holds: imports go down only, core is pure, nothing goes in a circle, files stay small. The rules are functions of a tree of
// texts, so that each is shown to fail on a made-up one.

import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transformSync } from "esbuild";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LINES_MAX = 400;

/** Who may import whom, downwards. `config` is limpet.config.ts, which a deployment's owner writes. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  index: ["http", "config"],
  http: ["http", "platform", "core"],
  platform: ["platform", "core"],
  core: ["core"],
  config: ["core"],
  cli: ["cli", "core", "pages", "examples"],
  pages: ["pages", "core"],
};

/** What commands and pages know of the router: types of its admin API. */
const CLIENT_TYPES = "src/http/admin-app.ts";

/** Libraries without clock, chance or I/O. */
const PURE_LIBRARIES = ["valibot", "microdiff", "structured-headers", "lib0", "siphash", "eventsource-parser"];

/** What core may not touch: everything that is another thing at another moment or place. */
const IMPURE = [
  "Date",
  "Math.random",
  "Math",
  "crypto",
  "performance",
  "fetch",
  "caches",
  "console",
  "process",
  "navigator",
  "scheduler",
  "WebSocket",
  "EventSource",
  "XMLHttpRequest",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "globalThis",
  "self",
  "eval",
  "Function",
];

/** `Math.max` and its kind; `Math` as a whole would let its `random` be taken out. */
const PURE_MATH = Object.getOwnPropertyNames(Math)
  .map((name) => `Math.${name}`)
  .filter((name) => name !== "Math.random");

/** Paths from the root of the repository, with `/`, and what stands there. */
type Tree = ReadonlyMap<string, string>;
interface Import {
  readonly from: string;
  /** A path of the tree, or a package's name. */
  readonly to: string;
  readonly local: boolean;
  /** Erased before anything runs. */
  readonly typeOnly: boolean;
}

function readTree(): Tree {
  const files = readdirSync(`${ROOT}/src`, { recursive: true, encoding: "utf8" }).filter((path) => /\.tsx?$/.test(path));
  const paths = ["limpet.config.ts", ...files.map((path) => `src/${path.replaceAll("\\", "/")}`)];
  return new Map(paths.toSorted().map((path) => [path, readFileSync(`${ROOT}/${path}`, "utf8")]));
}

/** Imports as they are written, types' included: statements begin a line, so that comments are none. */
function importsOf(from: string, text: string): Import[] {
  const statements = text.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[\w$*{}\s,]+\sfrom\s+)?["']([^"']+)["']/gm);
  const calls = text.matchAll(/^(?!\s*(?:\/\/|\*)).*\bimport\(()\s*["']([^"']+)["']/gm);
  return [...statements, ...calls].map(([, type, name = ""]) => {
    const local = name.startsWith(".");
    return { from, to: local ? posix.join(posix.dirname(from), name) : name, local, typeOnly: Boolean(type) };
  });
}

const allImports = (tree: Tree): Import[] => [...tree].flatMap(([path, text]) => importsOf(path, text));

function storeyOf(path: string): string | undefined {
  if (path === "src/index.ts") return "index";
  if (path === "limpet.config.ts") return "config";
  return /^src\/([^/]+)\/|^(examples)\//.exec(path)?.slice(1).find(Boolean);
}

/** Imports that go up, or out of core into anything that is not pure. Types count too: a name is a dependency. */
function upwardImports(tree: Tree): string[] {
  return allImports(tree)
    .filter((each) => !mayImport(each))
    .map(({ from, to }) => `${from} imports ${to}`);
}

function mayImport({ from, to, local, typeOnly }: Import): boolean {
  const storey = storeyOf(from) ?? "?";
  if (to === CLIENT_TYPES && typeOnly) return storey === "cli" || storey === "pages" || storey === "http";
  if (local) return (MAY_IMPORT[storey] ?? []).includes(storeyOf(to) ?? "?");
  if (to === "cloudflare:workers") return storey === "platform" || storey === "index";
  return storey !== "core" || PURE_LIBRARIES.includes(to.split("/")[0] ?? "");
}

/** Circles of imports. Type-only imports are left out: they are erased, so that no module waits for another through them. */
function circles(tree: Tree): string[] {
  const imports = allImports(tree).filter(({ typeOnly }) => !typeOnly);
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): string[] => {
    if (way.includes(path)) return [[...way.slice(way.indexOf(path)), path].join(" → ")];
    if (done.has(path)) return [];
    const found = imports.filter(({ from }) => from === path).flatMap(({ to }) => visit(to, [...way, path]));
    done.add(path);
    return found;
  };
  return [...tree.keys()].flatMap((path) => visit(path, []));
}

/** Uses of the forbidden globals: the compiler replaces free names only, so that texts, comments, fields and locals of the same name do not count. */
function impurities(tree: Tree): string[] {
  const define = Object.fromEntries([...PURE_MATH.map((name) => [name, name]), ...IMPURE.map((name, n) => [name, `__impure_${n}__`])]);
  return [...tree]
    .filter(([path]) => storeyOf(path) === "core")
    .flatMap(([path, text]) => {
      const { code } = transformSync(text, { loader: "ts", define });
      return [...new Set([...code.matchAll(/__impure_(\d+)__/g)].map(([, n]) => `${path} uses ${IMPURE[Number(n)]}`))];
    });
}

function longFiles(tree: Tree): string[] {
  return [...tree].flatMap(([path, text]) => {
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    return lines > LINES_MAX ? [`${path} has ${lines} lines`] : [];
  });
}

/** What the Worker is made of: everything that its front door reaches, through types too. */
function reachable(tree: Tree, start: string): Set<string> {
  const seen = new Set<string>([start]);
  for (const path of seen) for (const { to } of importsOf(path, tree.get(path) ?? "")) if (tree.has(to)) seen.add(to);
  return seen;
}

const strangers = (tree: Tree): string[] => [...reachable(tree, "src/index.ts")].filter((path) => ["cli", "pages"].includes(storeyOf(path) ?? ""));

describe("the tree", () => {
  const tree = readTree();

  test("has its imports read as the compiler reads them", async () => {
    const { metafile } = await build({
      absWorkingDir: ROOT,
      entryPoints: [...tree.keys()],
      bundle: true,
      write: false,
      metafile: true,
      outdir: "nowhere",
      format: "esm",
      packages: "external",
      external: ["cloudflare:*"],
      platform: "neutral",
      logLevel: "error",
      loader: { ".css": "empty", ".html": "text", ".svg": "text" },
    });
    const runtime = allImports(tree).filter(({ typeOnly }) => !typeOnly);
    for (const path of tree.keys()) {
      const compiled = (metafile.inputs[path]?.imports ?? []).map(({ path: to }) => to);
      const read = runtime.filter(({ from }) => from === path).map(({ to }) => to);
      expect([...new Set(read)].toSorted(), path).toEqual([...new Set(compiled)].toSorted());
    }
  });

  test("imports go down only: index → http → platform → core", () => expect(upwardImports(tree)).toEqual([]));
  test("nothing goes in a circle", () => expect(circles(tree)).toEqual([]));
  test("core knows no clock, no chance and no I/O", () => expect(impurities(tree)).toEqual([]));
  test("the command line and the pages are no part of the Worker", () => expect(strangers(tree)).toEqual([]));
  test(`no file is longer than ${LINES_MAX} lines`, () => expect(longFiles(tree)).toEqual([]));

  test("has all its storeys, and the front door reaches the lowest", () => {
    expect(new Set([...tree.keys()].map(storeyOf))).toEqual(new Set(["config", "cli", "core", "http", "index", "pages", "platform"]));
    expect(reachable(tree, "src/index.ts")).toContain("src/core/hash.ts");
  });
});

describe("each rule fails where it is broken", () => {
  const treeOf = (files: Record<string, string>): Tree => new Map(Object.entries(files));

  test.each<[path: string, text: string, faults: string[]]>([
    ["src/core/a.ts", 'import { x } from "../platform/env.ts";', ["src/core/a.ts imports src/platform/env.ts"]],
    ["src/core/a.ts", 'import type { Env } from "../platform/env.ts";', ["src/core/a.ts imports src/platform/env.ts"]],
    ["src/core/a.ts", 'export * from "../http/route.ts";', ["src/core/a.ts imports src/http/route.ts"]],
    ["src/core/a.ts", 'const late = () => import("../http/route.ts");', ["src/core/a.ts imports src/http/route.ts"]],
    ["src/core/a.ts", 'import config from "../../limpet.config.ts";', ["src/core/a.ts imports limpet.config.ts"]],
    [
      "src/core/a.ts",
      'import { readFile } from "node:fs";\nimport * as v from "valibot";\nimport { x } from "lib0/encoding";',
      ["src/core/a.ts imports node:fs"],
    ],
    ["src/core/a.ts", 'import {\n  a,\n  b as c,\n} from "jose";', ["src/core/a.ts imports jose"]],
    ["src/http/a.ts", 'import { DurableObject } from "cloudflare:workers";', ["src/http/a.ts imports cloudflare:workers"]],
    [
      "src/platform/a.ts",
      'import { DurableObject } from "cloudflare:workers";\nimport { route } from "../http/route.ts";',
      ["src/platform/a.ts imports src/http/route.ts"],
    ],
    ["src/http/a.ts", 'import worker from "../index.ts";', ["src/http/a.ts imports src/index.ts"]],
    [
      "src/cli/a.ts",
      'import { RingObject } from "../platform/ring-object.ts";\nimport { build } from "../pages/build.ts";',
      ["src/cli/a.ts imports src/platform/ring-object.ts"],
    ],
    [
      "src/cli/a.ts",
      'import type { AdminApp } from "../http/admin-app.ts";\nimport { x } from "../http/admin-app.ts";',
      ["src/cli/a.ts imports src/http/admin-app.ts"],
    ],
    ["src/http/a.ts", 'import { stack } from "../../test/support/stack.ts";', ["src/http/a.ts imports test/support/stack.ts"]],
    ["src/core/a.ts", '// import { x } from "../http/route.ts";\n/*\n * import("../http/route.ts")\n */\nimport "./b.ts";', []],
  ])("%s: %s", (path, text, faults) => {
    expect(upwardImports(treeOf({ [path]: text }))).toEqual(faults);
  });

  test.each<[text: string, faults: string[]]>([
    ["export const a = () => Date.now();", ["Date"]],
    ["export const a = (at = new Date()) => at;", ["Date"]],
    ["export const a = [Math.random(), Math.max(1, 2)];", ["Math.random"]],
    ["const { random } = Math; const g = globalThis; export { random, g };", ["Math", "globalThis"]],
    ["export const a = `${fetch('x')}`;", ["fetch"]],
    ["export const a = () => setTimeout(() => crypto.randomUUID(), performance.now());", ["setTimeout", "crypto", "performance"]],
    ['// Date.now()\nexport const fetch = "Math.random()"; export const a = (crypto: { fetch(): void }) => crypto.fetch();', []],
  ])("%s", (text, faults) => {
    expect(impurities(treeOf({ "src/core/a.ts": text }))).toEqual(faults.map((name) => `src/core/a.ts uses ${name}`));
    expect(impurities(treeOf({ "src/platform/a.ts": text }))).toEqual([]);
  });

  test("a circle, but not one of types", () => {
    const circle = treeOf({
      "src/core/a.ts": 'import "./b.ts";',
      "src/core/b.ts": 'export { x } from "./c.ts";',
      "src/core/c.ts": 'import { a } from "./a.ts";',
    });
    expect(circles(circle)).toEqual(["src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts"]);
    expect(circles(treeOf({ "src/core/a.ts": 'import "./b.ts";', "src/core/b.ts": 'import type { A } from "./a.ts";' }))).toEqual([]);
  });

  test("a Worker that reaches the command line", () => {
    const tree = treeOf({ "src/index.ts": 'import "./http/a.ts";', "src/http/a.ts": 'import type { X } from "../cli/x.ts";', "src/cli/x.ts": "" });
    expect(strangers(tree)).toEqual(["src/cli/x.ts"]);
  });

  test("a line too many", () => {
    expect(longFiles(treeOf({ a: "x\n".repeat(LINES_MAX), b: "x\n".repeat(LINES_MAX + 1) }))).toEqual([`b has ${LINES_MAX + 1} lines`]);
  });
});
