// `limpet salts`: what the rings found for origins whose salts nobody wrote, and into the configuration with it. Written there, the ring is
// the same wherever it is made of the configuration alone.

import { readFile, rename, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { AdminClient, type RouterOptions } from "./admin-client.ts";
import type { OriginView } from "./admin-views.ts";
import { columns } from "./columns.ts";
import { loadConfig } from "./config-file.ts";
import { CommandFault } from "./fault.ts";
import { counted, listed, paint, printJson } from "./text.ts";

export interface SaltsOptions extends RouterOptions {
  readonly config: string;
  readonly write: boolean;
  readonly json: boolean;
}

interface Found {
  readonly pool: string;
  readonly region: string;
  readonly id: string;
  readonly salt: number;
}

export async function salts({ config: file, write, json, ...options }: SaltsOptions): Promise<void> {
  const { rings } = await new AdminClient(options).ask((api) => api.rings.$get());
  const silent = rings.filter((ring) => "unreachable" in ring).map(({ pool, region }) => `${pool}@${region}`);
  if (silent.length > 0) throw new CommandFault(`${listed(silent)} did not answer: salts are written all at once or not at all. Try again.`);
  const found = rings.flatMap(({ pool, region, origins }) => origins.filter(isThere).map(({ id, salt }) => ({ pool, region, id, salt })));
  const written = write ? await writeSalts(file, found) : undefined;
  if (json) return printJson({ salts: found, ...(written ? { written: written.map(({ pool, id }) => `${pool}/${id}`) } : {}) });
  if (!written) return console.log(saltTable(found));
  console.log(
    written.length === 0
      ? `${file} has all of them.`
      : `${file} has ${counted(written.length, "salt")} more: raise configRevision, then deploy or apply it.`,
  );
}

function isThere({ state }: OriginView): boolean {
  return state !== "gone";
}

function saltTable(found: readonly Found[]): string {
  const all = [
    { head: "pool", align: "left", cell: ({ pool }: Found) => pool },
    { head: "region", align: "left", cell: ({ region }: Found) => region },
    { head: "origin", align: "left", cell: ({ id }: Found) => id },
    { head: "salt", align: "right", cell: ({ salt }: Found) => String(salt) },
  ] as const;
  return columns(all, found, paint);
}

/** Which salts were missing. A file that is a program is not rewritten: it is told what to paste. */
async function writeSalts(file: string, found: readonly Found[]): Promise<readonly Found[]> {
  const { raw } = await loadConfig(file);
  const missing = found.filter((each) => originIn(raw, each) && !("salt" in (originIn(raw, each) ?? {})));
  if (missing.length === 0) return missing;
  if (extname(file) !== ".json") {
    const lines = missing.map(({ pool, id, salt }) => `  pool ${pool}, origin ${id}: salt: ${salt},`);
    throw new CommandFault(`${file} is a program, which is not rewritten: paste these into its origins.\n${lines.join("\n")}`);
  }
  const text = await readFile(file, "utf8");
  const json = JSON.parse(text.replace(/^\uFEFF/, "")) as unknown;
  for (const each of missing) Object.assign(originIn(json, each) ?? {}, { salt: each.salt });
  const indent = /\n([ \t]+)"/.exec(text)?.[1] ?? 2;
  const next = `${file}.next`; // whole or not at all: a half-written configuration would not start
  await writeFile(next, `${JSON.stringify(json, null, indent)}\n`);
  await rename(next, file);
  return missing;
}

/** The origin's own object in a configuration as written; `undefined` for one that joined at run time. Checked already by `loadConfig`. */
function originIn(raw: unknown, { pool, id }: Found): object | undefined {
  const { pools } = raw as { readonly pools: Readonly<Record<string, { readonly origins?: readonly { readonly id: string }[] }>> };
  const origins = Object.hasOwn(pools, pool) ? pools[pool]?.origins : undefined;
  return origins?.find((origin) => origin.id === id);
}
