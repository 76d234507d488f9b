// Where origins hand sessions over: no visitor may ask there, however they spell it.

import type { Config, Route } from "./config-types.ts";

/** The hooks of each pool's routes, as `plainPath` writes them. */
export function hooksOf(config: Config): ReadonlyMap<string, ReadonlySet<string>> {
  const paths = Map.groupBy(
    config.routes.filter(({ resume }) => resume.mode === "handover"),
    ({ pool }) => pool,
  );
  const pathOf = ({ resume }: Route): string[] =>
    resume.mode === "handover" ? [plainPath(new URL(`http://origin${resume.handover.path}`).pathname)] : [];
  return new Map([...paths].map(([pool, routes]) => [pool, new Set(routes.flatMap(pathOf))]));
}

/** A path as the most lenient of origins may understand it: decoded, without dots, doubled or closing slashes, and without case. Without its query. */
export function plainPath(path: string): string {
  const decoded = (text: string): string => text.replaceAll(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(parseInt(code.slice(1), 16)));
  const [written = ""] = path.split("?");
  const slashes = decoded(written)
    .replaceAll("\\", "/")
    .replaceAll(/\/{2,}/g, "/");
  const { pathname } = new URL(`http://origin${slashes.replaceAll(/[?#]/g, "_")}`);
  return decoded(pathname).replace(/\/+$/, "").toLowerCase();
}
