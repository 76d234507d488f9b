// The cases of the WebSocket conformance test (RFC 6455): what a peer sends, made by hand. `differs` declares what is seen through a relay
// in another way than directly, and why; without it both must be the same. Through a splice both always are.

import { createHash } from "node:crypto";
import { BINARY, CLOSE, closePayload, CONTINUATION, PING, PONG, TEXT, type RawPeer } from "./raw-websocket.ts";

/** What one side saw of a connection, in words that compare well. */
export interface Seen {
  /** Whole messages, in order, as `describeMessage` says them; pongs among them where the peer is a raw one. */
  readonly heard: readonly string[];
  /** The close it received, e.g. "1000 bye"; "no code"; "none" when the connection ended without one. */
  readonly close: string;
}

/** Of the side whose frames are made by hand, and of the other. */
export interface Outcome {
  readonly sender: Seen;
  readonly receiver: Seen;
}

/** A pattern is for what is not the same each time; it is held against the lines of what was heard. */
interface Otherwise {
  readonly heard?: readonly string[] | RegExp;
  readonly close?: string | RegExp;
}

export interface Difference {
  readonly sender?: Otherwise;
  readonly receiver?: Otherwise;
  readonly because: string;
}

/** Who sends the frames: a visitor to an origin that echoes, or an origin to a visitor that listens. */
export type Role = "visitor" | "origin";

export interface Case {
  readonly group: "frames" | "fragmentation" | "utf-8" | "close" | "limits";
  readonly name: string;
  /** What the peer sends. Resolving leaves the end to the other side, unless the case closes itself. */
  readonly send: (peer: RawPeer) => unknown;
  readonly differs?: Partial<Record<Role, Difference>> | undefined;
}

export function describeMessage(data: Buffer, binary: boolean): string {
  const what = data.length <= 40 ? JSON.stringify(data.toString("latin1")) : `${data.length} bytes ${createHash("sha1").update(data).digest("hex")}`;
  return `${binary ? "binary" : "text"} ${what}`;
}

const both = (difference: Difference): Case["differs"] => ({ visitor: difference, origin: difference });

/** A library ends TCP when the other side broke the protocol; a Worker cannot, and says 1011. The runtime adds its reason to 1002 and 1009. */
const BREAKS = both({
  sender: { close: /^1002 ./ },
  receiver: { close: "1011 the other side broke the WebSocket protocol" },
  because: "a Worker cannot end a connection without a close; the runtime adds a reason to its 1002",
});
const TOO_LARGE_AT_ONCE = both({
  sender: { close: /^(1009 .+|none)$/ },
  receiver: { close: "1011 the other side sent a message of more than 32 MiB" },
  because: "the runtime ends TCP right behind its 1009 while the rest of the message is coming: whether the sender gets to read it is chance",
});
const TOO_LARGE = both({
  sender: { close: /^1009 ./ },
  receiver: { close: "1011 the other side sent a message of more than 32 MiB" },
  because: "a Worker cannot end a connection without a close; the runtime adds a reason to its 1009",
});
/** The same after a message that an origin answers. */
const BREAKS_AFTER_MESSAGE: Case["differs"] = {
  ...BREAKS,
  visitor: {
    sender: { heard: /^(text "whole")?$/, close: /^1002 ./ },
    receiver: { close: "1011 the other side broke the WebSocket protocol" },
    because: "the runtime closes at once, while the origin's answer may be on its way",
  },
};
const CUT = {
  visitor: { receiver: { close: "1011 the connection was lost" }, because: "a Worker cannot end a connection without a close" },
  origin: {
    receiver: { close: "1012 service restart: please reconnect" },
    because: "an origin that is lost is dialled again, and where the protocol cannot bear that the visitor is told to come back",
  },
} as const satisfies Case["differs"];
const ILLEGAL_CODE = both({
  receiver: { close: "1011 why" },
  because: "a Worker cannot end a connection without a close; its reason passes",
});
const NO_CODE = both({
  sender: { close: "no code" },
  receiver: { close: "no code" },
  because: "the runtime reports it as a close without a code, which it then is",
});
const LATEST_PONG = "the runtime answers the latest ping for certain, as RFC 6455 §5.5.3 allows";
/** The runtime takes control frames of any length, and what follows is heard. */
const LONG_CONTROL = (pong: Buffer | undefined): Case["differs"] =>
  both({
    sender: { ...(pong ? { heard: [`pong ${describeMessage(pong, true)}`] } : {}), close: "1000 done" },
    receiver: { close: "1000 done" },
    because: "the runtime does not check the length of control frames",
  });

