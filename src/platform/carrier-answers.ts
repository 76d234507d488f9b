// What a carrier answers for a live request: the connection, the origin's own refusal, or a problem that says what to do. Each with the
// place that it was decided on, for the Worker.

import type { LiveRequest, Placement } from "../core/protocol.ts";
import { requestProblem } from "../core/problem.ts";
import type { CarriedSession } from "./carried-session.ts";
import type { Connected } from "./connecting.ts";
import type { Connection } from "./connection.ts";

/** Tells the Worker where a connection was placed (JSON of `Placed`); taken out before the visitor sees the answer. */
export const PLACED_HEADER = "limpet-placed";
export type Placed = Pick<Placement, "origin" | "region" | "epoch" | "reason" | "fence">;

export function answer(outcome: Connected, connection: Connection, session: CarriedSession, live: LiveRequest): Response {
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
      return refusal(outcome.why, live.requestId);
    case "full":
      return requestProblem("overloaded", "More connections are being opened here than this carrier can bear. Try again shortly.", live.requestId, {
        "retry-after": String(1 + Math.floor(Math.random() * 5)), // not all at once
      });
    case "unreachable":
      return requestProblem("origin-unreachable", "The origin of this session did not answer the handshake. Try again shortly.", live.requestId, {
        "retry-after": "1",
      });
    default:
      return outcome satisfies never;
  }
}

function refusal(why: Extract<Connected, { kind: "refused" }>["why"], requestId: string): Response {
  switch (why) {
    case "owner-lost":
      return requestProblem(why, "The origin that holds this session is away, and this pool waits for it. Try again shortly.", requestId, {
        "retry-after": "2",
      });
    case "no-origin":
      return requestProblem(why, "No origin of this pool can take the session now. Try again shortly.", requestId, { "retry-after": "2" });
    case "quarantined":
      return requestProblem(why, "Origins kept dying soon after this session had come to them: it is kept from the others for a while.", requestId, {
        "retry-after": "60",
      });
    default:
      return why satisfies never;
  }
}

function placed(response: Response, placement: Placement | undefined): Response {
  if (placement) {
    const { origin, region, epoch, reason, fence } = placement;
    response.headers.set(PLACED_HEADER, JSON.stringify({ origin, region, epoch, reason, fence } satisfies Placed));
  }
  return response;
}
