// Whether a GraphQL request certainly is a subscription, and may be begun again: each operation of its document is one. No parser: it is
// enough to know where definitions begin. A document that breaks off, is persisted elsewhere or very long is none, certainly.

/** Characters of a document that are looked at. */
const DOCUMENT_MAX = 65_536;

/** Block strings, strings and comments, which may hold anything; brackets; names. Everything between them means nothing here. */
const TOKENS = /"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*"|#[^\n\r]*|[{}()[\]]|[A-Z_a-z]\w*/g;

export function isSubscription(payload: unknown): boolean {
  const query: unknown = typeof payload === "object" && payload !== null && "query" in payload ? payload.query : undefined;
  if (typeof query !== "string" || query.length > DOCUMENT_MAX) return false;
  const kinds = definitionsOf(query);
  return kinds.includes("subscription") && kinds.every((kind) => kind === "subscription" || kind === "fragment");
}

/** The first word of each definition; the shorthand of a query is `{`. Ends with "" for a document that breaks off. */
function definitionsOf(query: string): string[] {
  const kinds: string[] = [];
  let depth = 0;
  let within = false;
  for (const [token] of query.matchAll(TOKENS)) {
    if (token.startsWith('"') || token.startsWith("#")) continue;
    const opens = "{([".includes(token);
    const closes = "})]".includes(token);
    if (!within && !closes) {
      kinds.push(token);
      within = true;
    }
    if (opens) depth++;
    if (closes) depth--;
    if (token === "}" && depth === 0) within = false;
  }
  return within || depth !== 0 ? [...kinds, ""] : kinds;
}
