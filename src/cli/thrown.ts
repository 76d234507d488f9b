// What a user's own file threw while it was loaded, as a sentence: what, and in which line. Anything can be thrown, `null` too.

import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

/** Where Node says it: at the head of the stack for a syntax error, in the first frame that is in a file for any other. */
const PLACE = /(?:^|at |\()((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^\n()]*?:\d+)(?::\d+)?\)?$/m;

const MISSING_IMPORT = /^Cannot find (?:package|module) '(.+?)'(?: imported from (.+))?/;

export function describeThrown(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `it throws ${inspect(thrown, { depth: 1 })}.`;
  const [, wanted, by] = MISSING_IMPORT.exec(thrown.message) ?? [];
  if (wanted !== undefined) return `"${wanted}", which ${by ?? "it"} imports, is not there. Install it, or correct the name.`;
  const place = placeOf(thrown);
  return place === undefined ? thrown.message : `${thrown.message} (${place})`;
}

/** `file:line`, unless the error comes from nobody's file but this command's. */
function placeOf({ stack }: Error): string | undefined {
  const [, place] = PLACE.exec(stack ?? "") ?? [];
  if (place === undefined || place.startsWith(new URL(".", import.meta.url).href)) return undefined;
  return place.startsWith("file://") ? fileURLToPath(place) : place;
}
