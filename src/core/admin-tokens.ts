// Admin tokens as they are written in LIMPET_ADMIN_TOKENS: `name:scope+scope:token`, comma-separated. What a fault says never repeats a token.

export type Scope =
  | { readonly kind: "read" | "operate" | "wake" }
  /** For origins and those who deploy them: one id of a pool, or all that begin with a prefix, which ends with `-`. */
  | { readonly kind: "register"; readonly pool: string; readonly id: string };

export interface AdminToken {
  /** Stands in the audit. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly token: string;
}

export interface ParsedTokens {
  readonly tokens: readonly AdminToken[];
  /** A sentence for each entry that is none. */
  readonly faults: readonly string[];
}

/** The audit uses them for what no token did. */
const RESERVED: ReadonlySet<string> = new Set(["limpet", "config", "origin", "region", "control"]);

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const WORD = "(?:read|operate|wake|register:[a-z0-9-]{1,32}/[a-z0-9-]{1,32})";
const REST = new RegExp(`^(${WORD}(?:\\+${WORD})*):([\\x21-\\x7e]{1,512})$`);

export function parseTokens(text: string): ParsedTokens {
  const tokens: AdminToken[] = [];
  const faults: string[] = [];
  for (const [index, entry] of text.split(",").entries()) {
    const written = entry.trim();
    if (written === "") continue;
    const nameEnd = written.indexOf(":");
    const name = nameEnd < 0 ? "" : written.slice(0, nameEnd);
    const [, scopes, token] = REST.exec(written.slice(nameEnd + 1)) ?? [];
    const fault = nameFault(name) ?? (scopes === undefined ? SCOPES_FAULT : undefined);
    if (fault !== undefined) faults.push(`entry ${index + 1}${NAME.test(name) ? ` (${name})` : ""}: ${fault}`);
    else if (scopes !== undefined && token !== undefined) tokens.push({ name, scopes: scopes.split("+").map(scopeOf), token });
  }
  return { tokens, faults };
}

const SCOPES_FAULT =
  "it is not name:scopes:token, with scopes among read, operate, wake and register:<pool>/<id, or prefix ending with ->, joined by +, and a token of 1 to 512 printable characters without blanks";

function nameFault(name: string): string | undefined {
  if (!NAME.test(name)) return "its name is not 1 to 64 letters, digits, dots, underscores or hyphens";
  return RESERVED.has(name) ? `the audit says "${name}" of what no token did; choose another name` : undefined;
}

function scopeOf(word: string): Scope {
  const [kind, target = ""] = word.split(":", 2);
  if (kind === "read" || kind === "operate" || kind === "wake") return { kind };
  const [pool = "", id = ""] = target.split("/", 2);
  return { kind: "register", pool, id };
}

/** What somebody asks for: one of the scopes will do. `pool` and `id`: the origin that it is about. */
export interface Need {
  readonly scopes: readonly [Scope["kind"], ...Scope["kind"][]];
  readonly pool: string | undefined;
  readonly id: string | undefined;
}

/** Whoever may operate may wake too. */
export function allows({ scopes }: Pick<AdminToken, "scopes">, need: Need): boolean {
  return scopes.some((scope) => {
    if (scope.kind === "register") return need.scopes.includes("register") && scope.pool === need.pool && isOf(scope.id, need.id);
    return need.scopes.includes(scope.kind) || (scope.kind === "operate" && need.scopes.includes("wake"));
  });
}

function isOf(idOrPrefix: string, id: string | undefined): boolean {
  return id === idOrPrefix || (idOrPrefix.endsWith("-") && id?.startsWith(idOrPrefix) === true);
}
