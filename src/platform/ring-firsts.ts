// `home: "first"`, the arbiter's side: whose first visitor made which region their home. Asked of the ring object that `home: "session"` would name,
// which alone decides, once; KV has its word for everyone else. Kept for as long as anybody asks, bounded.

import { poolRegions } from "../core/home.ts";
import { firstKvKey, type RingName } from "../core/names.ts";
import type { FirstAnswer, FirstItem } from "../core/protocol.ts";
import type { Env } from "./env.ts";
import { FIRSTS_MAX, HOME_ANSWER_MS, KV_SEEN_MS, within } from "./limits.ts";
import { Newcomers } from "./newcomers.ts";
import type { RingState } from "./ring-state.ts";
import { ringStub } from "./stubs.ts";

type Row = { region: string; asked_at_ms: number; told_at_ms: number };

/** KV keeps nothing for less. */
const KV_TTL_MIN_S = 60;
/** Memory lasts so many lives of a session after it was last asked for: longer than KV and the isolates that read it there. */
const LIVES = 3;

export class RingFirsts {
  readonly #ctx: Pick<DurableObjectState, "waitUntil">;
  readonly #sql: SqlStorage;
  readonly #kv: KVNamespace;
  readonly #name: RingName;
  /** As they are at the moment. */
  readonly #ring: Pick<RingState, "config" | "pool">;
  readonly #newcomers: Newcomers;
  readonly #env: Env;
  readonly #formerArbiters: (lot: number) => readonly string[];
  #count: number;

  /** `formerArbiters`: other rings that a session was arbitrated by before the pool's regions changed. */
  constructor(
    ctx: Pick<DurableObjectState, "storage" | "waitUntil">,
    env: Env,
    ring: Pick<RingState, "config" | "pool" | "name">,
    formerArbiters: (lot: number) => readonly string[] = () => [],
  ) {
    const { sql } = ctx.storage;
    this.#env = env;
    this.#formerArbiters = formerArbiters;
    this.#ctx = ctx;
    this.#sql = sql;
    this.#kv = env.AFFINITY;
    this.#name = ring.name;
    this.#ring = ring;
    this.#newcomers = new Newcomers(`${ring.name.pool}@${ring.name.region}`, env.NEW_SESSIONS);
    sql.exec(
      "CREATE TABLE IF NOT EXISTS firsts (key_hash TEXT PRIMARY KEY, region TEXT NOT NULL, asked_at_ms INTEGER NOT NULL, told_at_ms INTEGER NOT NULL)",
    );
    sql.exec("CREATE INDEX IF NOT EXISTS firsts_by_age ON firsts (asked_at_ms)");
    this.#count = Number([...sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM firsts")][0]?.count ?? 0);
  }

  /** `isHere`: the session has a place by this ring already, whatever is remembered: while nobody could ask us it was placed here. Never rejects. */
  async homeOf(item: FirstItem, isHere: boolean): Promise<FirstAnswer> {
    const { keyHash, nearest, visitor, lot, handedOn } = item;
    const known = this.#known(keyHash);
    if (known) return this.#told(keyHash, known);
    const former = isHere || handedOn || lot === undefined ? [] : this.#formerArbiters(lot);
    if (former.length > 0) return this.#handOn(item, former);
    const tooMany = isHere ? new Set<string>() : await this.#newcomers.tooMany([{ keyHash, visitor }]);
    const raced = this.#known(keyHash); // whoever came first is first
    if (raced) return this.#told(keyHash, raced);
    if (tooMany.has(keyHash)) return { kind: "too-many-sessions" };
    return this.#remember(keyHash, isHere || !this.#hasRegion(nearest) ? this.#name.region : nearest);
  }

