// The border: a configuration from the user's hands (limpet.config.ts, a .json file, the admin API) is parsed here, once. `unknown` in,
// a complete readonly `Config` out, or every fault together with its path. Pure: the Worker's bundle and Node both import it.
// Its parts: config-schema (names and shapes) · config-limits (numbers) · config-texts (paths, hosts, URLs) · config-cross* (what needs
// two places) · config-resolve (defaults) · config-faults (order).

import * as v from "valibot";
import { poolFaults, regionFaults } from "./config-cross.ts";
import { routeFaults } from "./config-cross-routes.ts";
import { inOrder, shapeFault, type ConfigFault } from "./config-faults.ts";
import { resolveConfig } from "./config-resolve.ts";
import { configSchema } from "./config-schema.ts";
import { secretFaults } from "./config-cross-secrets.ts";
import type { Config, OriginHeaders } from "./config-types.ts";

export type { ConfigFault } from "./config-faults.ts";

/** What a user writes: of every name only what is built, all of it optional that has a default. */
export type ConfigInput = DeepReadonly<v.InferInput<typeof configSchema>>;

export type ParsedConfig = { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly faults: readonly ConfigFault[] };

/** Gives editors the names and their types; changes nothing. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

/** Checks an input and completes it. `dev`: http origins, no revision and short waits are allowed, and `expose` is on. */
export function parseConfig(input: unknown, { dev }: { readonly dev: boolean }): ParsedConfig {
  const shape = v.safeParse(configSchema, input);
  const faults = [
    ...(shape.issues ?? []).map(shapeFault),
    ...regionFaults(input, dev),
    ...poolFaults(input, dev),
    ...routeFaults(input, dev),
    ...secretFaults(input),
  ];
  return shape.success && faults.length === 0
    ? { ok: true, config: resolveConfig(shape.output, dev) }
    : { ok: false, faults: inOrder(input, faults) };
}

/** The names of the Worker secrets that hold the keys of tokens. */
export function tokenSecretNames({ routes }: Config): string[] {
  const names = routes.flatMap(({ session }) =>
    session.flatMap((source) => (source.kind === "jwt" && "secret" in source.keys ? [source.keys.secret] : [])),
  );
  return [...new Set(names)];
}

/** The names of all Worker secrets that the configuration speaks of, beside Limpet's own. */
export function secretNames(config: Config): string[] {
  const ofHeaders = (headers: OriginHeaders = {}): string[] =>
    Object.values(headers).flatMap((text) => (typeof text === "string" ? [] : [text.secret]));
  const ofPools = Object.values(config.pools).flatMap(({ headers, signature, origins }) => [
    ...ofHeaders(headers),
    ...(signature ? [signature.secret] : []),
    ...origins.flatMap((origin) => ofHeaders(origin.headers)),
  ]);
  return [...new Set([...tokenSecretNames(config), ...ofPools])];
}

/** The faults as a text for a person: their number, then a line each. */
export function formatFaults(faults: readonly ConfigFault[]): string {
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  const lines = faults.map(({ path, message }) => `  ${path === "" ? "" : `${path}: `}${message}`);
  return [`The configuration has ${count}:`, ...lines].join("\n");
}

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> }
    : T;
