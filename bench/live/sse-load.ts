// The visitors' and the origin's ends of event streams, in one process of their own: the arrival of an event is what lets the next go out, and
// no channel between two processes takes part in what is measured. Tells its ports first.

import { serveTasks } from "./driving.ts";
import { ORIGIN_PORTS_COUNT } from "./origin.ts";
import { Origin } from "./sse-origin.ts";
import { Stream } from "./sse-stream.ts";

if (process.argv[1] === import.meta.filename) {
  const origin = new Origin();
  const ports = await Promise.all(Array.from({ length: ORIGIN_PORTS_COUNT }, () => origin.listen()));
  serveTasks((port, id) => Stream.open(origin, port, id));
  process.send?.({ ports });
}
