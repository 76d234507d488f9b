// Waiting for Ctrl-C (or SIGTERM, SIGHUP): resolves at the first; a second one ends the process at once.

export function untilStopped(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(130);
      asked = true;
      resolve();
    });
  }
  return promise;
}
