// Where a visitor may come from, for `explain --from`: a large city's airport, a region of Cloudflare's location hints, or degrees.

import { InvalidArgumentError } from "commander";
import { locationHint } from "../core/hints.ts";

/** What `request.cf` says of a visitor's place. */
export interface VisitorCf {
  readonly latitude: string;
  readonly longitude: string;
  readonly continent?: string;
  readonly colo?: string;
}

type Continent = "AF" | "AS" | "EU" | "NA" | "OC" | "SA";

/** Cities of several million visitors each, by the code that Cloudflare names a data centre with. Degrees of the airport, to a tenth. */
const AIRPORTS: Readonly<Record<string, readonly [latitude: number, longitude: number, continent: Continent]>> = {
  AMS: [52.3, 4.8, "EU"],
  ARN: [59.7, 17.9, "EU"],
  ATL: [33.6, -84.4, "NA"],
  BOM: [19.1, 72.9, "AS"],
  CAI: [30.1, 31.4, "AF"],
  CDG: [49.0, 2.5, "EU"],
  CPT: [-34.0, 18.6, "AF"],
  DEL: [28.6, 77.1, "AS"],
  DFW: [32.9, -97.0, "NA"],
  DUB: [53.4, -6.3, "EU"],
  DXB: [25.3, 55.4, "AS"],
  EWR: [40.7, -74.2, "NA"],
  EZE: [-34.8, -58.5, "SA"],
  FRA: [50.0, 8.6, "EU"],
  GRU: [-23.4, -46.5, "SA"],
  HKG: [22.3, 113.9, "AS"],
  IAD: [38.9, -77.5, "NA"],
  IST: [41.3, 28.7, "EU"],
  JFK: [40.6, -73.8, "NA"],
  JNB: [-26.1, 28.2, "AF"],
  KIX: [34.4, 135.2, "AS"],
  LAX: [33.9, -118.4, "NA"],
  LHR: [51.5, -0.5, "EU"],
  LOS: [6.6, 3.3, "AF"],
  MAD: [40.5, -3.6, "EU"],
  MEL: [-37.7, 144.8, "OC"],
  MEX: [19.4, -99.1, "NA"],
  MIA: [25.8, -80.3, "NA"],
  NBO: [-1.3, 36.9, "AF"],
  NRT: [35.8, 140.4, "AS"],
  ORD: [42.0, -87.9, "NA"],
  SCL: [-33.4, -70.8, "SA"],
  SEA: [47.4, -122.3, "NA"],
  SIN: [1.4, 104.0, "AS"],
  SJC: [37.4, -121.9, "NA"],
  SYD: [-33.9, 151.2, "OC"],
  WAW: [52.2, 21.0, "EU"],
  YYZ: [43.7, -79.6, "NA"],
};

export function place(text: string): VisitorCf {
  const airport = Object.hasOwn(AIRPORTS, text.toUpperCase()) ? AIRPORTS[text.toUpperCase()] : undefined;
  if (airport) {
    const [latitude, longitude, continent] = airport;
    return { latitude: String(latitude), longitude: String(longitude), continent, colo: text.toUpperCase() };
  }
  const hint = locationHint(text.toLowerCase());
  if (hint) return { latitude: String(hint.latitude), longitude: String(hint.longitude), continent: hint.continent };
  const [, latitude, longitude] = /^(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (latitude !== undefined && longitude !== undefined && Math.abs(Number(latitude)) <= 90 && Math.abs(Number(longitude)) <= 180)
    return { latitude, longitude };
  throw new InvalidArgumentError(
    `it is an airport (${Object.keys(AIRPORTS).slice(0, 4).join(", ")} …), a location hint (weur, enam …), or latitude,longitude (51.5,-0.1).`,
  );
}
