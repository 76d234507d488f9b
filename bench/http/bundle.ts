// The Workers as a deployment bundles them: one module each, minified.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundleWorker as bundled } from "../../src/cli/bundle.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What limpet.config.ts would be: four origins in one region, and a cookie that keeps each visitor on theirs. */
const CONFIG = {
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: {
    web: { origins: ["web-1", "web-2", "web-3", "web-4"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com` })) },
  },
  routes: [{ path: "/*", pool: "web", session: [{ issue: true }], home: "visitor" }],
  expose: false,
};

/** A Worker of bench/http/workers as one module. */
export function bundleWorker(name: string): Promise<string> {
  return bundled(`${ROOT}/bench/http/workers/${name}.ts`, CONFIG, { minify: true });
}

/** Limpet's own bundle as it is uploaded, compressed. */
export async function bundleGzipBytes(): Promise<number> {
  return gzipSync(await bundled(`${ROOT}/src/index.ts`, CONFIG, { minify: true })).length;
}
