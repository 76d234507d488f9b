// What a carrier reads of the settings of its pool. Of a pool that no configuration speaks of it takes nobody.

import type { Pool, Route } from "../core/config-types.ts";
import type { Settings } from "./env.ts";
import { LiveSettings } from "./live-settings.ts";

const NO_POOL = { carrier: { maxConnections: 0 }, closeDeadlineMs: 0, session: { idleMs: 0, maxLifeMs: 0 } } as const;

export class CarrierSettings extends LiveSettings {
  readonly pool: string;

  constructor(settings: Settings, pool: string) {
    super(settings);
    this.pool = pool;
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
