// What can be said of the code without running it: types, lint, and that a deployment can be made of it, within its budget.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { ADMIN_FAILURES_PER_MINUTE, COMPATIBILITY_DATE, NEW_SESSIONS_PER_MINUTE } from "../../src/cli/router.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const LIMIT_MS = 120_000;

function run(command: string, ...args: string[]): { status: number | null; output: string } {
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(join(root, "node_modules/.bin", command), args, { cwd: root, encoding: "utf8", env });
  return { status, output: stdout + stderr };
}

test.each([".", "examples/collab", "examples/verify-signature", "examples/hono", "src/pages", "src/cli", "test", "test/platform", "bench"])(
  "types are right in %s",
  { timeout: LIMIT_MS },
  (project) => {
    const { status, output } = run("tsc", "--noEmit", "-p", project);
    expect(output).toBe("");
    expect(status).toBe(0);
  },
);

test("the linter has nothing to say: no promise left floating, no any, no non-null assertion", { timeout: LIMIT_MS }, () => {
  const { status, output } = run("oxlint", "--type-aware", "--deny-warnings");
  expect(status, output).toBe(0);
});

test("the code is formatted", { timeout: LIMIT_MS }, () => {
  const { status, output } = run("prettier", "--check", "--log-level=warn", "src", "test", "bench", "examples", "bin", "limpet.config.ts");
  expect(status, output).toBe(0);
});

/** A Worker may have 3 MB compressed on the free plan; a start-up pays for each kB. Re-homing and what runs a fleet are most of it. */
const BUDGET_BYTES = 176 * 1024;

test("the local runtime and a deployment have one compatibility date", () => {
  expect(readFileSync(join(root, "wrangler.toml"), "utf8")).toContain(`compatibility_date = "${COMPATIBILITY_DATE}"`);
});

test("the local runtime and a deployment count new sessions alike", () => {
  expect(readFileSync(join(root, "wrangler.toml"), "utf8")).toContain(`simple = { limit = ${NEW_SESSIONS_PER_MINUTE}, period = 60 }`);
});

test("the local runtime, a deployment and an isolate count wrong admin tokens alike", () => {
  expect(readFileSync(join(root, "wrangler.toml"), "utf8")).toContain(`simple = { limit = ${ADMIN_FAILURES_PER_MINUTE}, period = 60 }`);
  expect(readFileSync(join(root, "src/http/failures.ts"), "utf8")).toContain(`FAILURES_PER_MINUTE = ${ADMIN_FAILURES_PER_MINUTE};`);
});

test("wrangler can make a deployment of it, within the bundle's budget", { timeout: LIMIT_MS }, () => {
  const folder = mkdtempSync(join(tmpdir(), "limpet-deploy-"));
  const { status, output } = run("wrangler", "deploy", "--dry-run", "--outdir", folder);
  expect(status, output).toBe(0);
  for (const binding of [
    "env.RING (RingObject)",
    "env.CARRIER (CarrierObject)",
    "env.CONTROL (ControlObject)",
    "env.AFFINITY",
    "env.ASSETS",
    "env.NEW_SESSIONS",
    "env.ADMIN_FAILURES",
  ])
    expect(output).toContain(binding);
  expect(gzipSync(readFileSync(join(folder, "index.js"))).length).toBeLessThan(BUDGET_BYTES);
});
