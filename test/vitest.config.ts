import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Real processes and a real runtime: few files at once on a small machine, and generous limits that only a hang reaches.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
