// The platform's globals that Node has not: `WebSocketPair`, and a `Response` that may be 101 and carry a socket.

import { vi } from "vitest";
import { FakeSocket } from "./fake-socket.ts";

export function stubSockets(latencyMs: () => number): void {
  vi.stubGlobal("WebSocketPair", function () {
    const [visitor, router] = FakeSocket.pair(latencyMs());
    return { 0: visitor, 1: router };
  });
  const NodeResponse = Response;
  vi.stubGlobal("Response", function (body: BodyInit | null, init: { status?: number; headers?: Headers; webSocket?: FakeSocket } = {}) {
    const { webSocket, ...rest } = init;
    if (!webSocket) return new NodeResponse(body, rest);
    return Object.assign(new NodeResponse(body, { ...rest, status: 200 }), { webSocket });
  });
}
