// Presence in y-protocols 1: each client's state with a clock, many to an update. What both Yjs profiles know of it.
// An origin that drops a leg tells the others that its client left, and keeps the clock: the same state again is ignored. A visitor that
// is told that its own state was removed takes a higher clock, as y-protocols has it, and with that its origin shows it again.

import { createDecoder, hasContent, readVarString, readVarUint } from "lib0/decoding";
import { REMEMBERED_MAX_BYTES } from "./profile.ts";
import { createEncoder, toUint8Array, writeVarString, writeVarUint } from "lib0/encoding";

export interface ClientState {
  readonly client: number;
  readonly clock: number;
  /** JSON; "null" for one that left. */
  readonly state: string;
}

/** The states in an update. Throws for one that cannot be read; of one that is larger than any presence none are read: a million states of some bytes would fill the memory. */
export function readStates(update: Uint8Array): ClientState[] {
  if (update.byteLength > REMEMBERED_MAX_BYTES) return [];
  const decoder = createDecoder(update);
  const count = readVarUint(decoder);
  const states: ClientState[] = [];
  while (states.length < count && hasContent(decoder)) {
    states.push({ client: readVarUint(decoder), clock: readVarUint(decoder), state: readVarString(decoder) });
  }
  return states;
}

export function stateUpdate({ client, clock, state }: ClientState): Uint8Array {
  const update = createEncoder();
  writeVarUint(update, 1);
  writeVarUint(update, client);
  writeVarUint(update, clock);
  writeVarString(update, state);
  return toUint8Array(update);
}

/** The newest of the visitor's own states, if it is newer than the known one. One that is alone may `introduce` a visitor not known yet. */
export function newerOwn(states: readonly ClientState[], known: ClientState | undefined, introduce: boolean): ClientState | undefined {
  const introduced = introduce && states.length === 1 && states[0]?.state !== "null" ? states[0] : undefined;
  const mine = known ? states.find(({ client }) => client === known.client) : introduced;
  return mine && (!known || mine.clock >= known.clock) ? mine : undefined;
}

/**
 * How far a visitor's own presence is shown to go on by an update that says nothing else: its unchanged state once more (presence ends after 30 s without),
 * or a repetition of others', as providers send for each that they hear. `undefined`: it says more, or who its visitor is is not known.
 */
export function renewalOf(states: readonly ClientState[], known: ClientState | undefined): number | undefined {
  if (!known || states.length === 0) return undefined;
  const mine = states.find(({ client }) => client === known.client);
  if (!mine) return known.clock;
  return mine.state === known.state && mine.clock >= known.clock ? mine.clock : undefined;
}

/** What tells a visitor, or those that stay, that this client's state was removed; none for one that shows none. */
export function removal(own: ClientState | undefined): ClientState | undefined {
  return own === undefined || own.state === "null" ? undefined : { ...own, state: "null" };
}
