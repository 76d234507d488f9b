// The real `limpet` command as a process: run to its end, or left running and read line by line; on a terminal, too.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { eventually } from "./stack.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export class Command {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #ended: Promise<number | null>;

  constructor(file: string, args: readonly string[], { env = {}, cwd = tmpdir() }: CommandOptions = {}) {
    this.child = spawn(file, args, { cwd, env: { ...process.env, TZ: "UTC", ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.#ended = once(this.child, "close").then(([code]) => code as number | null);
  }

  get lines(): readonly string[] {
    return this.stdout.split("\n").slice(0, -1);
  }

  async ended(): Promise<Ended> {
    const code = await this.#ended;
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  /** Until it has printed that many lines. */
  printed(count: number): Promise<readonly string[]> {
    return eventually(`${count} lines are printed (${this.stderr})`, () => this.lines.length >= count && this.lines);
  }

  signal(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.ended();
  }
}

/** Left running; end it by a signal. */
export function startLimpet(args: readonly string[], options?: CommandOptions): Command {
  return new Command(process.execPath, [LIMPET, ...args], options);
}

export function runLimpet(args: readonly string[], options?: CommandOptions): Promise<Ended> {
  return startLimpet(args, options).ended();
}

/** On a terminal of that many columns and rows. Arguments are words without blanks and quotes. */
export function startOnTerminal(args: readonly string[], columns: number, rows: number, options?: CommandOptions): Command {
  // A terminal that is looked at: Node draws no colours where `CI` is set or no `TERM` is.
  const command = `stty cols ${columns} rows ${rows}; exec env -u CI TERM=xterm-256color ${process.execPath} ${LIMPET} ${args.join(" ")}`;
  return new Command("script", ["--quiet", "--return", "--flush", "--command", command, "/dev/null"], options);
}
