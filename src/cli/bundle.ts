// A Worker as one module, with a configuration in the place of limpet.config.ts.

import { build } from "esbuild";

/** The bundle's text. `raw`: the configuration as written. */
export async function bundleWorker(entry: string, raw: unknown, { minify = false } = {}): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    minify,
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
          hooks.onLoad({ filter: /.*/, namespace: "limpet" }, () => ({ contents: JSON.stringify(raw), loader: "json" }));
        },
      },
    ],
  });
  return result.outputFiles[0]?.text ?? "";
}
