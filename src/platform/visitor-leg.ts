// How a visitor's leg of a WebSocket is accepted: half-open, so that a close is answered with the origin's word. Where sessions are parked the
// socket is accepted for hibernation instead (parking.ts): it outlives this object's memory.

import { brokenProtocol, closeOf, LOST } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import type { AcceptVisitor } from "./connection.ts";

export const acceptAwake: AcceptVisitor = (socket, visitor) => {
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", (event) => visitor.said(event.data as Frame)); // binaryType rules blobs out
  socket.addEventListener("close", (event) => visitor.closed(closeOf(event)));
  socket.addEventListener("error", (event) => visitor.lost(brokenProtocol(event.message) ?? LOST));
  socket.accept({ allowHalfOpen: true });
};
