// The origin that all contestants forward to: HTTP/1.1 with keep-alive, in a process of its own, and as little work as Node can do, so that
// it takes little from whoever is measured. On TOLD it answers with what the router told it. Knows requests without a body, nothing else.

import { createServer, type Socket } from "node:net";

/** The path whose answer is the `Limpet` field of the request. */
export const TOLD = "/told";
/** NGINX and HAProxy hash over several origins: these are theirs, all the same process. */
export const ORIGIN_PORTS_COUNT = 4;

const HEAD_END = "\r\n\r\n";
const ANSWER = answerOf(JSON.stringify({ hello: "x".repeat(86) }));

if (process.argv[1] === import.meta.filename) {
  const ports = await Promise.all(Array.from({ length: ORIGIN_PORTS_COUNT }, listen));
  process.send?.({ ports });
  process.once("disconnect", () => process.exit());
}

function listen(): Promise<number> {
  const server = createServer({ noDelay: true }, serve);
  const { promise, resolve } = Promise.withResolvers<number>();
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (typeof address === "object" && address !== null) resolve(address.port);
  });
  return promise;
}

function serve(socket: Socket): void {
  let pending = "";
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: string) => {
    pending += chunk;
    for (let end = pending.indexOf(HEAD_END); end >= 0; end = pending.indexOf(HEAD_END)) {
      const head = pending.slice(0, end);
      pending = pending.slice(end + HEAD_END.length);
      socket.write(head.startsWith(`GET ${TOLD} `) ? answerOf(/^limpet: (.*)$/im.exec(head)?.[1] ?? "") : ANSWER, "latin1");
    }
  });
}

function answerOf(body: string): string {
  // With what Node's own server says of each connection: a router must not take that for something to be taken out.
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n`;
  return `${head}Content-Length: ${body.length}${HEAD_END}${body}`;
}
