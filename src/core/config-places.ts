// Where in a configuration a text stands: faults of what it names (secrets, bindings) are told with their paths.

/** The paths of every value that is this text, in the order of the input. Of what was checked already, so that its depth is bounded. */
export function placesOf(input: unknown, text: string, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (input === text) return [path];
  if (Array.isArray(input)) return input.flatMap((each, index) => placesOf(each, text, [...path, index]));
  if (typeof input !== "object" || input === null) return [];
  return Object.entries(input).flatMap(([name, each]) => placesOf(each, text, [...path, name]));
}
