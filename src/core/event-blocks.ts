// Cuts the bytes of an event stream (WHATWG HTML §9.2.5) where nothing is half said: after the blank line that ends a block, and after a comment
// that stands before one. What is whole passes as it came, and is not copied where its chunk ends there; the rest waits, bounded. Of a block's
// lines only its ids are read, by the library, one line at a time: a large event is not decoded for them.

import { createParser } from "eventsource-parser";

/** Of one block what may wait for its end. */
export const BLOCK_MAX_BYTES = 1024 * 1024;
/** A longer id is not remembered: it would have to go into a header, and servers take about 8 KiB of those. */
export const EVENT_ID_MAX_BYTES = 4 * 1024;

/** A block that says an id, and where it is in the bytes. */
export interface NamedBlock {
  /** `undefined`: longer than EVENT_ID_MAX_BYTES. */
  readonly id: string | undefined;
  readonly from: number;
  readonly to: number;
}

export interface Whole {
  readonly bytes: Uint8Array;
  readonly named: readonly NamedBlock[];
}

const [LF, CR, SPACE, COLON, LETTER_D, LETTER_I] = [10, 13, 32, 58, 100, 105];
const BOM = [0xef, 0xbb, 0xbf];
const NOTHING = new Uint8Array(0);
const UTF8 = new TextDecoder();

export class EventBlocks {
  /** A buffer that grows, and how much of it is filled: the beginning of a block that has not ended. */
  #waiting = NOTHING;
  #waitingBytes = 0;
  /** Where the present line begins, counted from the first byte that waits. */
  #lineAt = 0;
  /** Whether the present block has any line but comments, and the id that it has said. */
  #hasFields = false;
  #id: { readonly value: string | undefined } | undefined;
  #endedWithCr = false;
  /** What may be the beginning of a byte order mark; `undefined` once the stream has begun. */
  #mark: Uint8Array | undefined = NOTHING;
  readonly #parser = createParser({ onEvent: ({ id }) => this.#says(id) });

  /** Whether nothing is half here. */
  get isWhole(): boolean {
    return this.#waitingBytes === 0;
  }

  /** Memory that is held for what waits. */
  get heldBytes(): number {
    return this.#waiting.byteLength;
  }

  /** What is whole now; `undefined` when more of a block waits than may. */
  push(chunk: Uint8Array): Whole | undefined {
    const fresh = this.#withoutMark(chunk);
    const before = this.#waitingBytes;
    const named: NamedBlock[] = [];
    let whole = 0; // up to here nothing is half said, and here the present block begins
    const hasCr = fresh.includes(CR);
    for (let index = lineEnd(fresh, 0, hasCr); index >= 0; index = lineEnd(fresh, index + 1, hasCr)) {
      const from = this.#lineAt;
      const at = before + index;
      this.#lineAt = at + 1;
      if (fresh[index] === LF && (index === 0 ? this.#endedWithCr : fresh[index - 1] === CR)) {
        if (whole === at) whole++; // the second half of the line's end that made it whole
      } else if (from === at) {
        if (this.#id) named.push({ id: this.#id.value, from: whole, to: at + 1 });
        this.#id = undefined;
        this.#hasFields = false;
        whole = at + 1;
      } else if (this.#lineByte(fresh, from) !== COLON) {
        this.#hasFields = true;
        this.#readId(fresh, from, at);
      } else if (!this.#hasFields) whole = at + 1;
    }
    if (fresh.byteLength > 0) this.#endedWithCr = fresh[fresh.byteLength - 1] === CR;
    const bytes = this.#take(fresh, whole);
    return bytes && { bytes, named };
  }

  /** What waits when the stream has ended: half a block. */
  rest(): Uint8Array {
    return this.#waiting.subarray(0, this.#waitingBytes);
  }

  /** The bytes up to `whole`, counted like lines; what follows waits from now on. */
  #take(fresh: Uint8Array, whole: number): Uint8Array | undefined {
    const split = Math.max(0, whole - this.#waitingBytes);
    let bytes = split === fresh.byteLength ? fresh : fresh.subarray(0, split);
    if (whole > 0 && this.#waitingBytes > 0) {
      this.#wait(bytes);
      bytes = this.rest();
    }
    if (whole > 0) {
      this.#waiting = NOTHING; // it is part of what is handed out
      this.#waitingBytes = 0;
      this.#lineAt -= whole;
    }
    if (this.#waitingBytes + fresh.byteLength - split > BLOCK_MAX_BYTES) return undefined;
    if (split < fresh.byteLength) this.#wait(fresh.subarray(split));
    return bytes;
  }

  /** Copied: a chunk of one byte may stand in a buffer of thousands. */
  #wait(bytes: Uint8Array): void {
    const needed = this.#waitingBytes + bytes.byteLength;
    if (needed > this.#waiting.byteLength) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#waiting.byteLength));
      grown.set(this.rest());
      this.#waiting = grown;
    }
    this.#waiting.set(bytes, this.#waitingBytes);
    this.#waitingBytes = needed;
  }

  #lineByte(fresh: Uint8Array, at: number): number | undefined {
    return at < this.#waitingBytes ? this.#waiting[at] : fresh[at - this.#waitingBytes];
  }

  #readId(fresh: Uint8Array, from: number, to: number): void {
    if (this.#lineByte(fresh, from) !== LETTER_I || this.#lineByte(fresh, from + 1) !== LETTER_D) return;
    if (to > from + 2 && this.#lineByte(fresh, from + 2) !== COLON) return;
    const valueAt = from + (this.#lineByte(fresh, from + 3) === SPACE ? 4 : 3);
    if (to - valueAt > EVENT_ID_MAX_BYTES) {
      this.#id = { value: undefined };
      return;
    }
    const tail = fresh.subarray(Math.max(0, from - this.#waitingBytes), to - this.#waitingBytes);
    const line = from < this.#waitingBytes ? joined(this.rest().subarray(from), tail) : tail;
    // The library says the id of a block that has data, and these lines are such a block.
    this.#parser.feed(`${UTF8.decode(line)}\ndata:\n\n`);
  }

  /** An id with a NUL in it is none. */
  #says(id: string | undefined): void {
    if (id !== undefined) this.#id = { value: id };
  }

  #withoutMark(chunk: Uint8Array): Uint8Array {
    if (!this.#mark) return chunk;
    const first = this.#mark.byteLength === 0 ? chunk : joined(this.#mark, chunk);
    const isMark = BOM.every((byte, index) => index >= first.byteLength || first[index] === byte);
    this.#mark = isMark && first.byteLength < BOM.length ? first.slice() : undefined;
    if (this.#mark) return NOTHING;
    return isMark ? first.subarray(BOM.length) : first;
  }
}

/** Where the next line ends, -1 when it does not. Most streams have no CR, and the runtime's own search is several times as fast as a loop. */
function lineEnd(bytes: Uint8Array, from: number, hasCr: boolean): number {
  if (!hasCr) return bytes.indexOf(LF, from);
  for (let index = from; index < bytes.byteLength; index++) if (bytes[index] === LF || bytes[index] === CR) return index;
  return -1;
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const both = new Uint8Array(head.byteLength + tail.byteLength);
  both.set(head);
  both.set(tail, head.byteLength);
  return both;
}
