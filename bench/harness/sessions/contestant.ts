// What the benchmark asks of whoever is measured, in one vocabulary; each does it as its users do.

import type { Member } from "./places.ts";

export interface Contestant {
  readonly name: string;
  /** Where visitors open their WebSockets: `ws://host:port`. */
  readonly url: string;
  /** How it sees its fleet; absent where it does not say, and sessions stay wherever they went. */
  readonly members?: () => Promise<Member[]>;
  drain(id: string): Promise<void>;
  undrain(id: string): Promise<void>;
  join(id: string, region: string, port: number): Promise<void>;
  leave(id: string): Promise<void>;
  reweight(id: string, weight: number): Promise<void>;
  /** Origins are back that had died: forgets what it holds against them. */
  forgive(): Promise<void>;
  /** Sends one session elsewhere, to stay there; absent where nobody can. */
  order?(key: string, id: string): Promise<void>;
  /** A part of the router dies that carries connections, and comes back by itself; absent where there is no such part. */
  resetCarrier?(): Promise<void>;
  /** All of the router dies and is started again, on the same port and with what it has stored; resolves when it answers. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}
