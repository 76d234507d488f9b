// The visitors' WebSockets, in a process of their own.

import { Connection } from "./client.ts";
import { serveTasks } from "./driving.ts";

if (process.argv[1] === import.meta.filename) serveTasks((port, id) => Connection.open(port, id));
