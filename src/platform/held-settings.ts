// Which configuration an object goes by: the bundle's, or the one that was applied and lies on the object's own disk, so that it starts with it
// although nobody can be asked. One that this code cannot read changes nothing: what held goes on. Whose pool is in no configuration any more keeps
// the last one that had it, without origins: what is still there ends by that. Whose pool has left its region has that region as it was last.

import { isNewerApplied, prevails, type AppliedConfig } from "../core/applied-config.ts";
import { poolRegions } from "../core/home.ts";
import type { RingName } from "../core/names.ts";
import type { ConfigStore } from "./config-store.ts";
import type { Env, Settings, SettingsSource } from "./env.ts";
import { LiveSettings } from "./live-settings.ts";

export interface ConfigStatus {
  readonly revision: number;
  readonly source: "bundle" | "applied";
  /** One that was applied and that this code cannot read: what held before still does. */
  readonly unreadable?: { readonly revision: number; readonly why: string } | undefined;
  /** The ring is in it no more. */
  readonly retired?: true | undefined;
}

export class HeldSettings extends LiveSettings {
  readonly #source: SettingsSource;
  readonly #env: Env;
  readonly #pool: string;
  readonly #region: string;
  readonly #store: ConfigStore;
  #applied: AppliedConfig | undefined;
  #status: ConfigStatus;

  constructor(source: SettingsSource, env: Env, { pool, region }: Pick<RingName, "pool" | "region">, store: ConfigStore) {
    super(source.bundled(env));
    this.#source = source;
    this.#env = env;
    this.#pool = pool;
    this.#region = region;
    this.#store = store;
    this.#applied = store.read("applied");
    const bundle = source.bundle(env);
    this.#status = { revision: bundle.revision, source: "bundle" };
    const settings = this.#applied && this.#prevails(this.#applied) ? this.#read(this.#applied) : undefined;
    if (this.#applied && settings) this.#take(settings, this.#applied, "applied");
    else this.#take(source.bundled(env), bundle, "bundle");
  }

  /** The newest that was applied, whether it holds or not. */
  get applied(): AppliedConfig | undefined {
    return this.#applied;
  }

  get status(): ConfigStatus {
    return this.#status;
  }

  /** Takes one that was applied: onto the disk, and into force where it prevails over the bundle; whether something else holds now. */
  apply(next: AppliedConfig): boolean {
    if (!isNewerApplied(next, this.#applied)) return false;
    const settings = this.#read(next);
    if (!settings) return false;
    this.#applied = next;
    this.#store.write("applied", next);
    if (!this.#prevails(next)) return false;
    this.#take(settings, next, "applied");
    return true;
  }

  #prevails(applied: AppliedConfig): boolean {
    return prevails(applied, this.#source.bundle(this.#env), this.dev);
  }

  /** `undefined`: it cannot be read here. */
  #read({ revision, text }: AppliedConfig): Settings | undefined {
    try {
      return this.#source.read(text, this.#env);
    } catch (error) {
      this.#status = { ...this.#status, unreadable: { revision, why: String(error) } };
      console.error(JSON.stringify({ limpet: "config-unreadable", pool: this.#pool, revision, error: String(error) }));
      return undefined;
    }
  }

  #take(settings: Settings, { revision, text }: Pick<AppliedConfig, "revision" | "text">, source: ConfigStatus["source"]): void {
    const { unreadable } = this.#status;
    const hasPool = Object.hasOwn(settings.config.pools, this.#pool);
    const isRetired = !poolRegions(settings.config, this.#pool).some(({ id }) => id === this.#region);
    const last = this.#store.read("last");
    if (!isRetired && last?.text !== text) this.#store.write("last", { revision, text, over: 0 });
    this.swap(isRetired ? this.#retired(hasPool ? settings : this.#withPool(settings, last), last) : settings);
    this.#status = {
      revision,
      source,
      ...(unreadable && unreadable.revision > revision && { unreadable }),
      ...(isRetired && { retired: true as const }),
    };
  }

  /** What holds now, with the pool as it was, but for its origins. */
  #withPool(settings: Settings, last: AppliedConfig | undefined): Settings {
    const before = last && this.#read(last);
    const pool = before?.config.pools[this.#pool];
    const access = before?.access.get(this.#pool);
    if (!pool) return settings;
    return {
      ...settings,
      config: { ...settings.config, pools: { ...settings.config.pools, [this.#pool]: { ...pool, origins: [] } } },
      access: access ? new Map([...settings.access, [this.#pool, access]]) : settings.access,
    };
  }

  /** The region as it is or was, so that whoever is still there can leave: where none of its secondary regions has the pool, for any that has. */
  #retired(settings: Settings, last: AppliedConfig | undefined): Settings {
    const { config } = settings;
    const region = config.regions[this.#region] ?? (last && this.#read(last)?.config.regions[this.#region]);
    if (!region) return settings;
    const others = poolRegions(config, this.#pool).filter(({ jurisdiction }) => jurisdiction === region.jurisdiction);
    const named = region.secondary.filter((id) => others.some((other) => other.id === id));
    const secondary = named.length > 0 ? named : others.map(({ id }) => id);
    return { ...settings, config: { ...config, regions: { ...config.regions, [this.#region]: { ...region, secondary } } } };
  }
}
