// A failure that the user can mend: its message says what was found and what to do, and is all that is shown.

export class CommandFault extends Error {}
