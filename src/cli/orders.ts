// Orders about one origin: `drain`, `undrain`, `add`, `remove`, `reweight`; and about a region: `down`, `up`. Each may be given twice.

import { AdminClient, inPath, type RouterOptions } from "./admin-client.ts";
import type { OriginView } from "./admin-views.ts";
import { findOrigin, nameOf, type Place, type WhereOptions } from "./find-origin.ts";
import { counted, printJson } from "./text.ts";
import { waitFor, type Wait } from "./waiting.ts";

interface Ordering extends RouterOptions {
  readonly json: boolean;
}

interface Waiting {
  readonly wait: boolean;
  readonly timeout?: number;
}

/** A drain's deadline, the horizon and the grace at their defaults are three and a half minutes. */
const WAIT_MS = 600_000;

/** What comes after a drain's deadline: the horizon, and requests in flight. */
const AFTER_DEADLINE_MS = 300_000;

export interface DrainOptions extends Ordering, Waiting, WhereOptions {
  readonly mode?: "move" | "finish";
  readonly deadline?: number;
}

export async function drain(id: string, { mode, deadline, wait, timeout, json, ...options }: DrainOptions): Promise<void> {
  const client = new AdminClient(options);
  const place = await findOrigin(client, id, options);
  const body = { ...(mode === undefined ? {} : { mode }), ...(deadline === undefined ? {} : { deadlineMs: deadline }) };
  const ordered = await client.ask((api) => api.rings[":pool"][":region"].origins[":id"].drain.$post({ ...inPath({ ...place }), json: body }));
  const timeoutMs = timeout ?? Math.max(WAIT_MS, (deadline ?? 0) + AFTER_DEADLINE_MS);
  const origin = wait ? await waitFor(client, place, { until: "drained", timeoutMs, undo: undoOf("undrain", place) }) : ordered;
  if (json) printJson(origin);
  else console.log(wait ? `${nameOf(place)} is drained: its process may end.` : drainTold(place, origin));
}

function drainTold(place: Place, { state, sessions, connections }: OriginView): string {
  if (state === "drained" || state === "gone") return `${nameOf(place)} is drained: its process may end.`;
  return `${nameOf(place)} is draining: ${counted(sessions, "session")} and ${counted(connections, "connection")} to go. --wait waits until its process may end; \`${undoOf("undrain", place)}\` takes it back.`;
}

export async function undrain(id: string, { wait, timeout, json, ...options }: Ordering & Waiting & WhereOptions): Promise<void> {
  const client = new AdminClient(options);
  const place = await findOrigin(client, id, options);
  const ordered = await client.ask((api) => api.rings[":pool"][":region"].origins[":id"].undrain.$post(inPath({ ...place })));
  const waiting: Wait = { until: "serving", timeoutMs: timeout ?? WAIT_MS, undo: undoOf("drain", place) };
  const origin = wait ? await waitFor(client, place, waiting) : ordered;
  if (json) printJson(origin);
  else
    console.log(
      wait
        ? `${nameOf(place)} serves with all of its share.`
        : `${nameOf(place)} is not drained any more: it is ${origin.state} and ${origin.health}${origin.health === "healthy" ? ", and takes sessions again" : ""}.`,
    );
}

export interface AddOptions extends Ordering {
  readonly pool: string;
  readonly region: string;
  readonly weight?: number;
  readonly backup: boolean;
}

export async function add(id: string, url: string, { pool, region, weight, backup, json, ...options }: AddOptions): Promise<void> {
  const client = new AdminClient(options);
  const place = { pool, region, id };
  const body = { url, ...(weight === undefined ? {} : { weight }), ...(backup ? { backup } : {}) };
  const { status, body: origin } = await client.answer((api) =>
    api.rings[":pool"][":region"].origins[":id"].$put({ ...inPath({ ...place }), json: body }),
  );
  if (json) return printJson(origin);
  const facts = `at ${origin.url} with weight ${origin.weight}${origin.backup ? ", as a backup" : ""}`;
  console.log(status === 201 ? `${nameOf(place)} joins ${facts}.` : `${nameOf(place)} is ${origin.state} ${facts}.`);
}

export async function remove(id: string, { wait, timeout, json, ...options }: Ordering & Waiting & WhereOptions): Promise<void> {
  const client = new AdminClient(options);
  const place = await findOrigin(client, id, options);
  const { status, body: ordered } = await client.answer((api) => api.rings[":pool"][":region"].origins[":id"].$delete(inPath({ ...place })));
  const waiting: Wait = { until: "drained", timeoutMs: timeout ?? WAIT_MS, undo: undoOf("undrain", place) };
  const origin = wait && status === 202 ? await waitFor(client, place, waiting) : ordered;
  if (json) return printJson(origin);
  if (wait || status !== 202) return console.log(`${nameOf(place)} is gone: its process may end.`);
  const left = `${counted(origin.sessions, "session")} and ${counted(origin.connections, "connection")}`;
  console.log(
    `${nameOf(place)} is drained first, of ${left}, and is gone then. --wait waits for that; \`${undoOf("undrain", place)}\` takes it back until then.`,
  );
}

export async function reweight(id: string, weight: number, { json, ...options }: Ordering & WhereOptions): Promise<void> {
  const client = new AdminClient(options);
  const place = await findOrigin(client, id, options);
  const origin = await client.ask((api) => api.rings[":pool"][":region"].origins[":id"].$patch({ ...inPath({ ...place }), json: { weight } }));
  if (json) printJson(origin);
  else console.log(`${nameOf(place)} has weight ${origin.weight}.`);
}

/** A whole region out of service, as planned absence, and in again. */
export async function turnRegion(pool: string, region: string, way: "down" | "up", { json, ...options }: Ordering): Promise<void> {
  const client = new AdminClient(options);
  const answer = await client.ask((api) => api.rings[":pool"][":region"][way].$post(inPath({ pool, region })));
  if (json) return printJson(answer);
  console.log(
    way === "down"
      ? `${pool}@${region} is taken out of service: its sessions leave for the secondary regions at the pool's pace. \`npx limpet up ${pool} ${region}\` takes it back.`
      : `${pool}@${region} is in service again.`,
  );
}

function undoOf(command: "drain" | "undrain", { pool, region, id }: Place): string {
  return `npx limpet ${command} ${id} --pool ${pool} --region ${region}`;
}
