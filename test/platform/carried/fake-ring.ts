// A ring object that is played, of one session: it places it, moves it in two phases, loses track of a move, or answers that it cannot.

import { nextFence } from "../../../src/core/fence.ts";
import type { LeaveItem, LivePlacement, PlaceAnswer, PlaceItem, Placement } from "../../../src/core/protocol.ts";
import { delay } from "../../../src/platform/limits.ts";
import type { FakeOrigin } from "./fake-origin.ts";

export interface MoveWish {
  readonly planned: boolean;
  /** Between `left` and `enter`. */
  readonly gapMs: number;
  /** It does not wait longer for `left`: its call was lost, or the answer. */
  readonly patienceMs: number;
  /** How many origins further. */
  readonly by: number;
}

/** Whoever carries the session that is moved. */
export interface Mover {
  leave(item: LeaveItem): Promise<unknown>;
  enter(placement: Placement): unknown;
}

export class FakeRing {
  placement: Placement | undefined;
  refuses = false;
  /** It places whatever it knows of the origins. */
  keepsPlacing = false;
  moving = false;
  /** Between the order to leave and `enter`: nobody may be dialled. */
  away = false;
  readonly #origins: readonly FakeOrigin[];
  readonly #latencyMs: number;
  #fence = 0;

  constructor(origins: readonly FakeOrigin[], latencyMs: number) {
    this.#origins = origins;
    this.#latencyMs = latencyMs;
  }

  /** `asker`: a question whose asker's life is over when it arrives is not heard. */
  async place(item: PlaceItem, asker?: { readonly ended: boolean }): Promise<PlaceAnswer> {
    await delay(this.#latencyMs);
    if (asker?.ended) return new Promise(() => undefined);
    const answer = this.#answer(item);
    await delay(this.#latencyMs);
    return answer;
  }

  /** Told in its turn: after what was asked before. */
  async end(fence: number): Promise<void> {
    await delay(this.#latencyMs);
    if (this.placement?.fence === fence) this.placement = undefined;
  }

  /** Both phases, as the ring object has them. `sessionNow`: the carrier's at each moment. */
  async move(wish: MoveWish, sessionNow: () => Mover | undefined): Promise<void> {
    const from = this.placement;
    const session = sessionNow();
    if (!from || this.moving || !session) return;
    this.moving = this.away = true;
    const left = session.leave({ keyHash: from.keyHash, fence: from.fence, planned: wish.planned });
    await Promise.race([left, delay(wish.patienceMs)]);
    await delay(wish.gapMs);
    if (!this.moving) return; // it was lost in mid-move
    this.moving = this.away = false;
    if (this.placement !== from) return; // it ended while it left
    sessionNow()?.enter(this.next(from.origin, wish.by));
  }

  /** It started anew in mid-move: it knows what it had on disk, and nothing of the move. */
  forget(): void {
    this.moving = this.away = false;
  }

  /** From now on it is somewhere else. */
  next(from: string, by: number): Placement {
    const index = this.#origins.findIndex(({ id }) => id === from);
    const origin = this.#origins[(index + by) % this.#origins.length];
    return (this.placement = this.#at(origin?.id ?? from, from));
  }

  /** The carrier's table, where something was missed: its one session, if it has it. */
  reads(row: LivePlacement | undefined): void {
    if (row) this.#takes(row);
    else if (!this.moving) this.placement = undefined;
  }

  /** What a carrier has decided while it could not ask is known only to it. (What is older than we have said since it knows from before.) */
  #takes({ origin, fence }: LivePlacement): void {
    if (fence < this.#fence) return;
    this.#fence = fence;
    if (fence > (this.placement?.fence ?? 0)) this.placement = { ...this.#at(origin, undefined), fence };
  }

  #answer({ keyHash, live, excluded, unreached }: PlaceItem): PlaceAnswer {
    const refused: PlaceAnswer = { kind: "refused", keyHash, why: "no-origin", epoch: 1 };
    if (this.moving) return { kind: "moving", keyHash };
    if (this.refuses) return refused;
    if (live) this.#takes(live);
    const known = this.placement;
    const isWell = ({ id, health }: FakeOrigin): boolean => this.keepsPlacing || (health === "well" && !excluded.includes(id));
    const stays = known && (!excluded.includes(known.origin) || (!unreached && this.#healthOf(known.origin) === "well"));
    if (stays) return { kind: "placed", placement: known };
    const origin = this.#origins.find(isWell);
    if (!origin) return refused;
    this.placement = this.#at(origin.id, known?.origin);
    return { kind: "placed", placement: this.placement };
  }

  #nextFence(): number {
    return (this.#fence = nextFence(this.#fence, Date.now()));
  }

  #healthOf(id: string): FakeOrigin["health"] | undefined {
    return this.#origins.find((origin) => origin.id === id)?.health;
  }

  #at(origin: string, movedFrom: string | undefined): Placement {
    const url = `http://${origin}`;
    return { keyHash: "k", origin, region: "weur", url, epoch: 1, fence: this.#nextFence(), reason: "owner", replicas: [], movedFrom };
  }
}
