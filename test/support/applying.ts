// Changing the configuration of a running router, for tests: what is sent, what is answered, and until when everybody has it.

import { eventually } from "./stack.ts";

export interface ConfigBody {
  readonly revision: number;
  readonly source: "bundle" | "applied";
  readonly config: RawConfig;
  readonly pending: readonly string[];
  readonly rings: readonly { pool: string; region: string; revision: number; source: string; retired?: true; unreadable?: object }[];
  readonly revisions: readonly { revision: number; who: string; why?: string }[];
  readonly retired: readonly object[];
}

/** As far as tests look into it. */
export interface RawConfig {
  readonly configRevision: number;
  readonly regions: Readonly<Record<string, object>>;
  readonly pools: Readonly<Record<string, { readonly origins: readonly { readonly id: string }[] }>>;
  readonly routes: readonly object[];
}

export interface Answer<T = Readonly<Record<string, unknown>>> {
  readonly status: number;
  readonly etag: string | null;
  readonly body: T;
}

export class Applying {
  readonly #url: () => string;

  constructor(url: () => string) {
    this.#url = url;
  }

  async ask<T = Readonly<Record<string, unknown>>>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const response = await fetch(`${this.#url()}/_limpet/v1/${path}`, {
      method,
      headers: { authorization: "Bearer dev", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, etag: response.headers.get("etag"), body: (await response.json()) as T };
  }

  async config(): Promise<ConfigBody> {
    return (await this.ask<ConfigBody>("GET", "config")).body;
  }

  /** Puts what holds, changed; resolves with its revision once every ring and KV have it. */
  async apply(change: (config: RawConfig) => object): Promise<number> {
    const { configRevision: _, ...config } = (await this.config()).config;
    const answer = await this.ask<{ revision: number }>("PUT", "config", change(config as RawConfig));
    if (answer.status !== 200) throw new Error(JSON.stringify(answer));
    await this.held(answer.body.revision);
    return answer.body.revision;
  }

  async held(revision: number): Promise<void> {
    await eventually(`all hold revision ${revision}`, async () => {
      const { pending, rings } = await this.config();
      return pending.length === 0 && rings.every((ring) => ring.revision === revision);
    });
  }
}

/** The same configuration with something else in one pool. */
export function withPool(config: RawConfig, pool: string, change: object): object {
  return { ...config, pools: { ...config.pools, [pool]: { ...config.pools[pool], ...change } } };
}
