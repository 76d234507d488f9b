// What a fresh clone needs before its first command: the packages of package-lock.json, once for each of its contents.
// Runs on any Node from 20 on, with nothing installed.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const marker = `${root}/node_modules/.limpet-setup`;
const wanted = createHash("sha256")
  .update(readFileSync(`${root}/package-lock.json`))
  .digest("hex");

if (markerText() !== wanted) {
  console.error("Setting up: installing packages (once; about half a minute) …");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status, error } = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) {
    console.error(`The packages could not be installed${error ? ` (${error.message})` : ""}. Check the network and run \`npm ci\` to see why.`);
    process.exit(1);
  }
  writeFileSync(marker, wanted);
}

function markerText() {
  try {
    return readFileSync(marker, "utf8");
  } catch {
    return undefined; // never set up
  }
}
