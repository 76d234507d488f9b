// What the platform hands us: bindings, secrets, and whether this is `dev`. Every object and the Worker read them here.

import { formatFaults, parseConfig, secretNames, tokenSecretNames } from "../core/config.ts";
import type { Config } from "../core/config-types.ts";
import { hooksOf } from "../core/hooks.ts";
import type { CarrierObject } from "./carrier-object.ts";
import { accessFaults, accessOf, type PoolAccess } from "./origin-access.ts";
import type { RingObject } from "./ring-object.ts";

export interface Env {
  readonly RING: DurableObjectNamespace<RingObject>;
  readonly CARRIER: DurableObjectNamespace<CarrierObject>;
  readonly AFFINITY: KVNamespace;
  /** Counts new sessions by the network that their visitors come from; without it only each ring's are bounded. */
  readonly NEW_SESSIONS?: RateLimit;
  /** Counts wrong admin tokens by the network that they come from; without it only each isolate does. */
  readonly ADMIN_FAILURES?: RateLimit;
  /** Our own pages; absent where a deployment leaves them out. */
  readonly ASSETS?: Fetcher;
  /** Comma-separated; the first signs, all verify. Required outside dev. */
  readonly LIMPET_SECRET?: string;
  /** `name:scope+scope:token`, comma-separated (core/admin-tokens.ts). */
  readonly LIMPET_ADMIN_TOKENS?: string;
  /** "1" in dev only: set by `limpet dev` and by .dev.vars, never by a deployment. */
  readonly LIMPET_DEV?: string;
  /** dev only: JSON for /_limpet/dev.json, which the try page reads. */
  readonly LIMPET_DEV_INFO?: string;
}

/** Where work goes on after the answer. */
export type Background = Pick<ExecutionContext, "waitUntil">;

/** What every step of a request has at hand. */
export interface Platform {
  readonly env: Env;
  readonly ctx: Background;
  readonly settings: Settings;
}

export interface Settings {
  readonly config: Config;
  readonly dev: boolean;
  /** First signs, all verify, the last one keys the hashes: putting a new one in front changes no session's hash. */
  readonly secrets: readonly string[];
  /** HMAC keys of tokens, by the name of the secret that holds each. */
  readonly tokenSecrets: ReadonlyMap<string, Uint8Array>;
  /** How requests reach the origins of a pool that is not open to the world, by pool. Secret. */
  readonly access: ReadonlyMap<string, PoolAccess>;
  /** Where the origins of a pool hand sessions over, by pool: no visitor's business. */
  readonly hooks: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Why nothing can be served; the sentence is for the operator's log, never for a visitor. */
export class SettingsFault extends Error {}

/** 32 characters of anything random hold more than 128 bits. */
const SECRET_MIN_LENGTH = 32;

/** Reads the settings of an isolate: checked once, then known. Throws `SettingsFault` with everything that is wrong. */
export function settingsReader(raw: unknown): (env: Env) => Settings {
  let known: Settings | undefined;
  return (env) => (known ??= readSettings(raw, env));
}

function readSettings(raw: unknown, env: Env): Settings {
  const dev = env.LIMPET_DEV === "1";
  const parsed = parseConfig(raw, { dev });
  if (!parsed.ok) throw new SettingsFault(formatFaults(parsed.faults));
  const given = (env.LIMPET_SECRET ?? "")
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "");
  if (given.length === 0 && !dev) throw new SettingsFault("LIMPET_SECRET is not set: run `npx wrangler secret put LIMPET_SECRET`.");
  const short = given.find((secret) => secret.length < SECRET_MIN_LENGTH);
  if (short !== undefined && !dev)
    throw new SettingsFault(`A secret of LIMPET_SECRET has ${short.length} characters; at least ${SECRET_MIN_LENGTH} are needed.`);
  const { config } = parsed;
  const named = new Map(secretNames(config).map((name) => [name, textOf(env, name)]));
  const tokenSecrets = new Map(tokenSecretNames(config).map((name) => [name, new TextEncoder().encode(named.get(name))]));
  for (const [name, key] of tokenSecrets) {
    if (key.length < TOKEN_KEY_BYTES)
      throw new SettingsFault(`${name} has ${key.length} bytes; the key of a token needs at least ${TOKEN_KEY_BYTES} (RFC 7518 §3.2).`);
  }
  const faults = accessFaults(config, named, (name) => bindingOf(env, name), dev);
  if (faults.length > 0) throw new SettingsFault(faults.join("\n"));
  return {
    config,
    dev,
    secrets: given.length > 0 ? given : ["limpet-dev-only"],
    tokenSecrets,
    access: accessOf(config, named),
    hooks: hooksOf(config),
  };
}

/** HS256's least key. */
const TOKEN_KEY_BYTES = 32;

/** What stands in the environment under a name that the configuration says. */
export function bindingOf(env: Env, name: string): unknown {
  return Object.hasOwn(env, name) ? (env as unknown as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** A secret whose name the configuration says. */
function textOf(env: Env, name: string): string {
  const value = bindingOf(env, name);
  if (typeof value !== "string") throw new SettingsFault(`${name} is not set: run \`npx wrangler secret put ${name}\`.`);
  return value;
}
