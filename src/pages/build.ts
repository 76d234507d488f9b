// Bundles the two static pages (dashboard, page to try Limpet) with everything they use: `node src/pages/build.ts [OUTDIR]`.
// Writes OUTDIR/_limpet/index.html, try.html and assets/ with content hashes in their names, so that assets may be cached for good; and the admin
// API's document.
// Built whole beside the old pages, then swapped in: nobody is served half a build.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";
import { openApiDocument } from "./openapi.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const DEFAULT_OUT_DIR = fileURLToPath(new URL("../../dist/pages", import.meta.url));

/** Where the router serves the assets; the pages name them by absolute URLs, because one page is served at `/`. */
const ASSETS_URL = "/_limpet/assets/";

const PAGES = [
  { from: "dashboard/dashboard.html", to: "index.html" },
  { from: "try/try.html", to: "try.html" },
] as const;

const ENTRY_POINTS = ["dashboard/dashboard.ts", "dashboard/dashboard.css", "try/try.ts", "try/try.css", "shared/limpet.svg"];

export async function buildPages(outDir: string): Promise<void> {
  const target = join(outDir, "_limpet");
  const fresh = `${outDir}.building-${process.pid}`; // beside it: a router that starts meanwhile reads all of outDir
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  try {
    const names = await bundle(join(fresh, "assets"));
    for (const page of PAGES) {
      const html = await readFile(join(HERE, page.from), "utf8");
      await writeFile(join(fresh, page.to), withBuiltNames(html, page.from, names));
    }
    await writeFile(join(fresh, "openapi.json"), JSON.stringify(await openApiDocument()));
    if (await sameFiles(fresh, target)) return; // nothing to swap under a router that is reading it
    await mkdir(outDir, { recursive: true });
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Whether two folders hold the same files; one that is not there holds none. */
async function sameFiles(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([filesOf(one), filesOf(other)]);
  return a.size === b.size && [...a].every(([name, bytes]) => b.get(name)?.equals(bytes) ?? false);
}

async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []); // not there yet, or just being swapped
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = files.map(async (file) => [relative(folder, file), await readFile(file)] as const);
  return new Map(await Promise.all(read).catch(() => []));
}

/** Resolves with what each source asset is called now: `try.css` → `try-4X2ABC.css`. */
async function bundle(outDir: string): Promise<ReadonlyMap<string, string>> {
  const result = await build({
    absWorkingDir: HERE,
    entryPoints: ENTRY_POINTS,
    outdir: outDir,
    entryNames: "[name]-[hash]",
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    metafile: true,
    loader: { ".svg": "copy" },
    logLevel: "warning",
  });
  return new Map(outputsOf(result.metafile));
}

function* outputsOf(metafile: Metafile): Generator<[string, string]> {
  for (const [path, output] of Object.entries(metafile.outputs)) {
    const source = output.entryPoint ?? Object.keys(output.inputs)[0];
    if (source !== undefined) yield [basename(source).replace(/\.ts$/, ".js"), basename(path)];
  }
}

function withBuiltNames(html: string, page: string, names: ReadonlyMap<string, string>): string {
  return html.replaceAll(/\/_limpet\/assets\/([\w.-]+)/g, (_, source: string) => {
    const name = names.get(source);
    if (name === undefined) throw new Error(`${page} names the asset ${source}, which is not built: there are ${[...names.keys()].join(", ")}`);
    return ASSETS_URL + name;
  });
}

if (import.meta.main) await buildPages(resolve(process.argv[2] ?? DEFAULT_OUT_DIR));
