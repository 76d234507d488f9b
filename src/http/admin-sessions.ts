// One live session, as operators see it and move it: by its key, or by the key's hash, as records tell it.

import { Hono, type Context } from "hono";
import { parseKey } from "../core/identity.ts";
import { parseMove } from "../core/membership.ts";
import { faultyProblem } from "../core/problem.ts";
import { keyedHash } from "../platform/keyed-hash.ts";
import { MOVE_WAIT_MS, within } from "../platform/limits.ts";
import type { MoveAnswer } from "../platform/ring-operators.ts";
import type { SessionStatus } from "../platform/ring-status.ts";
import { ringStub } from "../platform/stubs.ts";
import { answered, jsonOf, knownRings, needs, notFound, only, problem, READS, RING_ANSWER_MS, unreachable, type Admin } from "./admin-parts.ts";

/** A session, and the ring object that it has its home at. */
interface Found {
  readonly session: SessionStatus;
  readonly ring: ReturnType<typeof ringStub>;
  readonly keyHash: string;
}

/** The ring object waits for a move that is under way, then for its own, and asks a carrier. */
const MOVED_MS = 2 * MOVE_WAIT_MS + RING_ANSWER_MS;

const SESSION = "/v1/sessions/:pool/:key";

export const sessionRoutes = new Hono<Admin>()
  .get(SESSION, needs("read"), async (c) => {
    const found = await find(c, c.req.param("pool"), c.req.param("key"));
    if (found === "unreachable") return unreachable(c);
    return found ? c.json(found.session) : notFound(c, "live session");
  })
  .delete(SESSION, needs("operate"), async (c) => {
    const ended = await firstOf(c, c.req.param("pool"), c.req.param("key"), async (ring, keyHash) => (await ring.endSession(keyHash)) || undefined);
    if (ended === "unreachable") return unreachable(c);
    return ended ? c.body(null, 204) : notFound(c, "session");
  })
  .all(SESSION, only(...READS, "DELETE"))
  .post(`${SESSION}/wake`, needs("wake"), async (c) => {
    const found = await find(c, c.req.param("pool"), c.req.param("key"));
    if (found === "unreachable") return unreachable(c);
    const isAwake = found && (await answered(found.ring.wakeSession(found.keyHash), MOVED_MS));
    if (isAwake === undefined) return notFound(c, "live session");
    return isAwake
      ? c.body(null, 204)
      : problem(c, "no-origin", "No leg of the session could be opened in time. Try again shortly.", { "retry-after": "1" });
  })
  .all(`${SESSION}/wake`, only("POST"))
  .post(`${SESSION}/move`, needs("operate"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const parsed = parseMove(body.value ?? {});
    if (!parsed.ok) return faultyProblem(parsed.faults, c.env.requestId);
    const found = await find(c, c.req.param("pool"), c.req.param("key"));
    if (found === "unreachable") return unreachable(c);
    if (!found) return notFound(c, "live session");
    const asked = async (): Promise<MoveAnswer> => found.ring.moveSession(found.keyHash, parsed.value.to);
    const answer = await answered(asked(), MOVED_MS);
    return answer ? told(c, answer) : unreachable(c);
  })
  .all(`${SESSION}/move`, only("POST"));

function told(c: Context<Admin>, answer: MoveAnswer): Response {
  switch (answer.kind) {
    case "told":
      return c.json(answer.session);
    case "unknown":
      return notFound(c, answer.what);
    case "unavailable":
      return problem(c, "conflict", answer.why);
    default:
      return answer satisfies never;
  }
}

/** In whichever ring of the pool it lives. */
async function find(c: Context<Admin>, pool: string, name: string): Promise<Found | "unreachable" | undefined> {
  return firstOf(c, pool, name, async (ring, keyHash) => {
    const session: SessionStatus | undefined = await ring.session(keyHash);
    return session && { session, ring, keyHash };
  });
}

/** What the first ring of the pool says that has anything to say. Where a ring is silent, that none of the others has it says nothing. */
async function firstOf<T>(
  c: Context<Admin>,
  pool: string,
  name: string,
  ask: (ring: Found["ring"], keyHash: string) => Promise<T | undefined>,
): Promise<T | "unreachable" | undefined> {
  const { env, settings } = c.env;
  const { config, secrets } = settings;
  const parsed = parseKey(encodeURIComponent(name)); // the router has decoded it
  if (!Object.hasOwn(config.pools, pool) || parsed.kind !== "valid") return undefined;
  const hashes = [await keyedHash(secrets.at(-1) ?? "", pool, parsed.key), ...(/^[0-9a-f]{32}$/.test(name) ? [name] : [])];
  const rings = knownRings(settings).filter((ring) => ring.pool === pool);
  const asks = rings.flatMap(({ region }) =>
    hashes.map((keyHash) => within(ask(ringStub(env, config, pool, region), keyHash), RING_ANSWER_MS, `ring ${pool}@${region}`)),
  );
  const answers = await Promise.allSettled(asks);
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? (answer.value ?? []) : []))[0];
  return found ?? (answers.some(({ status }) => status === "rejected") ? "unreachable" : undefined);
}
