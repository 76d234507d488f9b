// A load generator's work, whatever it opens: connections are opened under a contestant's name and stay open, idle while others take their
// turn. Each that is driven has one round trip under way. Sent a `Task`, answers an `Outcome`; ends with its parent.

/** Something that goes to and fro through a contestant. */
export interface Driven {
  /** Why it is of no use any more. */
  readonly fault: string | undefined;
  /** What is sent from now on: so many payloads at once. */
  prepare(payloadBytes: number, burst: number): void;
  /** Sends what is next; answered when all of it has come as it was sent. */
  send(onAnswer: (tookMs: number) => void, onFault: (what: string) => void): void;
  close(): void;
}

export type Task =
  /** So many more. */
  | { readonly kind: "open"; readonly name: string; readonly port: number; readonly connections: number }
  /** For so long, and at least one round trip each: `every` connection, or every so many-th. */
  | {
      readonly kind: "drive";
      readonly name: string;
      readonly payloadBytes: number;
      readonly burst: number;
      readonly forMs: number;
      readonly every: number;
    }
  /** So many more, one after the other, each with its first round trip; the time is of both. */
  | { readonly kind: "meet"; readonly name: string; readonly port: number; readonly payloadBytes: number; readonly connections: number }
  /** One round trip of each, one after the other. */
  | { readonly kind: "turns"; readonly name: string; readonly payloadBytes: number }
  | { readonly kind: "close"; readonly name: string };

export interface Outcome {
  /** How many connections are open under the name. */
  readonly connections: number;
  readonly roundTrips: number;
  readonly tookMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly faults: readonly string[];
}

type Opener = (port: number, id: number) => Promise<Driven>;

/** Opened at once. */
const OPENING = 50;
const everybody = new Map<string, Driven[]>();
let nextId = 0;
/** Longer than any round's round trips; grows where they are more. */
let latenciesMs = new Float64Array(1_000_000);

/** `open` rejects when a contestant does not let it in; ids are never given twice. */
export function serveTasks(open: Opener): void {
  process.on("message", (task: Task) => void perform(task, open));
  process.once("disconnect", () => process.exit());
}

async function perform(task: Task, open: Opener): Promise<void> {
  const connections = everybody.get(task.name) ?? [];
  everybody.set(task.name, connections);
  const faults: string[] = [];
  if (task.kind === "drive") for (const connection of connections) connection.prepare(task.payloadBytes, task.burst);
  const startedAtMs = performance.now();
  let roundTrips = 0;
  try {
    if (task.kind === "open") await openSome(connections, task, open);
    else if (task.kind === "drive") roundTrips = await drive(connections, task, faults);
    else if (task.kind === "meet") roundTrips = await meet(connections, task, open);
    else if (task.kind === "turns") roundTrips = await takeTurns(connections, task);
    else close(connections);
  } catch (error) {
    faults.push(String(error));
  }
  const tookMs = performance.now() - startedAtMs;
  for (const { fault } of connections) if (fault !== undefined && !faults.includes(fault)) faults.push(fault);
  const usable = connections.filter(({ fault }) => fault === undefined);
  process.send?.({ connections: usable.length, roundTrips, tookMs, ...quantiles(roundTrips), faults } satisfies Outcome);
}

async function openSome(connections: Driven[], { port, connections: count }: Extract<Task, { kind: "open" }>, open: Opener): Promise<void> {
  let left = count;
  const opener = async (): Promise<void> => {
    while (left-- > 0) connections.push(await open(port, nextId++));
  };
  await Promise.all(Array.from({ length: Math.min(OPENING, count) }, opener));
}

/** How many round trips there were. */
function drive(connections: readonly Driven[], { forMs, every }: Extract<Task, { kind: "drive" }>, faults: string[]): Promise<number> {
  const driven = connections.filter((_, index) => index % every === 0);
  const { promise, resolve } = Promise.withResolvers<number>();
  const untilMs = performance.now() + forMs;
  let underWay = driven.length;
  let roundTrips = 0;
  const over = (): void => {
    if (--underWay === 0) resolve(roundTrips);
  };
  const onFault = (what: string): void => {
    faults.push(what);
    over();
  };
  for (const connection of driven) {
    const onAnswer = (tookMs: number): void => {
      note(roundTrips++, tookMs);
      if (performance.now() < untilMs) connection.send(onAnswer, onFault);
      else over();
    };
    connection.send(onAnswer, onFault);
  }
  return promise;
}

async function meet(
  connections: Driven[],
  { port, payloadBytes, connections: count }: Extract<Task, { kind: "meet" }>,
  open: Opener,
): Promise<number> {
  for (let n = 0; n < count; n++) {
    const startedAtMs = performance.now();
    const connection = await open(port, nextId++);
    connections.push(connection);
    await roundTrip(connection, payloadBytes);
    note(n, performance.now() - startedAtMs);
  }
  return count;
}

async function takeTurns(connections: readonly Driven[], { payloadBytes }: Extract<Task, { kind: "turns" }>): Promise<number> {
  for (const [n, connection] of connections.entries()) note(n, await roundTrip(connection, payloadBytes));
  return connections.length;
}

function roundTrip(connection: Driven, payloadBytes: number): Promise<number> {
  connection.prepare(payloadBytes, 1);
  return new Promise((resolve, reject) => connection.send(resolve, (what) => reject(new Error(what))));
}

function close(connections: Driven[]): void {
  for (const connection of connections.splice(0)) connection.close();
}

function note(index: number, tookMs: number): void {
  if (index === latenciesMs.length) {
    const longer = new Float64Array(latenciesMs.length * 2);
    longer.set(latenciesMs);
    latenciesMs = longer;
  }
  latenciesMs[index] = tookMs;
}

function quantiles(count: number): Pick<Outcome, "p50Ms" | "p99Ms"> {
  const sorted = latenciesMs.subarray(0, count).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
