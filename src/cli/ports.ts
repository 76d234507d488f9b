// Ports of this machine: whether we may listen there, asked before anything is started that would have to be ended again.

import { createServer } from "node:net";
import { CommandFault } from "./fault.ts";

export const HOST = "127.0.0.1";

/** The system's code for why nobody can listen there now (`EADDRINUSE`, `EACCES`); `undefined`: it is free, as 0 always is. */
export async function whyTaken(port: number): Promise<string | undefined> {
  if (port === 0) return undefined;
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const probe = createServer()
    .once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    .listen(port, HOST, () => probe.close(() => resolve(undefined)));
  return promise;
}

/** Says so in a sentence when the router cannot listen there. */
export async function assertFree(port: number): Promise<void> {
  const why = await whyTaken(port);
  if (why === undefined) return;
  if (why === "EADDRINUSE") throw new CommandFault(`Port ${port} is in use on this machine: end what listens there, or choose another with --port.`);
  if (why === "EACCES") throw new CommandFault(`Port ${port} may not be used by this account: choose one from 1024 on with --port.`);
  throw new CommandFault(`Port ${port} cannot be listened on (${why}): choose another with --port.`);
}
