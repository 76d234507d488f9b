// Server-sent events as the benchmark sends and expects them: an id and a line of data each, both with the event's number, and some at once make
// one chunk of HTTP/1.1 (RFC 9112 §7.1). What comes is compared byte by byte, however it was chunked on its way; between two events comments
// may stand, as a router's keep-alive is one. So a hole, a doubled event or a changed one is told from what is due. Pure.

const DIGITS = 10;
const [COLON, LINE_FEED, CARRIAGE_RETURN] = [0x3a, 0x0a, 0x0d];

/** The events of one stream that go out together, numbered on from those before. */
export class Batch {
  /** As the origin writes it. */
  readonly chunk: Buffer;
  /** The chunk's inside. */
  readonly events: Buffer;
  readonly eventBytes: number;
  readonly #burst: number;
  readonly #dataBytes: number;
  #number = 0;

  /** `dataBytes` of each event's line of data; `first` is the number before the first. */
  constructor(stream: number, dataBytes: number, burst: number, first: number) {
    const filling = Buffer.alloc(dataBytes - DIGITS, `${stream}:`).toString("latin1");
    const none = "0".repeat(DIGITS);
    const event = `id: ${none}\ndata: ${filling}${none}\n\n`;
    const head = `${(event.length * burst).toString(16)}\r\n`;
    this.chunk = Buffer.from(`${head}${event.repeat(burst)}\r\n`, "latin1");
    this.events = this.chunk.subarray(head.length, -"\r\n".length);
    this.eventBytes = event.length;
    this.#burst = burst;
    this.#dataBytes = dataBytes;
    this.#number = first;
  }

  /** The number of the last event. */
  get number(): number {
    return this.#number;
  }

  /** The next events take the place of these. */
  renumber(): void {
    for (let nth = 0; nth < this.#burst; nth++) {
      const at = nth * this.eventBytes + "id: ".length;
      this.#number++;
      this.#write(at);
      this.#write(at + DIGITS + "\ndata: ".length + this.#dataBytes - DIGITS);
    }
  }

  #write(at: number): void {
    let left = this.#number;
    for (let digit = at + DIGITS - 1; digit >= at; digit--) {
      this.events[digit] = 0x30 + (left % 10);
      left = Math.floor(left / 10);
    }
  }
}

type Reading = "nothing" | "comment";

/** What has come of a batch. Throws where something else came. */
export class Arrival {
  #due: Batch | undefined;
  #matchedBytes = 0;
  #reading: Reading = "nothing";
  readonly #chunks = new Chunks((bytes) => this.#body(bytes));

  expect(batch: Batch): void {
    this.#due = batch;
    this.#matchedBytes = 0;
  }

  /** Bytes of the answer's body as they came over the wire; whether all that is due has come with them. */
  takes(wire: Buffer): boolean {
    const due = this.#due;
    const plain = due !== undefined && this.#matchedBytes === 0 && this.#reading === "nothing" && this.#chunks.between && wire.equals(due.chunk);
    if (plain) this.#matchedBytes = due.events.length;
    else this.#chunks.feed(wire);
    if (due === undefined || this.#matchedBytes < due.events.length || !this.#chunks.between) return false;
    this.#due = undefined;
    return true;
  }

  #body(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) at = this.#reading === "comment" ? this.#comment(bytes, at) : this.#event(bytes, at);
  }

  /** Behind the end of its line, where that has come. */
  #comment(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LINE_FEED, at);
    if (end >= 0) this.#reading = "nothing";
    return end < 0 ? bytes.length : end + 1;
  }

  #event(bytes: Buffer, at: number): number {
    const matched = this.#matchedBytes;
    const eventBytes = this.#due?.eventBytes ?? 1;
    const first = bytes[at];
    if (matched % eventBytes === 0 && (first === COLON || first === LINE_FEED)) {
      if (first === COLON) this.#reading = "comment";
      return at + 1;
    }
    const events = this.#due?.events.subarray(matched) ?? Buffer.alloc(0);
    const some = Math.min(bytes.length - at, eventBytes - (matched % eventBytes), events.length);
    if (some === 0 || bytes.compare(events, 0, some, at, at + some) !== 0) throw new Error(unlike(bytes.subarray(at), events));
    this.#matchedBytes += some;
    return at + some;
  }
}

function unlike(found: Buffer, due: Buffer): string {
  const shown = (bytes: Buffer): string => (bytes.length === 0 ? "nothing" : JSON.stringify(bytes.toString("latin1", 0, 80)));
  return `due was ${shown(due)}, and there came ${shown(found)}`;
}

/** An answer's chunks; whoever has chunked it may have cut it anywhere, and so may the sockets. */
class Chunks {
  readonly #onBody: (bytes: Buffer) => void;
  #line = "";
  /** Of the chunk's inside; `undefined` while its head is read. */
  #leftBytes: number | undefined;

  constructor(onBody: (bytes: Buffer) => void) {
    this.#onBody = onBody;
  }

  /** Nothing of a chunk is read yet. */
  get between(): boolean {
    return this.#leftBytes === undefined && this.#line === "";
  }

  feed(wire: Buffer): void {
    for (let at = 0; at < wire.length;) at = this.#leftBytes === undefined ? this.#head(wire, at) : this.#inside(wire, at, this.#leftBytes);
  }

  /** Its size, in a line of its own. */
  #head(wire: Buffer, at: number): number {
    const end = wire.indexOf(LINE_FEED, at);
    this.#line += wire.toString("latin1", at, end < 0 ? undefined : end + 1);
    if (end < 0) return wire.length;
    const size = /^([0-9a-f]{1,8})\r\n$/i.exec(this.#line)?.[1];
    if (size === undefined) throw new Error(`a chunk began with ${JSON.stringify(this.#line.slice(0, 80))}`);
    if (Number.parseInt(size, 16) === 0) throw new Error("the stream was ended");
    this.#line = "";
    this.#leftBytes = Number.parseInt(size, 16) + "\r\n".length;
    return end + 1;
  }

  #inside(wire: Buffer, at: number, leftBytes: number): number {
    const bodyBytes = Math.min(leftBytes - "\r\n".length, wire.length - at);
    if (bodyBytes > 0) {
      this.#onBody(wire.subarray(at, at + bodyBytes));
      this.#leftBytes = leftBytes - bodyBytes;
      return at + bodyBytes;
    }
    const wanted = leftBytes === 2 ? CARRIAGE_RETURN : LINE_FEED;
    if (wire[at] !== wanted) throw new Error("a chunk was longer than it said");
    this.#leftBytes = leftBytes === 2 ? 1 : undefined;
    return at + 1;
  }
}
