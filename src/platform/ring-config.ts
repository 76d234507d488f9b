// Which configuration a ring takes its origins from, and what salts its origins have by it.

import type { Pool } from "../core/config-types.ts";
import { hashText } from "../core/hash.ts";
import { judgeConfig, membersOf, originOf, type ConfiguredOrigin } from "../core/lifecycle.ts";
import type { Membership } from "../core/membership.ts";
import { withSalts } from "../core/salts.ts";
import type { Settings } from "./env.ts";
import type { StoredConfig } from "./ring-store.ts";

interface Given {
  readonly pool: Pool;
  readonly region: string;
  readonly settings: Pick<Settings, "config" | "dev">;
}

type WrittenOrigin = Omit<ConfiguredOrigin, "salt"> & { readonly salt: number | undefined };

/** What has to be stored; `undefined`: the ring stays as it is. One that contradicts what is stored is shown in the log. */
export function dueConfig({ pool, region, settings }: Given, known: StoredConfig | undefined, before: Membership): StoredConfig | undefined {
  const { virtualNodes } = pool;
  const origins = pool.origins
    .filter((origin) => origin.region === region)
    .map(({ id, url, weight, salt, backup }): WrittenOrigin => ({ id, url, weight, salt, backup }));
  const given = { revision: settings.config.configRevision, content: contentOf(pool, origins, known) };
  const verdict = judgeConfig(known, given, settings.dev);
  if (verdict === "conflict") {
    const what = "equal configRevision, other content: raise configRevision";
    console.error(JSON.stringify({ limpet: "config-conflict", pool: pool.id, region, configRevision: given.revision, what }));
  }
  return verdict === "take" ? { ...given, virtualNodes, origins: salted(origins, virtualNodes, before) } : undefined;
}

/** A salt once found stays with its origin, of whichever layer: only those that are new get one now, beside all who are there. */
function salted(origins: readonly WrittenOrigin[], virtualNodes: number, before: Membership): ConfiguredOrigin[] {
  const remembered = origins.map((origin) => {
    const old = originOf(origin.id, before);
    return { ...origin, salt: origin.salt ?? (old?.backup === origin.backup ? old.salt : undefined) }; // backups are another ring
  });
  const written = new Set(origins.map(({ id }) => id));
  const joined = membersOf({ ...before, configured: [] }).filter(({ id }) => !written.has(id));
  return withSalts([...remembered, ...joined], virtualNodes).slice(0, origins.length);
}

/** What was written, to be compared. The secret of where keys stand is in it by a hash alone. */
function contentOf({ virtualNodes, pointSecret }: Pool, origins: readonly WrittenOrigin[], known: StoredConfig | undefined): string {
  // Rings that were stored when every salt was written, as 0 by default, have this shorter form.
  const formerly = JSON.stringify([virtualNodes, origins.map((origin) => ({ ...origin, salt: origin.salt ?? 0 }))]);
  if (known?.content === formerly && !pointSecret) return formerly;
  return JSON.stringify([virtualNodes, origins, { points: pointSecret ? hashText(pointSecret.join(), 0) : "public" }]);
}

/** What a configuration that is not taken yet would move in one ring. */
export interface ConfigPlan {
  readonly pool: string;
  readonly region: string;
  readonly movedShare: number;
  readonly optimumShare: number;
}

/** Other regions in which the pool has configured origins: each has a ring of its own. */
export function neighbourRegions({ origins }: Pool, own: string): string[] {
  return [...new Set(origins.map(({ region }) => region))].filter((region) => region !== own);
}
