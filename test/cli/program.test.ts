// What can be typed: faults that say what it should be, and help that holds together.

import { describe, expect, test } from "vitest";
import { limpetProgram } from "../../src/cli/program.ts";
import { typed } from "../support/typed.ts";

describe("what is typed wrongly is told what it should be", () => {
  test.each([
    [["drian", "a"], /unknown command 'drian'\n\(Did you mean drain\?\)/],
    [["drain", "a", "--wiat"], /unknown option '--wiat'\n\(Did you mean --wait\?\)/],
    [["drain", "a", "--deadline", "5"], /a duration is a number with its unit: 500ms, 30s, 5m, 1h/],
    [["drain", "a", "--mode", "kill"], /Allowed choices are move, finish/],
    [["reweight", "a", "heavy"], /a weight is a number/],
    [["add", "a", "http://x"], /required option '--pool <pool>' not specified/],
    [["plan", "a", "b", "--add", "weur-3"], /it is like weur-3=https/],
    [["plan", "a", "b", "--reweight", "weur-3"], /it is like weur-1=2/],
    [["plan", "a", "b", "--max-moved", "20"], /a share is from 0 to 1, or in percent: 0.2, 20%/],
    [["explain", "/", "--from", "XXX"], /it is an airport \(AMS, ARN, .+location hint.+latitude,longitude/],
    [["explain", "/", "--from", "91,0"], /it is an airport/],
    [["explain", "/", "--header", "X"], /a header is like 'X-Session-Id: 7'/],
    [["explain", "/", "--cookie", "sid"], /a cookie is like sid=abc/],
    [["audit", "--limit", "0"], /a whole number from 1 to 2000/],
    [["dev", "--port", "65536"], /a port is a whole number from 0 to 65535/],
  ])("%j", async (args, said) => {
    expect(await typed(...args)).toMatch(said);
  });
});

test("the help names every command in a group, with what it is for, examples and exit codes", async () => {
  const help = await typed("--help");
  const { commands } = limpetProgram();
  expect(commands.length).toBeGreaterThan(14);
  for (const command of commands) {
    expect(command.helpGroup(), command.name()).toMatch(/:$/);
    expect(help).toContain(`\n  ${command.name()}`);
    expect(command.description().length, command.name()).toBeLessThanOrEqual(72);
  }
  for (const part of ["Look:", "Origins and regions:", "Examples:", "Exit codes", "LIMPET_TOKEN"]) expect(help).toContain(part);
  for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
});

test("the examples of the help can be typed", async () => {
  const examples = [...(await typed("--help")).matchAll(/^ {2}limpet (.+?) {2,}/gm)].map(([, line = ""]) => line.replace(/ \|.*/, ""));
  expect(examples.length).toBeGreaterThan(4);
  for (const example of examples) expect(await typed(...example.split(" ")), example).toBe("");
});
