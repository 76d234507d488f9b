// The page of each problem, which its `type` leads to: what it means and what can be done. Told to anybody, on any host: it says nothing of this
// router.

import { html } from "hono/html";
import { PROBLEMS, PROBLEMS_PATH, type ProblemCode } from "../core/problem.ts";

/** The page of the code in a path; `undefined` for any other path. */
export async function problemPage(pathname: string): Promise<Response | undefined> {
  if (!pathname.startsWith(PROBLEMS_PATH)) return undefined;
  const code = pathname.slice(PROBLEMS_PATH.length);
  return isCode(code) ? respond(await pageOf(code)) : undefined;
}

function isCode(text: string): text is ProblemCode {
  return Object.hasOwn(PROBLEMS, text);
}

function pageOf(code: ProblemCode) {
  const { status, title, help } = PROBLEMS[code];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        <style>
          body {
            font:
              1.05rem/1.6 system-ui,
              sans-serif;
            max-width: 40rem;
            margin: 4rem auto;
            padding: 0 1rem;
            color-scheme: light dark;
          }
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p><code>${code}</code>, status ${status}</p>
          <p>${withCode(help)}</p>
        </main>
      </body>
    </html>`;
}

/** Names that stand between backticks, as such. */
function withCode(text: string) {
  return text.split("`").map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`));
}

function respond(page: string | Promise<string>): Promise<Response> {
  return Promise.resolve(page).then(
    (text) =>
      new Response(text, {
        headers: {
          "content-type": "text/html; charset=utf-8",
          "cache-control": "public, max-age=3600",
          "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        },
      }),
  );
}