/** What the runtime makes of bytes that are no UTF-8, before a Worker sees them. */
function replaced(bytes: Buffer): Case["differs"] {
  const text = describeMessage(Buffer.from(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)), false);
  const because = "the runtime decodes texts without checking them: what is no UTF-8 becomes U+FFFD before a Worker sees it";
  const receiver = { heard: [text], close: "1000 done" };
  return {
    visitor: { sender: { heard: [text], close: "1000 done" }, receiver, because },
    origin: { sender: { close: "1000 done" }, receiver, because },
  };
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Ends a case in order, after what it sent. */
const bye = (peer: RawPeer): void => peer.send(CLOSE, closePayload(1000, "done"));

function row(group: Case["group"], name: string, send: Case["send"], differs?: Case["differs"]): Case {
  return { group, name, send, differs };
}

/** A case that closes in order after its frames. */
function orderly(group: Case["group"], name: string, send: (peer: RawPeer) => void, differs?: Case["differs"]): Case {
  return row(
    group,
    name,
    (peer) => {
      send(peer);
      bye(peer);
    },
    differs,
  );
}

const bytes = (length: number): Buffer => Buffer.alloc(length, "limpet-");

function frames(): Case[] {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, MIB];
  return [
    ...lengths.map((length) => orderly("frames", `a text of ${length} bytes`, (peer) => peer.send(TEXT, bytes(length)))),
    ...lengths.map((length) => orderly("frames", `${length} binary bytes`, (peer) => peer.send(BINARY, bytes(length)))),
    orderly("frames", "a length written longer than it must be (2 bytes)", (peer) => peer.send(TEXT, "short", { lengthBytes: 2 })),
    orderly("frames", "a length written longer than it must be (8 bytes)", (peer) => peer.send(TEXT, "short", { lengthBytes: 8 })),
    orderly("frames", "a hundred messages in one write", (peer) => {
      peer.socket.write(Buffer.concat(Array.from({ length: 100 }, (_, n) => peer.frame(n % 2 ? TEXT : BINARY, `message ${n}`))));
    }),
    row("frames", "a message byte by byte", async (peer) => {
      for (const byte of peer.frame(TEXT, "slowly, zwölf ☃")) {
        peer.socket.write(Buffer.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      bye(peer);
    }),
    ...[1, 2, 4, 7].map((rsv) =>
      row("frames", `reserved bits ${rsv.toString(2).padStart(3, "0")}`, (peer) => peer.send(TEXT, "reserved", { rsv }), BREAKS),
    ),
    row("frames", "a reserved bit on a ping", (peer) => peer.send(PING, "reserved", { rsv: 2 }), BREAKS),
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => row("frames", `unknown opcode ${opcode}`, (peer) => peer.send(opcode, "?"), BREAKS)),
    row(
      "frames",
      "a whole message, then an unknown opcode",
      (peer) => {
        peer.send(TEXT, "whole");
        peer.send(3, "?");
      },
      BREAKS_AFTER_MESSAGE,
    ),
    ...[0, 1, 124, 125].map((length) => orderly("frames", `a ping with ${length} bytes`, (peer) => peer.send(PING, bytes(length)))),
    orderly("frames", "a ping with 126 bytes", (peer) => peer.send(PING, bytes(126)), LONG_CONTROL(bytes(126))),
    orderly(
      "frames",
      "ten pings at once",
      (peer) => {
        for (let n = 0; n < 10; n++) peer.send(PING, `${n}`);
      },
      both({ sender: { heard: /(^|\n)pong binary "9"$/ }, because: LATEST_PONG }),
    ),
    orderly("frames", "a pong that nobody asked for", (peer) => peer.send(PONG, "unasked")),
    orderly("frames", "a pong with 126 bytes", (peer) => peer.send(PONG, bytes(126)), LONG_CONTROL(undefined)),
    row("frames", "a fragmented ping", (peer) => peer.send(PING, "half", { fin: false }), BREAKS),
    row("frames", "a fragmented pong", (peer) => peer.send(PONG, "half", { fin: false }), BREAKS),
    row(
      "frames",
      "a length with its highest bit set",
      (peer) => peer.socket.write(peer.frame(BINARY, "", { lengthBytes: 8, claim: 2 ** 63 })),
      TOO_LARGE,
    ),
  ];
}

