#!/usr/bin/env node
// The `limpet` command. The tools need Node 22.18 or newer (types are stripped as files load); where the machine's is older, the one that
// `npm ci` put beside us takes over. Signals are passed on, and the child ends when this process does, however that happens.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > 22 || (major === 22 && minor >= 18)) {
  await import("../src/cli/limpet.ts");
} else {
  const own = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));
  if (!existsSync(own)) {
    console.error(`Limpet is not set up yet: run \`npm ci\` in ${fileURLToPath(new URL("..", import.meta.url))}`);
    process.exit(1);
  }
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, LIMPET_PARENT_IPC: "1" },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
