// Waiting for Ctrl-C (or SIGTERM, SIGHUP): resolves at the first; a second one ends the process at once. Called once all is started:
// before that a signal simply ends the process, and what it started ends with it.

export function untilStopped(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let askedAtMs = Infinity;
  const TWICE_MS = 500; // a terminal's Ctrl-C reaches the watchman and us, and the watchman passes his on
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const others = process.listeners(signal);
    process.on(signal, () => {
      if (Date.now() - askedAtMs > TWICE_MS) process.exit(130);
      askedAtMs = Math.min(askedAtMs, Date.now());
      resolve();
    });
    // Miniflare's own would end the process before we have ended the rest. They go after ours has come: with no listener at all, even for
    // a moment, a signal that is on its way is lost.
    for (const other of others) process.off(signal, other);
  }
  return promise;
}
