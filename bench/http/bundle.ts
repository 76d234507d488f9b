// The Workers as a deployment bundles them: one module each, minified.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

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
  return bundle(`${ROOT}/bench/http/workers/${name}.ts`);
}

/** Limpet's own bundle as it is uploaded, compressed. */
export async function bundleGzipBytes(): Promise<number> {
  return gzipSync(await bundle(`${ROOT}/src/index.ts`)).length;
}

async function bundle(entryPoint: string): Promise<string> {
  const result = await build({
    entryPoints: [entryPoint],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    logLevel: "silent",
    plugins: [
      {
        name: "limpet-config",
        setup(hooks) {
          hooks.onResolve({ filter: /\/limpet\.config\.ts$/ }, () => ({ path: "limpet.config", namespace: "limpet" }));
          hooks.onLoad({ filter: /.*/, namespace: "limpet" }, () => ({ contents: JSON.stringify(CONFIG), loader: "json" }));
        },
      },
    ],
  });
  return result.outputFiles[0]?.text ?? "";
}
