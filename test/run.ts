// `npm test`: everything, with its own set-up. Ends with a line "N passed, N failed" that counts what ran.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installChromium } from "./support/browser.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const hasBrowser = installChromium();
if (!hasBrowser && process.env["LIMPET_REQUIRE_BROWSER"] === "1") {
  console.error("LIMPET_REQUIRE_BROWSER is set, but there is no Chromium and it could not be installed.");
  console.log("0 passed, 1 failed");
  process.exit(1);
}
if (!hasBrowser) console.error("The browser test is skipped: there is no Chromium on the PATH (or name one in LIMPET_CHROMIUM).");

const report = join(mkdtempSync(join(tmpdir(), "limpet-tests-")), "report.json");
const args = [
  "run",
  "--config",
  "test/vitest.config.ts",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const { status } = spawnSync(join(root, "node_modules/.bin/vitest"), args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
}

const counts = JSON.parse(readFileSync(report, "utf8")) as Report;
// A file that fails outside its tests (a hook, an import) fails none of them, and still has failed.
const failed = counts.numFailedTests + (status !== 0 && counts.numFailedTests === 0 ? Math.max(1, counts.numFailedTestSuites) : 0);
console.log(`${counts.numPassedTests} passed, ${failed} failed${counts.numPendingTests > 0 ? `, ${counts.numPendingTests} skipped` : ""}`);
process.exit(status === 0 && failed === 0 && counts.numPassedTests > 0 ? 0 : 1);
