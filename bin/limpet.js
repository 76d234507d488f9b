#!/usr/bin/env node
// The `limpet` command: a watchman in front of src/cli. What it starts runs in a child, which ends when this process does, however that
// happens (the runtime below would outlive a SIGKILL). The child's Node is 22.18 or newer, as types are stripped while files load: where
// the machine's is older, it is the one that `npm ci` put beside us.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const own = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));
if (!existsSync(own)) {
  console.error(`Limpet is not set up yet: run \`npm ci\` in ${fileURLToPath(new URL("..", import.meta.url))}`);
  process.exit(1);
}
const node = major > 22 || (major === 22 && minor >= 18) ? process.execPath : own;
const child = spawn(node, [fileURLToPath(new URL("../src/cli/limpet.ts", import.meta.url)), ...process.argv.slice(2)], {
  stdio: ["inherit", "inherit", "inherit", "ipc"],
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
