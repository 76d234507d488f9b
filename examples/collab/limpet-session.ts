// Reads the session key out of the `Limpet` field, the one header in which the router speaks to an origin (RFC 9651 dictionary).

import { DisplayString, parseDictionary } from "structured-headers";

/** The session key: a String, or a Display String where it is not ASCII. `undefined` for no field, a broken one, or one without a session. */
export function sessionOf(field: string | undefined): string | undefined {
  if (field === undefined) return undefined;
  try {
    const value = parseDictionary(field).get("session")?.[0];
    if (value instanceof DisplayString) return value.toString();
    return typeof value === "string" ? value : undefined;
  } catch {
    // Not a dictionary: whoever sent it is not the router.
    return undefined;
  }
}
