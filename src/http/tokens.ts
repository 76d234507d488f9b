// Admin tokens: `name:scope+scope:token`, comma-separated, in LIMPET_ADMIN_TOKENS; in dev there is one more, `dev`.

import type { Env } from "../platform/env.ts";

export interface AdminToken {
  readonly name: string;
  readonly scopes: readonly string[];
}

const DEV_TOKEN = "dev:read+operate:dev";

/** The token that an `Authorization` header bears. Digests are compared, in constant time, and always with every known token. */
export async function findToken(env: Env, dev: boolean, authorization: string | undefined): Promise<AdminToken | undefined> {
  const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) return undefined;
  const entries = [...(env.LIMPET_ADMIN_TOKENS ?? "").split(","), ...(dev ? [DEV_TOKEN] : [])];
  const givenDigest = await digest(given);
  let found: AdminToken | undefined;
  for (const entry of entries) {
    const [, name, scopes, token] = /^\s*([^:]+):([^:]*):(\S+)\s*$/.exec(entry) ?? [];
    if (name === undefined || scopes === undefined || token === undefined) continue;
    if (crypto.subtle.timingSafeEqual(await digest(token), givenDigest)) found = { name, scopes: scopes.split("+") };
  }
  return found;
}

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}
