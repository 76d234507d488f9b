// Every command that the pages show can be typed: each is read by the program's own definition. What the runbooks promise is there.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { typed } from "../support/typed.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = [
  "README.md",
  "examples/prestop/README.md",
  ...readdirSync(`${ROOT}docs`).flatMap((name) => (name.endsWith(".md") ? `docs/${name}` : [])),
];

/** In blocks and in lines of text. */
function commandsOf(page: string): string[] {
  return [...readFileSync(ROOT + page, "utf8").matchAll(/npx limpet ([^`\n]*)/g)].map(([, line = ""]) => line.replace(/ #.*/, "").trim());
}

/** As a shell splits them: blanks, and single quotes. */
const words = (line: string): string[] => [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "");

const shown = PAGES.flatMap((page) => commandsOf(page).map((line) => [page, line] as const));

test.each(shown)("%s: npx limpet %s", async (_, line) => {
  expect(await typed(...words(line))).toBe("");
});

describe("docs/operate.md", () => {
  const text = readFileSync(`${ROOT}docs/operate.md`, "utf8");
  const sections = new Map(text.split(/^#{2,3} /m).map((part) => [part.slice(0, part.indexOf("\n")), part]));

  test.each([
    "An origin fails",
    "A region fails",
    "Rolling deploy",
    "Scale-out",
    "Scale-in",
    "A hot session",
    "KV or a Durable Object is in trouble",
    "Key rotation",
    "Upgrade",
    "Rollback",
  ])("%s: what to type, what is seen, how to take it back", (title) => {
    const runbook = sections.get(title) ?? "";
    expect(runbook).toMatch(/npx (limpet|wrangler) /);
    expect(runbook.toLowerCase()).toContain("undo");
    expect(runbook).toMatch(/[Yy]ou see|\*\*Look\*\*|`unreachable`/);
  });

  test("its links lead somewhere", () => {
    const anchors = new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-"))); // prettier-ignore
    for (const [, anchor = ""] of text.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors).toContain(anchor);
  });

  test("every command of the program stands there", async () => {
    const help = await typed("--help");
    for (const [, name = ""] of help.matchAll(/^ {2}([a-z]+)(?: [<[]| {2})/gm)) {
      if (name !== "limpet" && !["dev", "start"].includes(name)) expect(text, name).toMatch(new RegExp(`[\`\\s]${name} |\`${name}`));
    }
  });

  test("its alarms ask for metrics that there are", () => {
    const asked = new Set([...(sections.get("Three alarms worth having") ?? "").matchAll(/limpet_\w+/g)].map(([name]) => name));
    expect(asked.size).toBeGreaterThan(4);
    const source = readFileSync(`${ROOT}src/http/metrics.ts`, "utf8");
    for (const name of asked) expect(source).toContain(`${name}: [`);
  });
});
