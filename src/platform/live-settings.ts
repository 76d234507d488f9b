// The settings that an object goes by, which change under it: the parts of the object hold this one thing and read from it what they need when
// they need it. Swapped whole, in one synchronous step, so that nobody sees half of two.

import type { Settings } from "./env.ts";

export class LiveSettings implements Settings {
  #now: Settings;

  constructor(first: Settings) {
    this.#now = first;
  }

  swap(next: Settings): void {
    this.#now = next;
  }

  get config(): Settings["config"] {
    return this.#now.config;
  }

  get retired(): Settings["retired"] {
    return this.#now.retired;
  }

  get dev(): boolean {
    return this.#now.dev;
  }

  get secrets(): Settings["secrets"] {
    return this.#now.secrets;
  }

  get tokenSecrets(): Settings["tokenSecrets"] {
    return this.#now.tokenSecrets;
  }

  get access(): Settings["access"] {
    return this.#now.access;
  }

  get hooks(): Settings["hooks"] {
    return this.#now.hooks;
  }
}
