// The page to try it, as a person sees it: `npm start`'s stack in a real browser, two windows, and a server that is killed by the button.
// LIMPET_SCREENSHOTS=1 writes what it looks like to docs/images.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findChromium, openBrowser } from "../support/browser.ts";
import { eventually } from "../support/stack.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));
const IMAGES = fileURLToPath(new URL("../../docs/images", import.meta.url));
const executable = findChromium();

let stack: ChildProcess;
let browser: BrowserContext;
let url: string;

beforeAll(async () => {
  if (executable === undefined) return;
  const port = await freePort();
  stack = spawn(process.execPath, [LIMPET, "start", "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  stack.stdout?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  url = `http://127.0.0.1:${port}/`;
  await eventually("the stack is ready", () => printed.includes("Try it") || (stack.exitCode !== null && Promise.reject(new Error(printed))), 50_000);
  browser = await openBrowser(executable);
});

afterAll(async () => {
  await browser?.close();
  if (!stack || stack.exitCode !== null) return;
  const exit = once(stack, "exit");
  stack.kill("SIGINT");
  expect((await exit)[0]).toBe(0);
});

const textOf = (page: Page): Promise<string> => page.evaluate(() => (window as unknown as { limpetTry: { text(): string } }).limpetTry.text());
const read = async (page: Page, id: string): Promise<string> => (await page.getByTestId(id).first().textContent())?.trim() ?? "";

async function type(page: Page, words: string): Promise<void> {
  await page.locator("[data-testid=editor] .cm-content").click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type(words, { delay: 5 });
}

async function look(page: Page, name: string): Promise<void> {
  if (process.env["LIMPET_SCREENSHOTS"]) await page.screenshot({ path: `${IMAGES}/${name}.png` });
}

test.skipIf(executable === undefined)(
  "two windows type into one document, its server is killed by the button, and both type on",
  { timeout: 90_000 },
  async () => {
    const anna = await browser.newPage();
    const ben = await browser.newPage();
    const faults: string[] = [];
    for (const page of [anna, ben]) page.on("pageerror", (error) => faults.push(String(error)));
    await anna.goto(`${url}?doc=meeting&name=Anna`);
    await ben.goto(`${url}?doc=meeting&name=Ben`);
    for (const page of [anna, ben]) await eventually("the page is connected", async () => (await read(page, "conn-status")).includes("connected"));

    await type(anna, "Agenda for Thursday: ");
    await eventually("Ben sees what Anna typed", async () => (await textOf(ben)).includes("Agenda for Thursday: "));
    await type(ben, "first the tides, ");
    const before = await eventually("the page says who serves", async () => {
      const origin = await read(anna, "doc-origin");
      return /^(weur|enam)-\d$/.test(origin) && origin;
    });
    await look(anna, "try-before");

    await anna.getByTestId("kill").first().click();
    await type(ben, "then the rocks, ");
    await type(anna, "then the limpets.");
    await eventually("another server holds the document", async () => {
      const origin = await read(anna, "doc-origin");
      return /^(weur|enam)-\d$/.test(origin) && origin !== before;
    });
    await eventually("both windows show one text with every edit", async () => {
      const [one, two] = [await textOf(anna), await textOf(ben)];
      return (
        one === two && ["Agenda for Thursday: ", "first the tides, ", "then the rocks, ", "then the limpets."].every((words) => one.includes(words))
      );
    });
    for (const page of [anna, ben]) expect(await read(page, "conn-lost")).toContain("0 times");
    await look(anna, "try-after-kill");

    await anna.getByTestId("revive").first().click();
    await anna.getByTestId("count").click();
    await eventually("the own session is counted", async () => (await read(anna, "counter")).includes("1"));

    const dashboard = await browser.newPage();
    await dashboard.goto(`${url}_limpet/`);
    await eventually("the dashboard shows all origins", async () => {
      const shown = (await dashboard.textContent("body")) ?? "";
      return ["weur-1", "weur-2", "enam-1", "enam-2"].every((id) => shown.includes(id));
    });
    await look(dashboard, "dashboard");
    expect(faults).toEqual([]);
  },
);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
