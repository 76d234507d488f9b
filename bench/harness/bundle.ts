// The Workers as a deployment bundles them: one module each, minified.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundleWorker } from "../../src/cli/bundle.ts";

const LIMPET = new URL("../../src/index.ts", import.meta.url);

/** A Worker as one module; `config` takes the place of limpet.config.ts. */
export function bundled(entry: URL, config: unknown): Promise<string> {
  return bundleWorker(fileURLToPath(entry), config, { minify: true });
}

/** Limpet's own bundle as it is uploaded, compressed. */
export async function bundleGzipBytes(config: unknown): Promise<number> {
  return gzipSync(await bundled(LIMPET, config)).length;
}
