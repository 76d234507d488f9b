// The built pages (dashboard, page to try): where they are, and made anew when their sources are.

import { buildPages } from "../pages/build.ts";
import { fileURLToPath } from "node:url";

const PAGES_DIR = fileURLToPath(new URL("../../dist/pages", import.meta.url));

export async function builtPages(): Promise<string> {
  await buildPages(PAGES_DIR);
  return PAGES_DIR;
}
