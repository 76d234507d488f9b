// The settings that a Worker's isolate goes by: the bundle's, or what was applied, as KV has it. Read once before the first request, afterwards
// behind the requests' backs: none waits for it. Within an isolate results are shared, promises never.

import { decodeApplied, prevails, type AppliedConfig } from "../core/applied-config.ts";
import { CONFIG_KV_KEY } from "../core/names.ts";
import type { Background, Env, Settings, SettingsSource } from "./env.ts";
import { within } from "./limits.ts";
import { newestConfigRevision } from "./snapshots.ts";

/** The first request of an isolate waits no longer: then it is served by the bundle's. */
const FIRST_READ_MS = 2_000;
const READ_MS = 5_000;
/** Between two looks at KV; one that a snapshot has told of a newer revision looks at once, but once for each. */
const LOOK_EVERY_MS = 15_000;

export class IsolateSettings {
  readonly #source: SettingsSource;
  #now: Settings | undefined;
  #applied: AppliedConfig | undefined;
  #lookAtMs = -Infinity;
  #lookedFor = 0;

  constructor(source: SettingsSource) {
    this.#source = source;
  }

  /** Throws `SettingsFault` where the bundle's configuration is wrong. */
  of(env: Env, ctx: Background): Settings | Promise<Settings> {
    if (!this.#now) return this.#first(env);
    const nowMs = Date.now();
    const told = newestConfigRevision();
    if (nowMs >= this.#lookAtMs || told > Math.max(this.#lookedFor, this.#now.config.configRevision)) {
      this.#lookAtMs = nowMs + LOOK_EVERY_MS;
      this.#lookedFor = Math.max(this.#lookedFor, told);
      ctx.waitUntil(this.#look(env, READ_MS));
    }
    return this.#now;
  }

  async #first(env: Env): Promise<Settings> {
    const bundled = this.#source.bundled(env);
    await this.#look(env, FIRST_READ_MS);
    this.#lookAtMs = Date.now() + LOOK_EVERY_MS;
    return (this.#now ??= bundled);
  }

  /** Never rejects: what cannot be read, or is older, changes nothing. */
  async #look(env: Env, limitMs: number): Promise<void> {
    const bundled = this.#source.bundled(env);
    try {
      const options = bundled.dev ? ({ type: "json" } as const) : ({ type: "json", cacheTtl: 30 } as const);
      const applied = decodeApplied(await within(env.AFFINITY.get(CONFIG_KV_KEY, options), limitMs, "KV"));
      if (!applied || applied.revision < (this.#applied?.revision ?? 0) || isSame(applied, this.#applied)) return;
      if (!prevails(applied, this.#source.bundle(env), bundled.dev)) return;
      this.#now = { ...this.#source.read(applied.text, env), retired: applied.retired };
      this.#applied = applied;
    } catch (error) {
      console.error(JSON.stringify({ limpet: "config-not-read", error: String(error) }));
    }
  }
}

/** A revision is given out once; which rings are retired changes beside it. */
function isSame(one: AppliedConfig, other: AppliedConfig | undefined): boolean {
  return one.revision === other?.revision && one.over === other.over && JSON.stringify(one.retired) === JSON.stringify(other.retired);
}