function fragmentation(): Case[] {
  const parts = (peer: RawPeer, opcode: number, pieces: readonly (string | Buffer)[]): void => {
    pieces.forEach((piece, index) => peer.send(index === 0 ? opcode : CONTINUATION, piece, { fin: index === pieces.length - 1 }));
  };
  return [
    orderly("fragmentation", "a text in 2 parts", (peer) => parts(peer, TEXT, ["hel", "lo"])),
    orderly("fragmentation", "binary in 2 parts", (peer) => parts(peer, BINARY, ["hel", "lo"])),
    orderly("fragmentation", "a text in 100 parts", (peer) =>
      parts(
        peer,
        TEXT,
        Array.from({ length: 100 }, (_, n) => `${n},`),
      ),
    ),
    orderly("fragmentation", "1 MiB in parts of 1 KiB", (peer) =>
      parts(
        peer,
        BINARY,
        Array.from({ length: KIB }, () => bytes(KIB)),
      ),
    ),
    orderly("fragmentation", "empty parts before, between and after", (peer) => parts(peer, TEXT, ["", "a", "", "", "b", ""])),
    orderly("fragmentation", "only empty parts", (peer) => parts(peer, TEXT, ["", "", ""])),
    orderly("fragmentation", "a ping between parts", (peer) => {
      peer.send(TEXT, "be", { fin: false });
      peer.send(PING, "between");
      peer.send(CONTINUATION, "tween");
    }),
    orderly(
      "fragmentation",
      "pings and pongs between many parts",
      (peer) => {
        peer.send(BINARY, "0", { fin: false });
        for (let n = 1; n < 5; n++) {
          peer.send(PING, `p${n}`);
          peer.send(CONTINUATION, `${n}`, { fin: false });
          peer.send(PONG, `q${n}`);
        }
        peer.send(CONTINUATION, "5");
      },
      {
        visitor: { sender: { heard: /(^|\n)pong binary "p4"\nbinary "012345"$/ }, because: LATEST_PONG },
        origin: { sender: { heard: /(^|\n)pong binary "p4"$/ }, because: LATEST_PONG },
      },
    ),
    orderly("fragmentation", "a close between parts", (peer) => peer.send(TEXT, "never who", { fin: false })),
    row("fragmentation", "a continuation of nothing", (peer) => peer.send(CONTINUATION, "of nothing"), BREAKS),
    row("fragmentation", "an unfinished continuation of nothing", (peer) => peer.send(CONTINUATION, "of nothing", { fin: false }), BREAKS),
    row(
      "fragmentation",
      "a continuation after a whole message",
      (peer) => {
        peer.send(TEXT, "whole");
        peer.send(CONTINUATION, "of nothing");
      },
      BREAKS_AFTER_MESSAGE,
    ),
    row(
      "fragmentation",
      "a new message inside a fragmented one",
      (peer) => {
        peer.send(TEXT, "one", { fin: false });
        peer.send(TEXT, "two");
      },
      BREAKS,
    ),
    row(
      "fragmentation",
      "a new fragmented message inside a fragmented one",
      (peer) => {
        peer.send(TEXT, "one", { fin: false });
        peer.send(BINARY, "two", { fin: false });
      },
      BREAKS,
    ),
    row(
      "fragmentation",
      "reserved bits on a continuation",
      (peer) => {
        peer.send(TEXT, "one", { fin: false });
        peer.send(CONTINUATION, "two", { rsv: 4 });
      },
      BREAKS,
    ),
    row(
      "fragmentation",
      "a message that is never finished, and a cut",
      (peer) => {
        peer.send(TEXT, "unfinished", { fin: false });
        peer.socket.end();
      },
      CUT,
    ),
  ];
}

