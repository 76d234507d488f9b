// The commands: their names, arguments, options and help. What each does is a file beside this one; those that need the runtime or a
// configuration are loaded when they are run, as the others are typed in a hurry.

import { Command, Help, Option } from "commander";
import { audit, events } from "./events.ts";
import { explain } from "./explain.ts";
import { move } from "./move.ts";
import { add, drain, remove, reweight, turnRegion, undrain } from "./orders.ts";
import { place } from "./places.ts";
import { plan } from "./plan.ts";
import { status } from "./status.ts";
import * as values from "./values.ts";

const EXAMPLES = `
Examples:
  limpet status --watch                       what every ring does, each second
  limpet explain /collab/doc-1 --from LHR     why a request goes where it goes
  limpet plan collab weur --remove weur-2     what that would move, before it is
  limpet drain weur-2 --wait                  until its process may end
  limpet apply limpet.config.ts --dry-run     what another one would change
  limpet events --follow --json | jq .        changes as they happen

Commands that ask a router take
  --router URL or LIMPET_URL      default http://127.0.0.1:8787
  --token TOKEN or LIMPET_TOKEN   of a router on this machine: dev
  --json                          one line of JSON for each result

Exit codes
  0  done
  1  not done: the sentence says why, and what to do
  2  plan: more would move than --max-moved
  3  --wait: not yet; the order stands

Runbooks: docs/operate.md`;

/** A program that has run nothing yet. */
export function limpetProgram(): Command {
  const program = new Command("limpet")
    .description("Session affinity at the edge: run it locally, look into a running one, and change it.")
    .addHelpText("after", EXAMPLES)
    .helpCommand(false)
    .configureHelp({ subcommandTerm, optionDescription });
  locally(program.commandsGroup("Run it on this machine:"));
  looking(program.commandsGroup("Look:"));
  ordering(program.commandsGroup("Origins and regions:"));
  others(program.commandsGroup("Sessions and configuration:"));
  return program;
}

