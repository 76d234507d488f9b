// The platform's globals that Node has not: `WebSocketPair`, and a `Response` that may be 101 and carry a socket.

import { vi } from "vitest";
import { FakeSocket } from "./fake-socket.ts";

export function stubSockets(latencyMs: () => number): void {
  vi.stubGlobal("WebSocketPair", function () {
    const [visitor, router] = FakeSocket.pair(latencyMs());
    return { 0: visitor, 1: router };
  });
  const NodeResponse = Response;
  function Stub(body: BodyInit | null, init: { status?: number; headers?: Headers; webSocket?: FakeSocket } = {}): Response {
    const { webSocket, ...rest } = init;
    if (!webSocket) return new NodeResponse(body, rest);
    return Object.assign(new NodeResponse(body, { ...rest, status: 200 }), { webSocket });
  }
  vi.stubGlobal("Response", Object.assign(Stub, { json: NodeResponse.json.bind(NodeResponse) }));
}

/** What the platform's module is, as far as an object is built on it. */
export function mockPlatform(): object {
  return {
    DurableObject: class {
      readonly ctx: unknown;
      constructor(ctx: unknown) {
        this.ctx = ctx;
      }
    },
  };
}
