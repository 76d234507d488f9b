// Who asks: the admin token that a request bears. In dev there is one more, `dev`.

import { parseTokens, type AdminToken } from "../core/admin-tokens.ts";
import { SettingsFault, type Env } from "../platform/env.ts";

const DEV_TOKEN: AdminToken = { name: "dev", scopes: [{ kind: "read" }, { kind: "operate" }], token: "dev" };

/** Nobody; `wrong`: a token was shown, and it is none. */
export type Asker = AdminToken | "nobody" | "wrong";

/** Digests are compared, in constant time, and always with every known token. Throws `SettingsFault` where an entry is malformed. */
export async function findToken(
  { LIMPET_ADMIN_TOKENS }: Pick<Env, "LIMPET_ADMIN_TOKENS">,
  dev: boolean,
  authorization: string | undefined,
): Promise<Asker> {
  const { tokens, faults } = parseTokens(LIMPET_ADMIN_TOKENS ?? "");
  if (faults.length > 0) throw new SettingsFault(`LIMPET_ADMIN_TOKENS has ${faults.length} malformed: ${faults.join("; ")}`);
  if (authorization === undefined) return "nobody";
  const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization)?.[1];
  if (given === undefined) return "wrong";
  const givenDigest = await digest(given);
  let found: Asker = "wrong";
  for (const known of dev ? [...tokens, DEV_TOKEN] : tokens) {
    if (crypto.subtle.timingSafeEqual(await digest(known.token), givenDigest)) found = known;
  }
  return found;
}

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}
