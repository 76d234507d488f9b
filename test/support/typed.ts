// What the program says to a line that is typed, without running anything.

import type { Command } from "commander";
import { limpetProgram } from "../../src/cli/program.ts";

/** Nothing: the line can be typed. */
export async function typed(...args: readonly string[]): Promise<string> {
  const program = limpetProgram();
  let said = "";
  const each = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => (said += text), writeOut: (text) => (said += text) });
    for (const sub of command.commands) each(sub.action(() => undefined));
  };
  each(program);
  await program.parseAsync(args, { from: "user" }).catch((error: unknown) => (said += String(error)));
  return said;
}