/** `drain <origin>`: that each has options goes without saying. */
function subcommandTerm(command: Command): string {
  return [command.name(), ...command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`))].join(" ");
}

/** That a switch is off unless it is given goes without saying, too. */
function optionDescription(option: Option): string {
  return new Help().optionDescription(option).replace(/ \(default: false\)$/, "");
}

function locally(program: Command): void {
  program
    .command("dev")
    .description("the router against the origins of a configuration")
    .option("--config <file>", "the configuration, .ts or .json", "limpet.config.ts")
    .option("--port <number>", "where to listen on 127.0.0.1", values.port, 8787)
    .option("--json", "print one line of JSON when ready, and nothing else", false)
    .action(async (options) => (await import("./dev.ts")).dev(options));
  program
    .command("start")
    .description("the router with four collaboration servers and a page to try it")
    .option("--port <number>", "where to listen on 127.0.0.1", values.port, 8787)
    .action(async (options) => (await import("./start.ts")).start(options));
}

function looking(program: Command): void {
  const statusCommand = program
    .command("status")
    .description("the rings: origins with state, health, share, sessions, connections")
    .argument("[pool]", "one pool only")
    .option("--watch", "again each second, in place, until Ctrl-C", false)
    .action(status);
  asking(statusCommand, "look");
  const explainCommand = program
    .command("explain")
    .description("the way of a request, step by step, without sending it")
    .argument("<url>", "a path, or a whole URL where routes differ by host")
    .option("--cookie <name=value>", "a cookie of the visitor; again for another", values.each(values.cookie))
    .option("--header <header>", "a header: 'X-Session-Id: 7', 'Upgrade: websocket'; again for another", values.each(values.header))
    .option("--from <place>", "where the visitor is: an airport (LHR), a location hint (weur) or latitude,longitude", place)
    .action(explain);
  asking(explainCommand, "look");
  const planCommand = program
    .command("plan")
    .description("what changes of a ring would move, without making them")
    .argument("<pool>")
    .argument("<region>")
    .option("--add <id=url[,weight]>", "an origin joins; again for another", values.each(values.added))
    .option("--remove <id>", "an origin leaves", values.each(String))
    .option("--drain <id>", "an origin is drained", values.each(String))
    .option("--reweight <id=weight>", "an origin gets another weight", values.each(values.reweighted))
    .option("--down", "the whole region is taken out of service")
    .option("--max-moved <share>", "end with exit code 2 when more of all keys would move (0.2, 20%)", values.share)
    .action(plan);
  asking(planCommand, "look");
  const eventsCommand = program
    .command("events")
    .description("the last changes of the rings, and more as they happen")
    .option("--follow", "go on until Ctrl-C", false)
    .action(events);
  asking(eventsCommand, "look");
  const auditCommand = program
    .command("audit")
    .description("who changed what, when and why; the newest last")
    .option("--limit <number>", "how many of the newest (1 to 2000)", values.entries, 100)
    .action(audit);
  asking(auditCommand, "look");
}

function ordering(program: Command): void {
  const drainCommand = program
    .command("drain")
    .description("no new sessions for an origin; its live ones leave it")
    .argument("<origin>", "its id")
    .addOption(
      new Option("--mode <mode>", "whether live sessions are moved, or left until they end (default: the pool's)").choices(["move", "finish"]),
    )
    .option("--deadline <duration>", "when the last sessions leave at the latest: 30s, 5m, 1h (default: the pool's)", values.duration)
    .action(drain);
  asking(where(waiting(drainCommand)), "operate");
  const undrainCommand = program
    .command("undrain")
    .description("a drained or draining origin takes sessions again")
    .argument("<origin>", "its id")
    .action(undrain);
  asking(where(waiting(undrainCommand)), "operate");
  const addCommand = program
    .command("add")
    .description("an origin joins a ring, or becomes what is said here")
    .argument("<origin>", "its id")
    .argument("<url>", "its own address: scheme, host and port")
    .requiredOption("--pool <pool>", "the pool that it joins")
    .requiredOption("--region <region>", "the region that it is in")
    .option("--weight <number>", "its part of the ring, beside the others' (default: 1)", values.weight)
    .option("--backup", "it serves when no other origin of its region does", false)
    .action(add);
  asking(addCommand, "operate");
  const removeCommand = program
    .command("remove")
    .description("an origin is drained and leaves the ring for good")
    .argument("<origin>", "its id")
    .action(remove);
  asking(where(waiting(removeCommand)), "operate");
  const reweightCommand = program
    .command("reweight")
    .description("an origin gets another weight")
    .argument("<origin>", "its id")
    .argument("<weight>", "beside the others'", values.weight)
    .action(reweight);
  asking(where(reweightCommand), "operate");
  for (const [way, what] of [
    ["down", "all of a region goes out of service, as planned absence"],
    ["up", "a region is in service again"],
  ] as const) {
    const turn = (pool: string, region: string, options: Parameters<typeof turnRegion>[3]) => turnRegion(pool, region, way, options);
    asking(program.command(way).description(what).argument("<pool>").argument("<region>").action(turn), "operate");
  }
}

function others(program: Command): void {
  const moveCommand = program
    .command("move")
    .description("one live session goes to another origin, or where the ring says")
    .argument("<pool>", "its pool")
    .argument("<key>", "its key, or that key's hash as the records tell it")
    .option("--to <origin>", "the origin, where it is kept; without one every order ends, and the session goes where the ring says")
    .action(move);
  asking(moveCommand, "operate");
  const saltsCommand = program
    .command("salts")
    .description("the salts that the rings found; --write puts them into the configuration")
    .option("--write", "write those that are missing into the file", false)
    .option("--config <file>", "the configuration, .ts or .json", "limpet.config.ts")
    .action(async (options) => (await import("./salts.ts")).salts(options));
  asking(saltsCommand, "look");
  const applyCommand = program
    .command("apply")
    .description("another configuration, without a deploy; shows first what changes")
    .argument("<file>", "all of it, .ts or .json")
    .option("--dry-run", "only show what would change and move", false)
    .option("--yes", "apply without asking", false)
    .option("--why <text>", "kept in the audit")
    .action(async (file, options) => (await import("./apply.ts")).apply(file, options));
  asking(applyCommand, "operate");
  const undoCommand = program
    .command("undo")
    .description("what held before the last apply holds again")
    .option("--yes", "without asking", false)
    .option("--why <text>", "kept in the audit")
    .action(async (options) => (await import("./apply.ts")).undo(options));
  asking(undoCommand, "operate");
  const configCommand = program
    .command("config")
    .description("the configuration that holds, as JSON")
    .option("--out <file>", "where to write it")
    .action(async (options) => (await import("./apply.ts")).pullConfig(options));
  asking(configCommand, "look");
}

/** What every command has that asks a router. */
function asking(command: Command, what: "look" | "operate"): void {
  command
    .option("--json", "print one line of JSON for each result", false)
    .optionsGroup("The router:")
    .option("--router <url>", "where it is (LIMPET_URL; default: http://127.0.0.1:8787)")
    .option("--token <token>", `one that may ${what === "look" ? "read" : "operate"} (LIMPET_TOKEN; of a router on this machine: dev)`);
}

/** Ids are unique in a pool: mostly neither is needed. */
function where(command: Command): Command {
  return command.option("--pool <pool>", "where several pools have such an origin").option("--region <region>", "its region");
}

function waiting(command: Command): Command {
  return command
    .option("--wait", "end when it is done, not when it is ordered", false)
    .option("--timeout <duration>", "how long to wait at most: exit code 3 then (default: 10m)", values.duration);
}
