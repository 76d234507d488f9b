// `limpet move`: one live session goes to an origin and is kept there, or goes where the ring says. Its visitors notice nothing, where their
// protocol can bear it.

import { AdminClient, inPath, RouterRefusal, type RouterOptions } from "./admin-client.ts";
import type { SessionView } from "./admin-views.ts";

export interface MoveOptions extends RouterOptions {
  readonly to?: string;
  readonly json: boolean;
}

export async function move(pool: string, key: string, { to, json, ...router }: MoveOptions): Promise<void> {
  const client = new AdminClient(router);
  const before = await advised(
    client.ask((api) => api.sessions[":pool"][":key"].$get(inPath({ pool, key }))),
    "It is live while a visitor is connected: check the pool and the key.",
  );
  const moving = client.ask((api) => api.sessions[":pool"][":key"].move.$post({ ...inPath({ pool, key }), json: to === undefined ? {} : { to } }));
  const after = await advised(moving, `Those that are known are at ${client.dashboard}.`);
  console.log(json ? JSON.stringify(after) : told(key, before, after));
}

/** What does not exist was mostly misspelt: says where to look. */
function advised<T>(asked: Promise<T>, advice: string): Promise<T> {
  return asked.catch((error: unknown) => {
    if (!(error instanceof RouterRefusal) || error.status !== 404) throw error;
    throw new RouterRefusal(error.status, `${error.message} ${advice}`);
  });
}

function told(key: string, before: SessionView, { origin, state, connections, fence }: SessionView): string {
  const facts = `(${connections} ${connections === 1 ? "connection" : "connections"}, fence ${fence})`;
  if (state === "lifted") return `${key} is out of quarantine: its visitors may come back`;
  if (state === "moving") return `${key} is still on its way from ${before.origin} ${facts}`;
  return origin === before.origin ? `${key} stays at ${origin} ${facts}` : `moved ${key} from ${before.origin} to ${origin} ${facts}`;
}
