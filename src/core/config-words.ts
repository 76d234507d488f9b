// How a fault of the configuration speaks: what was found, what is allowed, what was probably meant. Bounded, whatever the input is,
// and never a secret: credentials in a URL are left out.

const SHOWN_LENGTH = 60;
const LISTED_COUNT = 12;

/** A value in a few words. Never calls the value's own methods. */
export function found(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "string":
      return quoted(value);
    case "number":
    case "boolean":
      return String(value);
    case "bigint":
    case "symbol":
    case "function":
      return `a ${typeof value}`;
    default:
      return value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
  }
}

/** A text in quotes, on one line, cut where it is long. What may be credentials goes first: a cut in them would hide the "@". */
export function quoted(text: string): string {
  const shown = text.replace(/\/\/.*@/s, "//…@");
  return JSON.stringify(shown.length > SHOWN_LENGTH ? `${shown.slice(0, SHOWN_LENGTH)}…` : shown);
}

/** `"a", "b" or "c"`; of many the first few. */
export function anyOf(words: readonly string[]): string {
  const shown = words.slice(0, LISTED_COUNT).map(quoted);
  if (words.length > LISTED_COUNT) return `${shown.join(", ")} and ${words.length - LISTED_COUNT} more`;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} or ${shown.at(-1)}`;
}

/** `; did you mean "…"?` where a known word is near, else nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const near = nearestWord(word, known);
  return near === undefined ? "" : `; did you mean ${quoted(near)}?`;
}

/** The known word with the fewest edits, one for each three letters at most; of equals the first. */
function nearestWord(word: string, known: Iterable<string>): string | undefined {
  if (word.length > SHOWN_LENGTH) return undefined;
  let best: { word: string; edits: number } | undefined;
  for (const candidate of known) {
    const most = Math.max(1, Math.min(3, Math.floor(candidate.length / 3)));
    if (candidate === word || Math.abs(candidate.length - word.length) > most) continue;
    const edits = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (edits <= most && (!best || edits < best.edits)) best = { word: candidate, edits };
  }
  return best?.word;
}

/** Edits between two words, of which a swap of two neighbours is one: optimal string alignment, two rows remembered. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swaps ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