function utf8(): Case[] {
  const good: readonly [name: string, hex: string][] = [
    ["a null", "00"],
    ["the last of 1 byte, U+007F", "7f"],
    ["the first of 2 bytes, U+0080", "c280"],
    ["the last of 2 bytes, U+07FF", "dfbf"],
    ["the first of 3 bytes, U+0800", "e0a080"],
    ["the last before the surrogates, U+D7FF", "ed9fbf"],
    ["the first after the surrogates, U+E000", "ee8080"],
    ["the replacement character, U+FFFD", "efbfbd"],
    ["a byte-order mark first", "efbbbf61"],
    ["no characters, U+FFFE and U+FFFF", "efbfbeefbfbf"],
    ["the first of 4 bytes, U+10000", "f0908080"],
    ["the last of all, U+10FFFF", "f48fbfbf"],
    ["Greek, as in RFC 3629's tests", "cebae1bdb9cf83cebcceb5"],
  ];
  const bad: readonly [name: string, hex: string][] = [
    ["a lone continuation byte", "80"],
    ["an unfinished character of 2 bytes", "61c3"],
    ["an unfinished character of 4 bytes", "f09f90"],
    ["an overlong slash", "c0af"],
    ["an overlong null of 3 bytes", "e08080"],
    ["an overlong character of 4 bytes", "f08080af"],
    ["a surrogate", "eda080"],
    ["a pair of surrogates", "eda080edb080"],
    ["beyond the last, U+110000", "f4908080"],
    ["a byte of no character, FE", "fe"],
    ["a byte of no character, FF", "ff"],
    ["good, bad, good", "cebaeda080656469746564"],
  ];
  const badParts: readonly [name: string, first: string, second: string][] = [
    ["bad across parts: a surrogate", "eda0", "80"],
    ["bad across parts: a beginning without its end", "f09f", "61"],
    ["bad in the last of two parts", "6162", "63ff"],
  ];
  const text = (hex: string) => (peer: RawPeer) => peer.send(TEXT, Buffer.from(hex, "hex"));
  const split = (first: string, second: string) => (peer: RawPeer) => {
    peer.send(TEXT, Buffer.from(first, "hex"), { fin: false });
    peer.send(CONTINUATION, Buffer.from(second, "hex"));
  };
  return [
    ...good.map(([name, hex]) => orderly("utf-8", name, text(hex))),
    orderly("utf-8", "a character split across parts", split("f09f", "909a")),
    orderly("utf-8", "every byte of a character in a part of its own", (peer) => {
      const [first = 0, ...others] = Buffer.from("🐚");
      peer.send(TEXT, Buffer.of(first), { fin: false });
      others.forEach((byte, index) => peer.send(CONTINUATION, Buffer.of(byte), { fin: index === others.length - 1 }));
    }),
    ...bad.map(([name, hex]) => orderly("utf-8", name, text(hex), replaced(Buffer.from(hex, "hex")))),
    ...badParts.map(([name, ...parts]) => orderly("utf-8", name, split(...parts), replaced(Buffer.from(parts.join(""), "hex")))),
    orderly("utf-8", "the same bytes as binary pass", (peer) => peer.send(BINARY, Buffer.from("fffeeda080", "hex"))),
    row(
      "utf-8",
      "a reason of a close that is no UTF-8",
      (peer) => peer.send(CLOSE, closePayload(1000, Buffer.from("ff", "hex"))),
      both({
        sender: { close: "1000 \uFFFD" },
        receiver: { close: "1000 \uFFFD" },
        because: "the runtime decodes reasons without checking them",
      }),
    ),
  ];
}

