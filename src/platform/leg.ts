// An origin's leg of a WebSocket, from its handshake to its end. Whoever leaves it says so, and cuts it where it does not answer: a peer that
// hangs would keep its socket for good.

import { MOVING, type Close } from "../core/close-codes.ts";
import type { Placement } from "../core/protocol.ts";
import type { Opening } from "./connection.ts";
import { dial, isGatewayFault, type Handshake } from "./dial.ts";
import type { Outlet } from "./outlet.ts";

/** For the answer to get out: whoever was really lost is not there to be cut. */
const GONE_CUT_MS = 1_000;

export const SUBPROTOCOL = "sec-websocket-protocol";

/** Who dials, and what its visitor was told of a subprotocol: `null`, that there is none; `undefined`, nothing yet. */
interface Dialler {
  readonly handshake: Handshake;
  readonly told: string | null | undefined;
  readonly closeDeadlineMs: number;
  readonly outlet: (socket: WebSocket) => Outlet;
  readonly begin: (leg: Leg, response: Response) => void;
}

/** Opens a leg. Never throws. `abort` ends it any time. */
export async function openLeg(
  { handshake, told, closeDeadlineMs, outlet, begin }: Dialler,
  placement: Placement,
  abort: AbortController,
): Promise<Opening> {
  let response: Response;
  try {
    response = await dial(handshake, placement, { Upgrade: "websocket" }, abort);
  } catch {
    return { kind: "unreachable" };
  }
  const socket = response.webSocket;
  if (socket) {
    const leg = new Leg(outlet(socket), abort);
    if (told === undefined || response.headers.get(SUBPROTOCOL) === told)
      return { kind: "open", begin: () => begin(leg, response), discard: () => leg.discard(closeDeadlineMs) };
    leg.discard(closeDeadlineMs); // the visitor was told another subprotocol, and cannot be told again: to the session, a refusal
    return { kind: "answered", response: new Response(null, { status: 426 }) };
  }
  if (!isGatewayFault(response.status)) return { kind: "answered", response };
  await response.body?.cancel();
  return { kind: "unreachable" };
}

export class Leg {
  readonly outlet: Outlet;
  /** Nothing it says is delivered any more. */
  muted = false;
  /** Set while we wait for its close; told whether it came. */
  closed: ((isHeard: boolean) => void) | undefined;
  readonly #abort: AbortController;
  #cutting: ReturnType<typeof setTimeout> | undefined;

  constructor(outlet: Outlet, abort: AbortController) {
    this.outlet = outlet;
    this.#abort = abort;
  }

  /** Ends its TCP connection without a word. */
  cut(): void {
    this.#abort.abort();
    this.outlet.lost();
  }

  /** Nothing of it is heard any more. `isHeard`: whether whoever waits for its close may take it for heard to the end. */
  leave(close: Close | undefined, isHeard: boolean, deadlineMs: number): void {
    this.muted = true;
    this.closed?.(isHeard);
    this.outlet.close(close);
    this.#cutting = setTimeout(() => this.cut(), deadlineMs);
  }

  /** It has gone by itself. Of an origin that broke the protocol more may be left than its word: it is answered, and then cut. */
  gone(): void {
    if (this.#cutting !== undefined) clearTimeout(this.#cutting);
    this.outlet.lost();
    this.#cutting = setTimeout(() => this.cut(), GONE_CUT_MS);
  }

  /** It was opened, and nobody wants it. */
  discard(deadlineMs: number): void {
    try {
      this.outlet.socket.accept({ allowHalfOpen: true });
    } catch {
      // It was accepted already, or is closed: closing it is all that is left.
    }
    this.leave(MOVING, false, deadlineMs);
  }
}
