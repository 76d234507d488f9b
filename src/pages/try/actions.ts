// The buttons: drain, kill, bring back. Each says what it does before it is pressed, and is written into the log when it was.

import { bearer, order, type Answer } from "../shared/answers.ts";
import { byId, setText } from "../shared/dom.ts";
import type { Journal } from "../shared/journal.ts";
import { absent, POOL, type KnownOrigin } from "./origins.ts";

export interface Scene {
  readonly origins: readonly KnownOrigin[];
  /** The document's origin. */
  readonly here: KnownOrigin | undefined;
  /** The demo's control server, where there is one. */
  readonly control: string | undefined;
}

export class Actions {
  readonly #drain = byId("drain", HTMLButtonElement);
  readonly #kill = byId("kill", HTMLButtonElement);
  readonly #revive = byId("revive", HTMLButtonElement);
  readonly #problem = byId("problem", HTMLElement);
  readonly #journal: Journal;
  readonly #token: string;
  readonly #afterwards: () => void;
  #scene: Scene = { origins: [], here: undefined, control: undefined };
  #isBusy = false;

  constructor(journal: Journal, token: string, afterwards: () => void) {
    this.#journal = journal;
    this.#token = token;
    this.#afterwards = afterwards;
    this.#drain.addEventListener("click", () => void this.#run(() => this.#drainHere()));
    this.#kill.addEventListener("click", () => void this.#run(() => this.#killHere()));
    this.#revive.addEventListener("click", () => void this.#run(() => this.#bringBack()));
  }

  show(scene: Scene): void {
    this.#scene = scene;
    const { here, control } = scene;
    const away = this.#revivable();
    setText(this.#drain, here === undefined ? "Drain" : `Drain ${here.id}`);
    this.#drain.disabled = this.#isBusy || here === undefined || here.isOut;
    this.#kill.hidden = control === undefined;
    setText(this.#kill, here === undefined ? "Kill" : `Kill ${here.id}`);
    this.#kill.disabled = this.#isBusy || here === undefined || here.isKilled;
    this.#revive.hidden = away.length === 0;
    setText(this.#revive, `Bring back ${away.map(({ id }) => id).join(", ")}`);
    this.#revive.disabled = this.#isBusy;
  }

  /** Without the control server only a drain can be undone. */
  #revivable(): readonly KnownOrigin[] {
    return absent(this.#scene.origins).filter(({ isOut }) => isOut || this.#scene.control !== undefined);
  }

  async #run(action: () => Promise<string[]>): Promise<void> {
    this.#isBusy = true;
    this.show(this.#scene);
    const problems = await action();
    this.#isBusy = false;
    setText(this.#problem, problems.join(" "));
    this.show(this.#scene);
    this.#afterwards();
  }

  async #drainHere(): Promise<string[]> {
    const { here } = this.#scene;
    if (here === undefined) return [];
    this.#journal.write(`You asked to drain ${here.id}.`);
    return complaints(`draining ${here.id}`, await this.#admin(here, "drain"));
  }

  async #killHere(): Promise<string[]> {
    const { here, control } = this.#scene;
    if (here === undefined || control === undefined) return [];
    this.#journal.write(`You killed ${here.id}: its process is gone without a word.`);
    return complaints(`killing ${here.id}`, await order(`${control}/fleet/${here.id}/kill`));
  }

  async #bringBack(): Promise<string[]> {
    const away = this.#revivable();
    this.#journal.write(`You asked to bring back ${away.map(({ id }) => id).join(", ")}.`);
    const problems = await Promise.all(away.map((origin) => this.#bringBackOne(origin)));
    return problems.flat();
  }

  async #bringBackOne(origin: KnownOrigin): Promise<string[]> {
    const { control } = this.#scene;
    const problems: string[] = [];
    if (origin.isKilled && control !== undefined) {
      problems.push(...complaints(`starting ${origin.id}`, await order(`${control}/fleet/${origin.id}/revive`)));
    }
    if (origin.isOut) problems.push(...complaints(`undraining ${origin.id}`, await this.#admin(origin, "undrain")));
    return problems;
  }

  #admin({ id, region }: KnownOrigin, action: "drain" | "undrain"): Promise<Answer<unknown>> {
    return order(`/_limpet/v1/rings/${POOL}/${region}/origins/${id}/${action}`, bearer(this.#token));
  }
}

function complaints(what: string, answer: Answer<unknown>): string[] {
  return answer.kind === "failed" ? [`That did not work, ${what}: the other side ${answer.sentence}.`] : [];
}
