// A failure that the user can mend: its message says what was found and what to do, and is all that is shown.

/** What a command ends with, beside 0 for what was done. Scripts read them: docs/operate.md. */
export const EXIT = {
  /** It could not be done: the sentence says why. */
  failed: 1,
  /** `plan`: it would move more than `--max-moved`. */
  movesTooMuch: 2,
  /** A wait's time has passed. The order stands, and goes on. */
  notYet: 3,
  /** Ctrl-C, as shells count it. */
  interrupted: 130,
} as const;

export class CommandFault extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
