// The admin token: what was given in this tab, on a loopback address first the one of dev, else asked for.

import { byId, setText } from "../shared/dom.ts";

const KEPT_AS = "limpet-admin-token";
const DEV_TOKEN = "dev";
const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

export class TokenKeeper {
  readonly #form = byId("token-form", HTMLFormElement);
  readonly #field = byId("token", HTMLInputElement);
  readonly #problem = byId("token-problem", HTMLElement);
  #token: string;

  /** `onGiven`: the visitor has given a token to try. */
  constructor(onGiven: () => void) {
    this.#token = sessionStorage.getItem(KEPT_AS) ?? (LOOPBACK.has(location.hostname) ? DEV_TOKEN : "");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#token = this.#field.value.trim();
      this.#field.value = "";
      this.#form.hidden = true;
      onGiven();
    });
  }

  get value(): string {
    return this.#token;
  }

  get isAsking(): boolean {
    return !this.#form.hidden;
  }

  accept(): void {
    if (this.#token !== DEV_TOKEN) sessionStorage.setItem(KEPT_AS, this.#token);
  }

  refuse(): void {
    sessionStorage.removeItem(KEPT_AS);
    const wasGiven = this.#token !== "" && this.#token !== DEV_TOKEN;
    setText(this.#problem, wasGiven ? "That token was not accepted." : "");
    this.#form.hidden = false;
    this.#field.focus();
  }
}
