// A real Chromium for the browser test: LIMPET_CHROMIUM or one on the PATH; where there is none, Debian's is installed if we are root.

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium, type BrowserContext } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The executable, or `undefined` where there is none and none can be installed. */
export function findChromium(): string | undefined {
  return process.env["LIMPET_CHROMIUM"] ?? onPath();
}

/** Installs Debian's where that is possible; says whether there is one now. */
export function installChromium(): boolean {
  if (findChromium() !== undefined) return true;
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) return false;
  console.error("Installing Debian's Chromium for the browser test (once; about a minute) …");
  const apt = (...args: string[]): boolean =>
    spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0;
  return apt("update", "-qq") && apt("install", "-y", "-qq", "--no-install-recommends", "chromium") && findChromium() !== undefined;
}

export async function openBrowser(executablePath: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(await mkdtemp(join(tmpdir(), "limpet-browser-")), {
    executablePath,
    headless: true,
    bypassCSP: true, // our pages allow no eval, which the driver's polling uses
    viewport: { width: 1280, height: 860 },
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

function onPath(): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // not there
      }
    }
  }
  return undefined;
}
