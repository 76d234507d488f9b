// `limpet dev`: the router on this machine, against the real origins at the URLs of a configuration.

import type { Config } from "../core/config-types.ts";
import { secretNames } from "../core/config.ts";
import { loadConfig } from "./config-file.ts";
import { CommandFault } from "./fault.ts";
import { builtPages } from "./pages.ts";
import { startRouter } from "./router.ts";
import { untilStopped } from "./until-stopped.ts";

/** What the configuration names as secrets: of the environment, as a deployment has them as Worker secrets. */
function secretsOf(config: Config): Record<string, string> {
  const names = secretNames(config);
  const missing = names.filter((name) => !process.env[name]);
  if (missing.length > 0) throw new CommandFault(`The configuration needs ${missing.join(", ")}: set it in the environment.`);
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? ""]));
}

export async function dev({ config: file, port, json }: { config: string; port: number; json: boolean }): Promise<void> {
  const { raw, config } = await loadConfig(file);
  const router = await startRouter({
    raw,
    secrets: secretsOf(config),
    port,
    pagesDir: await builtPages(),
    devInfo: {},
    onLog: (line) => process.stderr.write(`${line}\n`),
  });
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
