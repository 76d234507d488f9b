// Durable Object location hints: where Cloudflare creates an object on its first access, and our coordinates for each, so that a region
// named after a hint needs none of its own. Names: Cloudflare's documentation and workers-types, November 2026.

export interface LocationHint {
  /** Degrees: a large city or exchange in the middle of what the hint covers. Only compared with each other, never shown as a promise. */
  readonly latitude: number;
  readonly longitude: number;
  /** As `cf.continent` says it. */
  readonly continent: "AF" | "AS" | "EU" | "NA" | "OC" | "SA";
}

export const locationHints: Readonly<Record<string, LocationHint>> = {
  wnam: { latitude: 37.3, longitude: -121.9, continent: "NA" }, // San José
  enam: { latitude: 39.0, longitude: -77.5, continent: "NA" }, // Ashburn
  sam: { latitude: -23.5, longitude: -46.6, continent: "SA" }, // São Paulo
  weur: { latitude: 50.1, longitude: 4.9, continent: "EU" }, // between London, Paris, Amsterdam and Frankfurt
  eeur: { latitude: 52.2, longitude: 21.0, continent: "EU" }, // Warsaw
  apac: { latitude: 22.3, longitude: 114.2, continent: "AS" }, // Hong Kong
  "apac-ne": { latitude: 35.7, longitude: 139.7, continent: "AS" }, // Tokyo
  "apac-se": { latitude: 1.3, longitude: 103.8, continent: "AS" }, // Singapore
  oc: { latitude: -33.9, longitude: 151.2, continent: "OC" }, // Sydney
  afr: { latitude: -26.2, longitude: 28.0, continent: "AF" }, // Johannesburg
  me: { latitude: 25.2, longitude: 55.3, continent: "AS" }, // Dubai
};

/** The hint of a name; `undefined` for one that is none, `constructor` and its kind included. */
export function locationHint(name: string | undefined): LocationHint | undefined {
  return name !== undefined && Object.hasOwn(locationHints, name) ? locationHints[name] : undefined;
}
