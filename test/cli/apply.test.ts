// `limpet apply`, `undo` and `config` against a real router, as a script calls them and as a person reads them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { changesText, plannedText } from "../../src/cli/apply.ts";
import { plain } from "../../src/cli/text.ts";
import { LiveStack } from "../support/live-stack.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));
let stack: LiveStack;
let folder: string;

beforeAll(async () => {
  stack = await LiveStack.start({ ids: ["weur-1", "weur-2"] });
  folder = await mkdtemp(join(tmpdir(), "limpet-cli-apply-"));
});
afterAll(async () => {
  await stack.stop();
  await rm(folder, { recursive: true, force: true });
});

async function limpet(...args: readonly string[]): Promise<{ code: number; out: string; complaint: string }> {
  const child = spawn(process.execPath, [LIMPET, ...args, "--router", stack.router.url], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, complaint] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const [code] = (await once(child, "close")) as [number];
  return { code, out, complaint };
}

test("the configuration is pulled, changed, looked at, applied, and undone", { timeout: 60_000 }, async () => {
  const file = join(folder, "limpet.config.json");
  expect(await limpet("config", "--out", file)).toMatchObject({ code: 0, out: `Revision 1 (bundle) is in ${file}.\n` });
  const { configRevision: _, ...config } = JSON.parse(await readFile(file, "utf8")) as { configRevision: number; pools: { live: object } };
  await writeFile(file, JSON.stringify({ ...config, pools: { live: { ...config.pools.live, hold: false } } }));

  const looked = await limpet("apply", file, "--dry-run");
  expect([looked.code, looked.complaint]).toEqual([0, ""]);
  expect(looked.out).toBe("Revision 1 → 2\n  + pools.live.hold: false\n\nNo key moves.\n");

  expect(await limpet("apply", file)).toMatchObject({ code: 1, complaint: "Nobody can be asked here: look with --dry-run, then give --yes.\n" });
  const applied = await limpet("apply", file, "--yes", "--why", "a test");
  expect([applied.code, applied.complaint]).toEqual([0, ""]);
  expect(applied.out).toMatch(/Revision 2 holds: every ring has it/);

  expect(await limpet("apply", file, "--yes")).toMatchObject({ code: 0, out: "Nothing is different from revision 2, which holds.\n" });
  expect(await limpet("undo", "--yes", "--json")).toMatchObject({ code: 0, out: '{"revision":3}\n' });
  const pulled = await limpet("config", "--json");
  expect(JSON.parse(pulled.out)).toMatchObject({
    revision: 3,
    source: "applied",
    revisions: [{ revision: 3 }, { revision: 2, why: "a test" }, { revision: 1 }],
  });
});

test("faults are told as sentences, and nothing changes", { timeout: 30_000 }, async () => {
  const file = join(folder, "faulty.json");
  await writeFile(file, JSON.stringify({ defaultRegion: "nowhere", regions: { weur: {} }, pools: {}, routes: [] }));
  const { code, complaint } = await limpet("apply", file, "--yes");
  expect([code, complaint]).toEqual([1, expect.stringContaining("defaultRegion")]);
  expect((await limpet("apply", join(folder, "none.json"), "--yes")).complaint).toMatch(/there is no such file/);
});

test("changes are shown a line each, without what a terminal would obey, and not all of thousands", () => {
  const changes = [
    { path: "expose", what: "added" as const, after: true },
    { path: "pools.web.origins.a", what: "removed" as const, before: { url: "https://a\u001B[2J" } },
    { path: "pools.web.hold", what: "changed" as const, before: true, after: false },
  ];
  expect(changesText(changes, plain)).toBe(
    '  + expose: true\n  - pools.web.origins.a: {"url":"https://a\\u001b[2J"}\n  ~ pools.web.hold: true → false',
  );
  const many = Array.from({ length: 250 }, (_, n) => ({ path: `p${n}`, what: "removed" as const, before: n }));
  expect(changesText(many, plain).split("\n").at(-1)).toBe("  and 50 more changes");
});

test("what moves is told for each ring, and which of them does not say", () => {
  const changes = [{ path: "expose", what: "added" as const, after: true }];
  const plan = [
    { pool: "web", region: "weur", movedShare: 0.251, optimumShare: 0.25 },
    { pool: "web", region: "enam", unreachable: true as const },
  ];
  expect(plannedText({ revision: 8, changes, plan }, 7, plain)).toBe(
    "Revision 7 → 8\n  + expose: true\n\nWhat moves:\n  web@weur: 25.1 % of its keys move, of at least 25.0 %\n  web@enam: it does not answer",
  );
});
