// All origins at a glance: one rock each, by region, and the shell that sits where the document is and glides when it moves.

import { Children, make, setText, setTone } from "../shared/dom.ts";
import { counted, toneOf } from "../shared/words.ts";
import type { KnownOrigin } from "./origins.ts";

const SVG = "http://www.w3.org/2000/svg";

/** The shell sits on a rock's upper right corner. */
const SHELL_FROM_RIGHT_PX = 36;
const SHELL_ABOVE_PX = 11;

interface Rock {
  readonly element: HTMLElement;
  readonly state: HTMLElement;
  readonly load: HTMLElement;
}

interface Region {
  readonly element: HTMLElement;
  readonly rocks: Children<KnownOrigin, Rock>;
}

type RegionOrigins = readonly [region: string, origins: readonly KnownOrigin[]];

export class Shore {
  readonly #element: HTMLElement;
  readonly #regions: Children<RegionOrigins, Region>;
  readonly #shell = shell();
  #here: string | undefined;

  constructor(element: HTMLElement) {
    this.#element = element;
    const regions = make("div");
    regions.style.display = "contents";
    element.append(regions);
    this.#regions = new Children<RegionOrigins, Region>(regions, newRegion, (region, [, origins]) => region.rocks.show(origins, ({ id }) => id));
    new ResizeObserver(() => this.#place(false)).observe(element);
  }

  show(origins: readonly KnownOrigin[], here: string | undefined): void {
    this.#element.hidden = origins.length === 0;
    this.#regions.show(byRegion(origins), ([region]) => region);
    const moves = here !== this.#here;
    const isFirst = this.#here === undefined;
    this.#here = here;
    if (moves || this.#shell.parentNode === null) this.#place(moves && !isFirst);
  }

  #place(glides: boolean): void {
    for (const rock of this.#element.querySelectorAll<HTMLElement>(".rock")) {
      rock.dataset["here"] = String(rock.dataset["origin"] === this.#here);
    }
    const rock = this.#element.querySelector<HTMLElement>('.rock[data-here="true"]');
    if (rock === null) return this.#shell.remove();
    if (this.#shell.parentNode === null) this.#element.append(this.#shell);
    this.#shell.dataset["gliding"] = String(glides);
    this.#shell.style.transform = `translate(${rock.offsetLeft + rock.offsetWidth - SHELL_FROM_RIGHT_PX}px, ${rock.offsetTop - SHELL_ABOVE_PX}px)`;
  }
}

function byRegion(origins: readonly KnownOrigin[]): readonly RegionOrigins[] {
  return [...new Set(origins.map(({ region }) => region))].map((region) => [region, origins.filter((origin) => origin.region === region)]);
}

function newRegion([name]: RegionOrigins): Region {
  const rocks = make("ul", "rocks");
  const element = make("div", "region", make("h3", "", name), rocks);
  return { element, rocks: new Children(rocks, newRock, showRock) };
}

function newRock({ id, isBackup }: KnownOrigin): Rock {
  const [state, load] = [make("p", "rock-state"), make("p", "muted small number")];
  const element = make("li", "rock", make("p", "rock-name", id, make("span", "muted small", isBackup ? " backup" : "")), state, load);
  element.dataset["origin"] = id;
  return { element, state, load };
}

function showRock(rock: Rock, origin: KnownOrigin): void {
  setText(rock.state, origin.state);
  setTone(rock.state, toneOf(origin.state));
  setText(rock.load, origin.sessions === 0 ? "" : counted(origin.sessions, "session"));
}

function shell(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "shell wanderer");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", "#shell-symbol");
  svg.append(use);
  return svg;
}
