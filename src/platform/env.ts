// What the platform hands us: bindings, secrets, and whether this is `dev`. Every object and the Worker read them here.

import limpetConfig from "../../limpet.config.ts";
import { formatFaults, parseConfig } from "../core/config.ts";
import type { Config } from "../core/config-types.ts";
import type { CarrierObject } from "./carrier-object.ts";
import type { RingObject } from "./ring-object.ts";

export interface Env {
  readonly RING: DurableObjectNamespace<RingObject>;
  readonly CARRIER: DurableObjectNamespace<CarrierObject>;
  readonly AFFINITY: KVNamespace;
  /** Our own pages; absent where a deployment leaves them out. */
  readonly ASSETS?: Fetcher;
  /** Comma-separated; the first signs, all verify. Required outside dev. */
  readonly LIMPET_SECRET?: string;
  /** `name:scope+scope:token`, comma-separated. */
  readonly LIMPET_ADMIN_TOKENS?: string;
  /** "1" in dev only: set by `limpet dev` and by .dev.vars, never by a deployment. */
  readonly LIMPET_DEV?: string;
  /** dev only: JSON for /_limpet/dev.json, which the try page reads. */
  readonly LIMPET_DEV_INFO?: string;
}

export interface Settings {
  readonly config: Config;
  readonly dev: boolean;
  /** First signs, all verify, the last one keys the hashes: putting a new one in front changes no session's hash. */
  readonly secrets: readonly string[];
}

/** Why nothing can be served; the sentence is for the operator's log, never for a visitor. */
export class SettingsFault extends Error {}

/** 32 characters of anything random hold more than 128 bits. */
const SECRET_MIN_LENGTH = 32;

let known: Settings | undefined;

/** The settings of this isolate, checked once. Throws `SettingsFault` with everything that is wrong. */
export function settingsOf(env: Env): Settings {
  return (known ??= readSettings(env));
}

function readSettings(env: Env): Settings {
  const dev = env.LIMPET_DEV === "1";
  const parsed = parseConfig(limpetConfig, { dev });
  if (!parsed.ok) throw new SettingsFault(formatFaults(parsed.faults));
  const given = (env.LIMPET_SECRET ?? "")
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "");
  if (given.length === 0 && !dev) throw new SettingsFault("LIMPET_SECRET is not set: run `npx wrangler secret put LIMPET_SECRET`.");
  const short = given.find((secret) => secret.length < SECRET_MIN_LENGTH);
  if (short !== undefined && !dev)
    throw new SettingsFault(`A secret of LIMPET_SECRET has ${short.length} characters; at least ${SECRET_MIN_LENGTH} are needed.`);
  return { config: parsed.config, dev, secrets: given.length > 0 ? given : ["limpet-dev-only"] };
}
