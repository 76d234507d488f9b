// What both relays here share: the object that a connection belongs to, and its leg to the origin, not accepted yet.

const ORIGIN = "https://web-1.example.com";
/** As many as a pool of Limpet has by default (`carriers`). */
const OBJECTS_COUNT = 4;

/** Connections take turns: the last segment of their path is a number. */
export function relayOf<Relay extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<Relay>,
  request: Request,
): DurableObjectStub<Relay> {
  const id = Number(request.url.slice(request.url.lastIndexOf("/") + 1));
  return namespace.get(namespace.idFromName(String(id % OBJECTS_COUNT)));
}

export async function dial(request: Request): Promise<WebSocket> {
  const { webSocket } = await fetch(ORIGIN + new URL(request.url).pathname, { headers: { Upgrade: "websocket" } });
  if (!webSocket) throw new Error("the origin refused the upgrade");
  webSocket.binaryType = "arraybuffer";
  return webSocket;
}
