// A small line of the last minute's connections. It says more or less, not how much: the number stands beside it.

const SVG = "http://www.w3.org/2000/svg";
const VALUES_MAX = 60;
const WIDTH = 128;
const HEIGHT = 30;
const MARGIN = 2;

export class Trend {
  readonly element = document.createElementNS(SVG, "svg");
  readonly #line = document.createElementNS(SVG, "polyline");
  readonly #values: number[] = [];

  constructor() {
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("aria-hidden", "true");
    this.element.append(this.#line);
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > VALUES_MAX) this.#values.shift();
    this.#line.setAttribute("points", pointsOf(this.#values));
  }
}

/** Newest at the right edge; the greatest value at the top, zero at the bottom. */
function pointsOf(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  const stepX = (WIDTH - 2 * MARGIN) / (VALUES_MAX - 1);
  return values
    .map((value, index) => {
      const x = WIDTH - MARGIN - (values.length - 1 - index) * stepX;
      const y = HEIGHT - MARGIN - (value / top) * (HEIGHT - 2 * MARGIN);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
