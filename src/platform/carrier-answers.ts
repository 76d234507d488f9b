// What a carrier answers for a live request: the connection, the origin's own refusal, or a problem that says what to do. Each with the
// place that it was decided on, for the Worker.

import type { LiveRequest, Placement } from "../core/protocol.ts";
import { requestProblem } from "../core/problem.ts";
import type { CarriedSession } from "./carried-session.ts";
import type { Connected } from "./connecting.ts";
import type { Connection } from "./connection.ts";
import { NEWCOMERS_BACK_WITHIN_S } from "./limits.ts";

/** Tells the Worker where a connection was placed (JSON of `Placed`); taken out before the visitor sees the answer. */
export const PLACED_HEADER = "limpet-placed";
export type Placed = Pick<Placement, "origin" | "region" | "epoch" | "reason" | "fence">;

/** Tells the Worker which region's carriers have the session; on no answer of an origin's. */
export const ELSEWHERE_HEADER = "limpet-elsewhere";

/** Who has arrived, where, and when they may come back if they cannot be served (`Retry-After`). */
export interface Arrived {
  readonly live: LiveRequest;
  readonly session: CarriedSession;
  readonly connection: Connection;
  readonly comeBack: () => string;
}

export function answer(outcome: Connected, { live, session, connection, comeBack }: Arrived): Response {
  switch (outcome.kind) {
    case "connected":
      return placed(connection.response(), session.placement);
    case "answered": {
      const { status, statusText, headers, body } = outcome.response;
      if (status < 200 || status > 599)
        return requestProblem("origin-protocol", `The origin answered with status ${status}, which is none for this request.`, live.requestId);
      return placed(new Response(body, { status, statusText, headers }), session.placement);
    }
    case "refused":
      return refusal(outcome.why, live.requestId, comeBack);
    case "elsewhere":
      return new Response(null, { status: 421, headers: { [ELSEWHERE_HEADER]: outcome.region } });
    case "full":
      return overloaded("More connections are being opened here than this carrier can bear. Try again shortly.", live.requestId, comeBack);
    case "unreachable":
      return requestProblem("origin-unreachable", "The origin of this session did not answer the handshake. Try again shortly.", live.requestId, {
        "retry-after": comeBack(),
      });
    default:
      return outcome satisfies never;
  }
}

export function overloaded(detail: string, requestId: string, comeBack: () => string): Response {
  return requestProblem("overloaded", detail, requestId, { "retry-after": comeBack() });
}

function refusal(why: Extract<Connected, { kind: "refused" }>["why"], requestId: string, comeBack: () => string): Response {
  switch (why) {
    case "owner-lost":
      return requestProblem(why, "The origin that holds this session is away, and this pool waits for it. Try again shortly.", requestId, {
        "retry-after": comeBack(),
      });
    case "no-origin":
      return requestProblem(why, "No origin of this pool can take the session now. Try again shortly.", requestId, { "retry-after": comeBack() });
    case "too-many-sessions":
      return tooManySessions(requestId);
    case "quarantined":
      return requestProblem(why, "Origins kept dying soon after this session had come to them: it is kept from the others for a while.", requestId, {
        "retry-after": "60",
      });
    default:
      return why satisfies never;
  }
}

export function tooManySessions(requestId: string): Response {
  return requestProblem(
    "too-many-sessions",
    "More new sessions are begun from this address, or in this ring, than may be. Try again shortly.",
    requestId,
    {
      "retry-after": String(1 + Math.floor(Math.random() * NEWCOMERS_BACK_WITHIN_S)),
    },
  );
}

function placed(response: Response, placement: Placement | undefined): Response {
  if (placement) {
    const { origin, region, epoch, reason, fence } = placement;
    response.headers.delete(ELSEWHERE_HEADER);
    response.headers.set(PLACED_HEADER, JSON.stringify({ origin, region, epoch, reason, fence } satisfies Placed));
  }
  return response;
}