function closes(): Case[] {
  const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4001, 4999];
  const registered = [1012, 1013, 1014];
  const illegal = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
  const differs = (code: number): Case["differs"] => (code === 0 || code === 1005 ? NO_CODE : code === 1006 ? CUT : ILLEGAL_CODE);
  const reasons = ["", "x", "x".repeat(123), "é".repeat(61), "🐚".repeat(30), "zwölf ☃"];
  return [
    ...[...codes, ...registered].map((code) => row("close", `code ${code}`, (peer) => peer.send(CLOSE, closePayload(code, "why")))),
    ...illegal.map((code) => row("close", `illegal code ${code}`, (peer) => peer.send(CLOSE, closePayload(code, "why")), differs(code))),
    ...reasons.map((reason) =>
      row("close", `a reason of ${Buffer.byteLength(reason)} bytes (${reason.slice(0, 8)})`, (peer) => peer.send(CLOSE, closePayload(4000, reason))),
    ),
    row(
      "close",
      "a payload of 126 bytes",
      (peer) => peer.send(CLOSE, closePayload(1000, "x".repeat(124))),
      both({
        sender: { close: `1000 ${"x".repeat(123)}` },
        receiver: { close: `1000 ${"x".repeat(123)}` },
        because: "the runtime does not check the length of control frames; the reason is cut to what may be sent",
      }),
    ),
    row("close", "no code", (peer) => peer.send(CLOSE)),
    row("close", "a payload of 1 byte", (peer) => peer.send(CLOSE, Buffer.of(3)), NO_CODE),
    row("close", "a fragmented close", (peer) => peer.send(CLOSE, closePayload(1000), { fin: false }), BREAKS),
    row("close", "messages, then at once a close: all arrive", (peer) => {
      const all = Array.from({ length: 50 }, (_, n) => peer.frame(TEXT, `${n}`));
      peer.socket.write(Buffer.concat([...all, peer.frame(CLOSE, closePayload(4001, "all said"))]));
    }),
    row("close", "a message after the close is not heard", (peer) => {
      peer.socket.write(Buffer.concat([peer.frame(CLOSE, closePayload(1000)), peer.frame(TEXT, "too late")]));
    }),
    row("close", "a ping after the close is not answered", (peer) => {
      peer.socket.write(Buffer.concat([peer.frame(CLOSE, closePayload(1000)), peer.frame(PING, "too late")]));
    }),
    row("close", "a second close after the first", (peer) => {
      peer.socket.write(Buffer.concat([peer.frame(CLOSE, closePayload(4001)), peer.frame(CLOSE, closePayload(4002))]));
    }),
    row("close", "TCP ended without a close", (peer) => peer.socket.end(), CUT),
    row("close", "TCP cut without a close", (peer) => peer.socket.resetAndDestroy(), CUT),
    row("close", "a message, then TCP ended without a close", (peer) => peer.socket.end(peer.frame(TEXT, "last words")), {
      visitor: {
        sender: { heard: [] },
        receiver: { close: "1011 the connection was lost" },
        because: "a Worker cannot end a connection without a close, and what has ended TCP is told nothing more by the runtime",
      },
      origin: CUT.origin,
    }),
    row("close", "TCP ended in the middle of a frame", (peer) => peer.socket.end(peer.frame(TEXT, "half a frame").subarray(0, 9)), CUT),
  ];
}

function limits(): Case[] {
  const bound = 32 * MIB;
  return [
    orderly("limits", "16 MiB in one frame", (peer) => peer.send(BINARY, bytes(16 * MIB))),
    orderly("limits", "16 MiB and another message right behind", (peer) => {
      peer.send(BINARY, bytes(16 * MIB));
      peer.send(TEXT, "and");
    }),
    orderly("limits", "just under 32 MiB", (peer) => peer.send(BINARY, bytes(bound - 1))),
    orderly("limits", "32 MiB", (peer) => peer.send(BINARY, bytes(bound))),
    row("limits", "just above 32 MiB", (peer) => peer.send(BINARY, bytes(bound + 1)), TOO_LARGE_AT_ONCE),
    row(
      "limits",
      "just above 32 MiB in parts of 1 MiB",
      (peer) => {
        for (let n = 0; n < 32; n++) peer.send(n === 0 ? BINARY : CONTINUATION, bytes(MIB), { fin: false });
        peer.send(CONTINUATION, "!");
      },
      TOO_LARGE,
    ),
  ];
}

export const CASES: readonly Case[] = [...frames(), ...fragmentation(), ...utf8(), ...closes(), ...limits()];
