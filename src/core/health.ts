// Active health: the verdict that a sequence of probes gives. Pure: one event in, the next state out.

export interface Health {
  readonly status: "healthy" | "down";
  /** Probes in a row that contradict the status. */
  readonly contrary: number;
}

/** Origins are believed healthy until probes say otherwise: a fleet must serve while it is being judged. */
export const UNKNOWN_HEALTH: Health = { status: "healthy", contrary: 0 };

export interface HealthPolicy {
  /** Successes in a row until a down origin is healthy, faults in a row until a healthy one is down. */
  readonly rise: number;
  readonly fall: number;
}

/** The health after one probe. */
export function afterProbe(health: Health, succeeded: boolean, policy: HealthPolicy): Health {
  if (succeeded === (health.status === "healthy")) return { ...health, contrary: 0 };
  const contrary = health.contrary + 1;
  const needed = succeeded ? policy.rise : policy.fall;
  if (contrary < needed) return { ...health, contrary };
  return { status: succeeded ? "healthy" : "down", contrary: 0 };
}
