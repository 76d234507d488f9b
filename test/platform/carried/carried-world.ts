// One session of one carrier between visitors, origins and a ring that are played: what the state machine of the move is tried in.

import type { LiveRequest } from "../../../src/core/protocol.ts";
import { Backlog } from "../../../src/platform/backlog.ts";
import { CarriedSession } from "../../../src/platform/carried-session.ts";
import type { SessionHost } from "../../../src/platform/session-host.ts";
import { WebSocketConnection } from "../../../src/platform/carry-websocket.ts";
import { acceptAwake } from "../../../src/platform/visitor-leg.ts";
import type { Budget } from "../../../src/platform/connection.ts";
import { Handover } from "../../../src/platform/hand-over.ts";
import { Handshakes } from "../../../src/platform/handshakes.ts";
import type { FakeSocket } from "./fake-socket.ts";
import { CLOSE_DEADLINE_MS, PlayedWorld, REF, type Setting, type Visitor } from "./played-world.ts";

export class CarriedWorld extends PlayedWorld {
  readonly handshakes = new Handshakes();
  readonly backlog = new Backlog();
  session: CarriedSession | undefined;
  /** Sessions that began; how often they said that they were empty, and how many asks were answered after that: each of those is told, too. */
  begunCount = 0;
  readonly outcomes: string[] = [];
  emptiedCount = 0;
  lateCount = 0;
  heldBytes = 0;
  handover: Handover | undefined;
  readonly #setting: Setting;
  readonly #budget: Budget = {
    add: (bytes) => ((this.heldBytes += bytes), true),
    remove: (bytes) => void (this.heldBytes -= bytes),
  };

  constructor(setting: Setting) {
    super(setting);
    this.#setting = setting;
  }

  join(): Visitor {
    const session = (this.session ??= this.#begin());
    const visitor = this.newVisitor();
    const live: LiveRequest = {
      ...REF,
      version: 1,
      requestId: `r${visitor.number}`,
      resume: this.#setting.resume,
      rehomeOn: [1001, 1006, 1012],
      quietMs: 100,
      originSilenceMs: this.#setting.originSilenceMs,
    };
    const handshake = { target: `/doc?visitor=${visitor.number}`, headers: {}, key: "doc", send: this.sendToOrigin };
    const connection = new WebSocketConnection(live, handshake, {
      closeDeadlineMs: CLOSE_DEADLINE_MS,
      events: session,
      budget: session.budget,
      backlog: this.backlog,
      accept: acceptAwake,
    });
    const socket = (): FakeSocket => (connection.response() as unknown as { webSocket: FakeSocket }).webSocket;
    this.background.push(session.arrive(connection).then((outcome) => this.arrived(visitor, outcome, socket)));
    return visitor;
  }

  protected override forbidden(): string | undefined {
    return this.handover?.given ? "before it has taken the session's state" : super.forbidden();
  }

  #begin(): CarriedSession {
    this.begunCount++;
    let gone = false;
    const host: SessionHost = {
      handshakes: this.handshakes,
      dialled: (_, outcome) => void this.outcomes.push(outcome),
      place: async (item) => {
        const answer = await this.ring.place(item);
        if (gone && (answer.kind === "placed" || (answer.kind === "refused" && item.live))) this.lateCount++;
        return answer;
      },
      emptied: (_, fence) => {
        gone = true;
        this.#emptied(session, fence);
      },
      changed: () => undefined,
      counted: () => undefined,
      budget: this.#budget,
      refused: () => undefined,
      resumed: () => undefined,
    };
    const { resume } = this.#setting;
    const means = { key: "doc", send: this.sendToOrigin, handshakes: this.handshakes, budget: this.#budget };
    this.handover = resume.mode === "handover" ? new Handover({ rule: resume.handover, ...means }) : undefined;
    const session: CarriedSession = new CarriedSession(REF, undefined, host, this.handover);
    return session;
  }

  /** As the carrier object does it. */
  #emptied(session: CarriedSession, fence: number | undefined): void {
    this.emptiedCount++;
    if (this.session === session) this.session = undefined;
    if (fence !== undefined && this.session === undefined) this.background.push(this.ring.end(fence));
  }
}