  /** Whoever arbitrated before the pool's regions changed decides once more, the first of them that answers, and is believed from then on. */
  async #handOn(item: FirstItem, former: readonly string[]): Promise<FirstAnswer> {
    for (const region of former) {
      const asked = async (): Promise<FirstAnswer> =>
        ringStub(this.#env, this.#ring.config, this.#name.pool, region).first({ ...item, handedOn: true });
      const answer = await within(asked(), HOME_ANSWER_MS / 2, "former arbiter").catch(() => undefined);
      const known = this.#known(item.keyHash);
      if (known) return this.#told(item.keyHash, known);
      if (answer?.kind === "too-many-sessions") return answer;
      if (answer && this.#hasRegion(answer.region)) return this.#remember(item.keyHash, answer.region);
    }
    return { kind: "region", region: this.#name.region }; // for this request: the next one asks again
  }

  #remember(keyHash: string, region: string): FirstAnswer {
    this.#makeRoom(Date.now());
    const row: Row = { region, asked_at_ms: Date.now(), told_at_ms: 0 };
    this.#sql.exec("INSERT OR REPLACE INTO firsts VALUES (?, ?, ?, ?)", keyHash, row.region, row.asked_at_ms, row.told_at_ms);
    this.#count++;
    return this.#told(keyHash, row);
  }

  /** Where a session's first visitor made it at home, if anybody remembers; nothing comes of asking. */
  regionOf(keyHash: string): string | undefined {
    return this.#known(keyHash)?.region;
  }

  /** A region that the pool has left is nobody's home: the next one who asks is first again. */
  #known(keyHash: string): Row | undefined {
    const [row] = this.#sql.exec<Row>("SELECT region, asked_at_ms, told_at_ms FROM firsts WHERE key_hash = ?", keyHash);
    if (!row) return undefined;
    if (this.#hasRegion(row.region)) return row;
    this.#sql.exec("DELETE FROM firsts WHERE key_hash = ?", keyHash);
    this.#count--;
    return undefined;
  }

  #hasRegion(region: string): boolean {
    return poolRegions(this.#ring.config, this.#ring.pool.id).some(({ id }) => id === region);
  }

  /** Who asks has not found it on KV: where that should have it by now, it is written there again. */
  #told(keyHash: string, { region, told_at_ms: toldAtMs }: Row): FirstAnswer {
    const nowMs = Date.now();
    if (nowMs - toldAtMs >= KV_SEEN_MS) {
      this.#sql.exec("UPDATE firsts SET asked_at_ms = ?, told_at_ms = ? WHERE key_hash = ?", nowMs, nowMs, keyHash);
      this.#ctx.waitUntil(this.#write(keyHash, region));
    }
    return { kind: "region", region };
  }

  async #write(keyHash: string, region: string): Promise<void> {
    const expirationTtl = Math.max(KV_TTL_MIN_S, Math.ceil(this.#ring.pool.session.maxLifeMs / 1_000));
    try {
      await this.#kv.put(firstKvKey(this.#name.pool, keyHash), JSON.stringify({ format: 1, region }), { expirationTtl });
    } catch (error) {
      console.error(JSON.stringify({ limpet: "kv-write-failed", ...this.#name, error: String(error) }));
      this.#sql.exec("UPDATE firsts SET told_at_ms = 0 WHERE key_hash = ?", keyHash); // the next one who asks has it written
    }
  }

  #makeRoom(nowMs: number): void {
    const old = this.#sql.exec("DELETE FROM firsts WHERE asked_at_ms < ? RETURNING 1 AS gone", nowMs - LIVES * this.#ring.pool.session.maxLifeMs);
    this.#count -= [...old].length;
    if (this.#count < FIRSTS_MAX) return;
    const oldest = "SELECT key_hash FROM firsts ORDER BY asked_at_ms LIMIT ?";
    const gone = [...this.#sql.exec(`DELETE FROM firsts WHERE key_hash IN (${oldest}) RETURNING 1 AS gone`, this.#count - FIRSTS_MAX + 1)];
    this.#count -= gone.length;
    console.error(JSON.stringify({ limpet: "firsts-full", ...this.#name, forgotten: gone.length }));
  }
}
