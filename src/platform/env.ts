// What the platform hands us: bindings, secrets, and whether this is `dev`. Every object and the Worker read them here.

import { bundledConfig, type BundledConfig, type RetiredRing } from "../core/applied-config.ts";
import { inOrder, type ConfigFault, type FoundFault } from "../core/config-faults.ts";
import { placesOf } from "../core/config-places.ts";
import { formatFaults, parseConfig, secretNames, tokenSecretNames } from "../core/config.ts";
import type { Config } from "../core/config-types.ts";
import { hooksOf } from "../core/hooks.ts";
import type { CarrierObject } from "./carrier-object.ts";
import type { ControlObject } from "./control-object.ts";
import { accessFaults, accessOf, type PoolAccess } from "./origin-access.ts";
import type { RingObject } from "./ring-object.ts";

export interface Env {
  readonly RING: DurableObjectNamespace<RingObject>;
  readonly CARRIER: DurableObjectNamespace<CarrierObject>;
  readonly AFFINITY: KVNamespace;
  /** Holds what was applied; without it the configuration changes by deploys alone. */
  readonly CONTROL?: DurableObjectNamespace<ControlObject>;
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
  /** Rings that it names no more, and that somebody may still be at: operators find them. */
  readonly retired: readonly RetiredRing[];
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

/** The same of a configuration alone, as faults with their paths. */
export class ConfigFaults extends SettingsFault {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(formatFaults(faults));
    this.faults = faults;
  }
}

/** 32 characters of anything random hold more than 128 bits. */
const SECRET_MIN_LENGTH = 32;

/** Where settings come from: the code's own configuration, or one that was applied. */
export interface SettingsSource {
  /** What the bundle says: checked once, then known. Throws `SettingsFault` with everything that is wrong. */
  bundled(env: Env): Settings;
  bundle(env: Env): BundledConfig;
  /** What another configuration says, beside the same environment. Throws `SettingsFault`. */
  read(text: string, env: Env): Settings;
}

/** One to an isolate. */
export class CodeSettings implements SettingsSource {
  readonly #raw: unknown;
  #bundled: Settings | undefined;
  #bundle: BundledConfig | undefined;
  /** Objects of one isolate read the same one after another. */
  #lastRead: { readonly text: string; readonly settings: Settings } | undefined;

  constructor(raw: unknown) {
    this.#raw = raw;
  }

  bundled(env: Env): Settings {
    return (this.#bundled ??= readSettings(this.#raw, env));
  }

  bundle(env: Env): BundledConfig {
    return (this.#bundle ??= bundledConfig(this.#raw, this.bundled(env).config.configRevision));
  }

  read(text: string, env: Env): Settings {
    if (this.#lastRead?.text === text) return this.#lastRead.settings;
    const settings = readSettings(JSON.parse(text), env);
    this.#lastRead = { text, settings };
    return settings;
  }
}

function readSettings(raw: unknown, env: Env): Settings {
  const dev = env.LIMPET_DEV === "1";
  const parsed = parseConfig(raw, { dev });
  if (!parsed.ok) throw new ConfigFaults(parsed.faults);
  const given = (env.LIMPET_SECRET ?? "")
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "");
  if (given.length === 0 && !dev) throw new SettingsFault("LIMPET_SECRET is not set: run `npx wrangler secret put LIMPET_SECRET`.");
  const short = given.find((secret) => secret.length < SECRET_MIN_LENGTH);
  if (short !== undefined && !dev)
    throw new SettingsFault(`A secret of LIMPET_SECRET has ${short.length} characters; at least ${SECRET_MIN_LENGTH} are needed.`);
  const { config } = parsed;
  const absent = secretNames(config).filter((name) => typeof bindingOf(env, name) !== "string");
  if (absent.length > 0) throw faultsOf(raw, absent, (name) => `${name} is not set: run \`npx wrangler secret put ${name}\`.`);
  const named = new Map(secretNames(config).map((name) => [name, String(bindingOf(env, name))]));
  const tokenSecrets = new Map(tokenSecretNames(config).map((name) => [name, new TextEncoder().encode(named.get(name))]));
  for (const [name, key] of tokenSecrets) {
    if (key.length < TOKEN_KEY_BYTES)
      throw new SettingsFault(`${name} has ${key.length} bytes; the key of a token needs at least ${TOKEN_KEY_BYTES} (RFC 7518 §3.2).`);
  }
  const faults = accessFaults(config, named, (name) => bindingOf(env, name), dev);
  if (faults.length > 0) throw new ConfigFaults(faults.map((message) => ({ path: "", message })));
  return {
    config,
    retired: [],
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

/** What is wrong with secrets, at each place that names one. */
function faultsOf(raw: unknown, names: readonly string[], message: (name: string) => string): ConfigFaults {
  const faults = names.flatMap((name) => placesOf(raw, name).map((path): FoundFault => ({ path, message: message(name) })));
  return new ConfigFaults(inOrder(raw, faults));
}
