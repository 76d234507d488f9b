// A pool gets a region while WebSockets are open: nobody's socket closes, whoever comes to an open document joins it where it is, and what is new is in
// the new region too.

import { afterEach, beforeEach, expect, test } from "vitest";
import { Applying, withPool, type RawConfig } from "../support/applying.ts";
import { LiveStack, names } from "../support/live-stack.ts";
import { LiveOrigin } from "../support/live-origin.ts";
import { eventually } from "../support/stack.ts";

const ABROAD = ["enam-1", "enam-2"];
const DOCS = names("doc-", 16);

let stack: LiveStack;
let applying: Applying;
let abroad: LiveOrigin[];

beforeEach(async () => {
  stack = await LiveStack.start({
    ids: ["weur-1", "weur-2"],
    regions: { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } },
    route: { home: "session" },
  });
  abroad = ABROAD.map((id) => new LiveOrigin(id, stack.journal));
  await Promise.all(abroad.map((origin) => origin.start()));
  applying = new Applying(() => stack.router.url);
});
afterEach(async () => {
  await stack.stop();
  await Promise.all(abroad.map((origin) => origin.kill()));
});

const isAbroad = (origin: string | undefined): boolean => origin?.startsWith("enam") === true;
const legOf = (doc: string): string | undefined =>
  [...stack.origins, ...abroad].flatMap(({ legs }) => legs.filter((leg) => leg.session === doc)).toSorted((a, b) => b.openedAtMs - a.openedAtMs)[0]
    ?.origin;

/** Where a plain request of a document goes. */
async function servedBy(doc: string): Promise<string> {
  const response = await fetch(`${stack.router.url}/live/${doc}`);
  await response.body?.cancel();
  return /origin="([^"]+)"/.exec(response.headers.get("limpet") ?? "")?.[1] ?? "nobody";
}

test("a region is added, and leaves again", async () => {
  const first = await stack.joinAll(DOCS);
  const before = new Map(DOCS.map((doc) => [doc, legOf(doc)]));
  const put = abroad.map(({ id, url }) => ({ id, region: "enam", url }));
  await applying.apply((config: RawConfig) => withPool(config, "live", { origins: [...(config.pools["live"]?.origins ?? []), ...put] }));
  const fresh = names("new-", 60);
  await eventually("new documents are in the new region too", async () => {
    const doc = fresh.pop();
    if (doc === undefined) throw new Error("none of them is");
    const talker = await stack.join(doc);
    return isAbroad(legOf(doc)) && talker.isOpen;
  });
  const second = await Promise.all(DOCS.map((doc) => stack.join(doc, "b")));
  expect(DOCS.map((doc) => legOf(doc))).toEqual(DOCS.map((doc) => before.get(doc)));
  expect((await stack.ring()).sessions).toBeGreaterThanOrEqual(DOCS.length);
  await eventually("plain requests go to where each is live", async () => {
    const served = await Promise.all(DOCS.map((doc) => servedBy(doc)));
    return served.every((origin, index) => origin === before.get(DOCS[index] ?? ""));
  });
  for (const talker of [...first, ...second]) await talker.expectWhole();
  expect([...first, ...second].every((talker) => talker.isOpen)).toBe(true);
  stack.expectOneOwner();

  for (const talker of [...first, ...second]) talker.leave();
  await eventually("of the documents that were closed some are at home in the new region", async () =>
    (await Promise.all(DOCS.map((doc) => servedBy(doc)))).some(isAbroad),
  );

  const there = await stack.join(await homeAbroad());
  await applying.apply((config: RawConfig) =>
    withPool(config, "live", { origins: (config.pools["live"]?.origins ?? []).filter(({ id }) => !ABROAD.includes(id)) }),
  );
  expect((await applying.config()).retired).toEqual([{ pool: "live", region: "enam" }]);
  await eventually("it has left the region's origins", async () => legOf(there.session)?.startsWith("weur") === true, 20_000);
  await there.expectWhole();
  expect(there.isOpen).toBe(true);
  stack.expectOneOwner();
});

async function homeAbroad(): Promise<string> {
  for (const doc of names("there-", 60)) if (isAbroad(await servedBy(doc))) return doc;
  throw new Error("no document is at home there");
}
