// Reading a configuration file for the command line: .ts (its default export) or .json, checked as the Worker will check it. Whatever
// the file does while it loads, standard output stays the command's own, and what is wrong with it is a sentence.

import { readFile, stat } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Config } from "../core/config-types.ts";
import { formatFaults, parseConfig } from "../core/config.ts";
import { CommandFault } from "./fault.ts";
import { describeThrown } from "./thrown.ts";

export interface LoadedConfig {
  readonly config: Config;
  /** As written: what the bundle gets. */
  readonly raw: unknown;
}

/** Throws `CommandFault` with every fault of the file. */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  const path = resolve(file);
  const raw = await read(path);
  const parsed = parseConfig(raw, { dev: true });
  if (!parsed.ok) throw new CommandFault(`${file}: ${formatFaults(parsed.faults)}`);
  return { config: parsed.config, raw };
}

/** As it is written: the router that it is for checks it. */
export function readConfig(file: string): Promise<unknown> {
  return read(resolve(file));
}

async function read(path: string): Promise<unknown> {
  let contents: { readonly value: unknown } | undefined;
  try {
    if ((await stat(path)).isDirectory()) throw new CommandFault("it is a folder. Name the file in it with --config FILE.");
    contents = extname(path) === ".json" ? { value: parseJson(await readFile(path, "utf8")) } : defaultExport(await load(path));
  } catch (error) {
    throw new CommandFault(`${path}: ${error instanceof CommandFault ? error.message : whatIsWrong(error, path)}`);
  }
  if (contents === undefined) throw new CommandFault(`${path}: it has no default export. Write \`export default defineConfig({ … })\`.`);
  return contents.value;
}

/** A file that is not there is told from one that asks for another which is not there. */
function whatIsWrong(error: unknown, path: string): string {
  const absent = error instanceof Error && "code" in error && error.code === "ENOENT" && "path" in error && error.path === path;
  return absent ? "there is no such file. Name another with --config FILE." : `it cannot be read: ${describeThrown(error)}`;
}

/** Editors on Windows begin a file with a byte order mark, which JSON does not know. */
function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/^\uFEFF/, ""));
}

/** Imports the file; what it prints goes to standard error, as a program may be reading our standard output. */
async function load(path: string): Promise<unknown> {
  const { stdout, stderr } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr);
  try {
    return await import(pathToFileURL(path).href);
  } finally {
    stdout.write = write;
  }
}

/** A file without any `import` or `export` is loaded as CommonJS: its default export is then `module.exports`, an empty object unless set. */
function defaultExport(module: unknown): { readonly value: unknown } | undefined {
  if (typeof module !== "object" || module === null || !("default" in module)) return undefined;
  const { default: value } = module;
  const unset = "module.exports" in module && typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return unset ? undefined : { value };
}
