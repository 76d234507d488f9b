// Run after `npm install` has changed package-lock.json. A registry mirror may lack the binaries of platforms that are not its own; npm
// then leaves them out of the lockfile, and `npm ci` refuses it everywhere. This writes them in, by name and version alone, so that
// each platform fetches its own.

import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
const { "": root, ...packages } = lock.packages;

for (const [path, entry] of Object.entries({ ...packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (`node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages) continue;
    const os = /android|darwin|freebsd|linux|win32|windows|openharmony/.exec(name)?.[0].replace("windows", "win32");
    if (os === undefined) continue; // optional for another reason than the platform
    const cpu = /arm64|arm|x64|ia32|ppc64|riscv64|s390x|64$/
      .exec(name.split(os === "win32" ? /win32|windows/ : os)[1] ?? "")?.[0]
      .replace(/^64$/, "x64");
    packages[`node_modules/${name}`] = {
      version: version.replace(/^[\^~]/, ""),
      ...(cpu ? { cpu: [cpu] } : {}),
      ...(entry.dev ? { dev: true } : {}),
      ...(name.includes("musl") ? { libc: ["musl"] } : {}),
      optional: true,
      os: [os],
    };
  }
}
const sorted = Object.fromEntries(Object.entries(packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: { "": root, ...sorted } }, undefined, 2)}\n`);
