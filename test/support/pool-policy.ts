// A pool's settings where nothing is said of them, for tests that build a pool by hand: what they do not care about is as in a real one.

import { parseConfig } from "../../src/core/config.ts";
import type { Pool } from "../../src/core/config-types.ts";

const parsed = parseConfig({ configRevision: 1, defaultRegion: "weur", regions: { weur: {} }, pools: { p: {} }, routes: [] }, { dev: false });
const pool = parsed.ok ? parsed.config.pools["p"] : undefined;
if (!pool) throw new Error("a configuration without origins is a good one");
const { id: _id, origins: _origins, ...policy } = pool;

export const DEFAULT_POLICY: Omit<Pool, "id" | "origins"> = policy;
