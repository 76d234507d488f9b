// `limpet dev`: the router on this machine, against the real origins at the URLs of a configuration.

import { loadConfig } from "./config-file.ts";
import { builtPages } from "./pages.ts";
import { startRouter } from "./router.ts";
import { untilStopped } from "./until-stopped.ts";

export async function dev({ config: file, port, json }: { config: string; port: number; json: boolean }): Promise<void> {
  const { raw, config } = await loadConfig(file);
  const router = await startRouter({ raw, port, pagesDir: await builtPages(), devInfo: {}, onLog: (line) => process.stderr.write(`${line}\n`) });
  if (json) console.log(JSON.stringify({ ready: router.url }));
  else {
    const origins = Object.values(config.pools).reduce((sum, pool) => sum + pool.origins.length, 0);
    console.log(
      `Limpet is ready on ${router.url}: ${origins} origins in ${Object.keys(config.pools).length} pools; dashboard at ${router.url}/_limpet/. Ctrl-C ends it.`,
    );
  }
  await untilStopped();
  await router.stop();
  process.exit(0);
}
