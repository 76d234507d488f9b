// The `limpet` command line (Node). Each command is a file beside this one; a failure is one sentence that says what to do.

import { Command, InvalidArgumentError } from "commander";
import { CommandFault } from "./fault.ts";
import { dev } from "./dev.ts";
import { move } from "./move.ts";
import { start } from "./start.ts";

const port = (text: string): number => {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : NaN; // `Number` alone takes "" for 0
  if (!(value <= 65_535)) throw new InvalidArgumentError("a port is a whole number from 0 to 65535 (0: any free one).");
  return value;
};

const program = new Command("limpet").description("Session affinity at the edge: run it locally, and look into a running one.");

program
  .command("dev")
  .description("run the router on this machine against the origins of a configuration")
  .option("--config <file>", "the configuration, .ts or .json", "limpet.config.ts")
  .option("--port <number>", "where to listen on 127.0.0.1", port, 8787)
  .option("--json", "print one line of JSON when ready, and nothing else", false)
  .action(dev);

program
  .command("start")
  .description("run the router with four collaboration servers, a page to try it and the dashboard")
  .option("--port <number>", "where to listen on 127.0.0.1", port, 8787)
  .action(start);

program
  .command("move")
  .description("move one live session to another origin and keep it there, or to where the ring says")
  .argument("<pool>", "its pool")
  .argument("<key>", "its key, or that key's hash as the records tell it")
  .option("--to <origin>", "the origin; without one every order ends, and the session goes where the ring says")
  .option("--router <url>", "where the router is (LIMPET_URL; default: http://127.0.0.1:8787)")
  .option("--token <token>", "a token that may operate (LIMPET_TOKEN; of a router on this machine: dev)")
  .option("--json", "print the session as one line of JSON", false)
  .action(move);

// When the watchman (bin/limpet.js) is gone, however it ended, nobody is left to work for.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref(); // and listening for that is no reason to go on

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommandFault)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
