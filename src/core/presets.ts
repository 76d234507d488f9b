// How known protocols name their sessions: a preset is the `session` of a route that nobody has to find out again.

import type { LearnedSource } from "./config-types.ts";

export const PRESETS = ["socket.io", "mcp"] as const;
export type Preset = (typeof PRESETS)[number];

export const PRESET_SESSIONS: Readonly<Record<Preset, readonly LearnedSource[]>> = {
  /** Engine.IO 4: the server issues `sid` in the open packet of a polling handshake; every later request and the upgrade bear it. */
  "socket.io": [{ kind: "query", name: "sid", learn: true }],
  /** MCP's streamable HTTP (2025-11-25 and before): the server issues it on the answer to `initialize`. */
  mcp: [{ kind: "header", name: "mcp-session-id", learn: true }],
};
