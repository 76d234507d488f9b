// Reading a configuration file for the command line: .ts (its default export) or .json, checked as the Worker will check it.

import { readFile } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Config } from "../core/config-types.ts";
import { formatFaults, parseConfig } from "../core/config.ts";
import { CommandFault } from "./fault.ts";

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

async function read(path: string): Promise<unknown> {
  try {
    if (extname(path) === ".json") return JSON.parse(await readFile(path, "utf8"));
    const module: unknown = await import(pathToFileURL(path).href);
    if (typeof module === "object" && module !== null && "default" in module) return module.default;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT" || (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
    const what = missing ? "there is no such file. Name another with --config FILE." : `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    throw new CommandFault(`${path}: ${what}`);
  }
  throw new CommandFault(`${path}: it has no default export. Write \`export default defineConfig({ … })\`.`);
}
