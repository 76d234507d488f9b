// What a carrier reads of the settings of its pool. Of a pool that no configuration speaks of it takes nobody.

import type { AppliedConfig } from "../core/applied-config.ts";
import type { Pool, Route } from "../core/config-types.ts";
import type { RingName } from "../core/names.ts";
import { ConfigStore } from "./config-store.ts";
import type { Env, SettingsSource } from "./env.ts";
import { HeldSettings } from "./held-settings.ts";
import { PULL_TIMEOUT_MS, within } from "./limits.ts";
import { controlStub } from "./stubs.ts";

const NO_POOL = { carrier: { maxConnections: 0 }, closeDeadlineMs: 0, session: { idleMs: 0, maxLifeMs: 0 } } as const;

export class CarrierSettings extends HeldSettings {
  readonly pool: string;

  constructor(source: SettingsSource, env: Env, ring: Pick<RingName, "pool" | "region">, sql: SqlStorage) {
    super(source, env, ring, new ConfigStore(sql));
    this.pool = ring.pool;
  }

  /** A carrier whose pool came with a configuration that it was not told of asks for that before anything else. */
  whenPoolIsKnown(ctx: DurableObjectState, env: Env, apply: (applied: AppliedConfig) => void): void {
    const control = Object.hasOwn(this.config.pools, this.pool) ? undefined : controlStub(env);
    if (!control) return;
    const pulled = async (): Promise<void> => {
      const applied = await within(control.current(), PULL_TIMEOUT_MS, "control object").catch(() => undefined);
      if (applied) apply(applied);
    };
    void ctx.blockConcurrencyWhile(pulled);
  }

  get maxConnections(): number {
    return this.#policy.carrier.maxConnections;
  }

  get closeDeadlineMs(): number {
    return this.#policy.closeDeadlineMs;
  }

  get limits(): Pool["session"] {
    return this.#policy.session;
  }

  /** A text of the visitors' that the runtime answers by itself. */
  autoResponse(): WebSocketRequestResponsePair | undefined {
    const isAnswered = (route: Route): boolean => route.pool === this.pool && route.park?.autoResponse !== undefined;
    const ping = this.config.routes.find(isAnswered)?.park?.autoResponse;
    return ping && new WebSocketRequestResponsePair(ping.request, ping.response);
  }

  get #policy(): Pick<Pool, "carrier" | "closeDeadlineMs" | "session"> {
    return this.config.pools[this.pool] ?? NO_POOL;
  }
}
