// The few things the pages do to the document. What must stay true: whatever comes from outside becomes text, never markup, and what
// has not changed is not touched, so that selections, focus and screen readers are left in peace.

/** The element the page's own markup promises. */
export function byId<E extends HTMLElement>(id: string, kind: abstract new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${kind.name} #${id}`);
}

export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setTone(element: HTMLElement, tone: Tone): void {
  if (element.dataset["tone"] !== tone) element.dataset["tone"] = tone;
}

export type Tone = "good" | "warn" | "bad" | "plain";

/** Keeps one child of `parent` per item, by key, in the items' order; children that stay are the same elements as before. */
export class Children<Item, Child extends { readonly element: HTMLElement }> {
  readonly #parent: HTMLElement;
  readonly #create: (item: Item) => Child;
  readonly #update: (child: Child, item: Item) => void;
  readonly #children = new Map<string, Child>();

  constructor(parent: HTMLElement, create: (item: Item) => Child, update: (child: Child, item: Item) => void) {
    this.#parent = parent;
    this.#create = create;
    this.#update = update;
  }

  get(key: string): Child | undefined {
    return this.#children.get(key);
  }

  show(items: readonly Item[], keyOf: (item: Item) => string): void {
    const wanted = new Set(items.map(keyOf));
    for (const [key, child] of this.#children) {
      if (wanted.has(key)) continue;
      child.element.remove();
      this.#children.delete(key);
    }
    for (const [index, item] of items.entries()) {
      const child = this.#childOf(keyOf(item), item);
      this.#update(child, item);
      const there = this.#parent.children[index];
      if (there !== child.element) this.#parent.insertBefore(child.element, there ?? null);
    }
  }

  #childOf(key: string, item: Item): Child {
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const child = this.#create(item);
    this.#children.set(key, child);
    return child;
  }
}
