// The `limpet` command line (Node). A failure is one sentence that says what to do, and an exit code that a script can read.

import { CommandFault } from "./fault.ts";
import { limpetProgram } from "./program.ts";

// When the watchman (bin/limpet.js) is gone, however it ended, nobody is left to work for.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref(); // and listening for that is no reason to go on

// Who read us has seen enough: `limpet events --follow | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await limpetProgram().parseAsync();
} catch (error) {
  if (!(error instanceof CommandFault)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
