// The endpoints of the admin API: one entry each, with who may ask, what is sent and what is answered. The OpenAPI document, docs/admin-api.md and
// the client's types are made from this table, and a test holds the router against it. No Worker runs it.

import * as v from "valibot";
import {
  appliedShape,
  auditShape,
  configShape,
  drainShape,
  entryShape,
  explainedShape,
  explainShape,
  leaseShape,
  moveShape,
  originChangeShape,
  originShape,
  plannedShape,
  planShape,
  ringShape,
  ringsShape,
  sessionShape,
  wantedOriginShape,
} from "./admin-shapes.ts";
import type { ProblemCode } from "./problem.ts";

export interface AdminEndpoint {
  readonly method: "get" | "put" | "patch" | "post" | "delete";
  readonly path: string;
  /** `register`: a token of that scope may ask too, for the ids that it names. None: whoever can reach it. */
  readonly scopes: readonly ("read" | "operate" | "wake" | "register")[];
  readonly summary: string;
  readonly description?: string;
  readonly query?: v.ObjectSchema<v.ObjectEntries, undefined>;
  readonly headers?: v.ObjectSchema<v.ObjectEntries, undefined>;
  readonly body?: v.GenericSchema;
  /** A request without a body is right too. */
  readonly bodyOptional?: true;
  readonly answers: Readonly<Record<number, AdminAnswer>>;
  /** Beside those of every endpoint (`unauthorized`, `forbidden`, `method-not-allowed`, `too-many-failures`). */
  readonly problems: readonly ProblemCode[];
}

export interface AdminAnswer {
  readonly description: string;
  /** None: no body, or one that is no JSON. */
  readonly shape?: v.GenericSchema;
  readonly contentType?: string;
}

const RING = "/v1/rings/:pool/:region";
const ORIGIN = `${RING}/origins/:id` as const;
const SESSION = "/v1/sessions/:pool/:key";

const text = (what: string) => v.optional(v.pipe(v.string(), v.description(what)));
const IF_MATCH = v.object({ "if-match": text("`ETag` of the ring or the origin, as it was looked at: the order counts only while that is so.") });
const aRing = { description: "The ring.", shape: ringShape };
const anOrigin = { description: "The origin as it is now.", shape: originShape };
const aSession = { description: "The session as it is now.", shape: sessionShape };

export const ADMIN_ENDPOINTS = {
  listRings: {
    method: "get",
    path: "/v1/rings",
    scopes: ["read"],
    summary: "All rings",
    description: "One entry for each pool and region; one whose object does not answer is listed as `unreachable`.",
    answers: { 200: { description: "The rings.", shape: ringsShape } },
    problems: [],
  },
  getRing: {
    method: "get",
    path: RING,
    scopes: ["read"],
    summary: "One ring",
    description: "Epoch, sessions, connections, how moves are going, and each origin with state, health and share. `ETag` is its version.",
    answers: { 200: aRing },
    problems: ["not-found", "ring-unreachable"],
  },
  planRing: {
    method: "post",
    path: `${RING}/plan`,
    scopes: ["read"],
    summary: "What changes would move",
    description:
      "Nothing is changed. Shares are those of all keys there can be, when the changes have settled (slow starts over, drains through); `sessions` are those that are live now.",
    body: planShape,
    answers: { 200: { description: "The difference.", shape: plannedShape } },
    problems: ["bad-request", "content-too-large", "not-found", "conflict", "ring-unreachable"],
  },
  getOrigin: {
    method: "get",
    path: ORIGIN,
    scopes: ["read", "register"],
    summary: "One origin",
    query: v.object({
      waitFor: v.optional(v.pipe(v.picklist(["drained", "serving"]), v.description("Waits until it is, or until it takes all of its share."))),
      timeoutMs: text("How long, at most a minute; default 30000."),
    }),
    answers: { 200: anOrigin, 202: { description: "Waited, and not yet.", shape: originShape } },
    problems: ["bad-request", "not-found", "ring-unreachable"],
  },
  putOrigin: {
    method: "put",
    path: ORIGIN,
    scopes: ["operate"],
    summary: "An origin joins, or becomes what the body says",
    body: wantedOriginShape,
    headers: IF_MATCH,
    answers: { 200: anOrigin, 201: { description: "It is new in the ring.", shape: originShape } },
    problems: ["bad-request", "content-too-large", "not-found", "conflict", "precondition-failed", "ring-unreachable"],
  },
  patchOrigin: {
    method: "patch",
    path: ORIGIN,
    scopes: ["operate"],
    summary: "Another weight, another address, or both",
    body: originChangeShape,
    headers: IF_MATCH,
    answers: { 200: anOrigin },
    problems: ["bad-request", "content-too-large", "not-found", "conflict", "precondition-failed", "ring-unreachable"],
  },
  deleteOrigin: {
    method: "delete",
    path: ORIGIN,
    scopes: ["operate"],
    summary: "An origin leaves",
    description: "It is drained first.",
    headers: IF_MATCH,
    answers: { 200: { description: "It is gone.", shape: originShape }, 202: { description: "It is being drained.", shape: originShape } },
    problems: ["not-found", "conflict", "precondition-failed", "ring-unreachable"],
  },
  drainOrigin: {
    method: "post",
    path: `${ORIGIN}/drain`,
    scopes: ["operate", "register"],
    summary: "No new sessions, live ones move away or finish",
    body: drainShape,
    bodyOptional: true,
    headers: IF_MATCH,
    answers: { 200: anOrigin },
    problems: ["bad-request", "content-too-large", "not-found", "precondition-failed", "ring-unreachable"],
  },
  undrainOrigin: {
    method: "post",
    path: `${ORIGIN}/undrain`,
    scopes: ["operate", "register"],
    summary: "It takes sessions again",
    description: "Who registers origins may not undrain what an operator, or its region's order, has drained.",
    headers: IF_MATCH,
    answers: { 200: anOrigin },
    problems: ["not-found", "conflict", "precondition-failed", "ring-unreachable"],
  },
  leaseOrigin: {
    method: "put",
    path: `${ORIGIN}/lease`,
    scopes: ["operate", "register"],
    summary: "An origin joins for a while, or renews its stay",
    body: leaseShape,
    headers: IF_MATCH,
    answers: { 200: anOrigin, 201: { description: "It is new in the ring.", shape: originShape } },
    problems: ["bad-request", "content-too-large", "not-found", "conflict", "precondition-failed", "ring-unreachable"],
  },
  downRegion: {
    method: "post",
    path: `${RING}/down`,
    scopes: ["operate"],
    summary: "All origins of a region are drained",
    answers: { 200: aRing },
    problems: ["not-found", "ring-unreachable"],
  },
  upRegion: {
    method: "post",
    path: `${RING}/up`,
    scopes: ["operate"],
    summary: "A region's origins take sessions again",
    answers: { 200: aRing },
    problems: ["not-found", "ring-unreachable"],
  },
  getSession: {
    method: "get",
    path: SESSION,
    scopes: ["read"],
    summary: "Where a live session is",
    description: "By its key, or by the key's hash as records tell it.",
    answers: { 200: aSession },
    problems: ["not-found", "ring-unreachable"],
  },
  endSession: {
    method: "delete",
    path: SESSION,
    scopes: ["operate"],
    summary: "Ends a session",
    description: "Its connections are closed with 1000, and what was ordered for it is forgotten.",
    answers: { 204: { description: "It is over." } },
    problems: ["not-found", "ring-unreachable"],
  },
  wakeSession: {
    method: "post",
    path: `${SESSION}/wake`,
    scopes: ["wake", "operate"],
    summary: "Gives a parked session its legs back",
    answers: { 204: { description: "It has a leg." } },
    problems: ["not-found", "no-origin", "ring-unreachable"],
  },
  moveSession: {
    method: "post",
    path: `${SESSION}/move`,
    scopes: ["operate"],
    summary: "Sends a session to an origin, or to where the ring says",
    description:
      "It moves as a whole and is kept there. The answer comes when it is there, after ten seconds at the latest: then its `state` is `moving`.",
    body: moveShape,
    bodyOptional: true,
    answers: { 200: aSession },
    problems: ["bad-request", "content-too-large", "not-found", "conflict", "ring-unreachable"],
  },
  explain: {
    method: "post",
    path: "/v1/explain",
    scopes: ["read"],
    summary: "The way of a request, step by step",
    description: "As the Worker that is asked would decide now, and as the ring object would. Nothing is placed, and no origin is asked.",
    body: explainShape,
    answers: { 200: { description: "Each step that it gets to.", shape: explainedShape } },
    problems: ["bad-request", "content-too-large"],
  },
  getConfig: {
    method: "get",
    path: "/v1/config",
    scopes: ["read"],
    summary: "The configuration that holds, and who has it",
    description: "`ETag` is its revision. Seeds are not shown.",
    answers: { 200: { description: "As it was written.", shape: configShape } },
    problems: ["conflict", "ring-unreachable"],
  },
  putConfig: {
    method: "put",
    path: "/v1/config",
    scopes: ["operate"],
    summary: "Another configuration, without a deploy",
    description: "The whole of it, at most 1 MiB. Without `configRevision` it gets the next one.",
    query: v.object({
      dryRun: v.optional(v.pipe(v.picklist(["true"]), v.description("Only says what would change, and move."))),
      why: text("Stands in the audit."),
    }),
    headers: v.object({ "if-match": text("The `ETag` of the one that is to be changed.") }),
    body: v.record(v.string(), v.unknown()),
    answers: { 200: { description: "Taken; with `dryRun` what would be.", shape: appliedShape } },
    problems: ["bad-request", "conflict", "precondition-failed", "content-too-large", "ring-unreachable"],
  },
  undoConfig: {
    method: "post",
    path: "/v1/config/undo",
    scopes: ["operate"],
    summary: "The configuration before this one, as a new revision",
    query: v.object({ why: text("Stands in the audit.") }),
    headers: v.object({ "if-match": text("The `ETag` of the one that is to be undone.") }),
    answers: { 200: { description: "It holds again.", shape: appliedShape } },
    problems: ["bad-request", "conflict", "precondition-failed", "ring-unreachable"],
  },
  listAudit: {
    method: "get",
    path: "/v1/audit",
    scopes: ["read"],
    summary: "Who changed what, newest first",
    description:
      "With `Accept: application/x-ndjson` one entry a line. Bounded: each ring keeps its last 2,000 changes by people, and as many of its own.",
    query: v.object({ limit: text("1 to 2000; default 100.") }),
    answers: { 200: { description: "The entries of all rings.", shape: auditShape } },
    problems: ["bad-request"],
  },
  followEvents: {
    method: "get",
    path: "/v1/events",
    scopes: ["read"],
    summary: "Changes as they happen",
    description:
      "An event stream: one event `change` for each new entry of the audit, within about a second, its data an entry as JSON. `Last-Event-ID` goes on after that one.",
    headers: v.object({ "last-event-id": text("The id of the last event that was seen.") }),
    answers: { 200: { description: "Each event's data is such an entry.", shape: entryShape, contentType: "text/event-stream" } },
    problems: ["bad-request", "overloaded"],
  },
  getMetrics: {
    method: "get",
    path: "/metrics",
    scopes: ["read"],
    summary: "Metrics for Prometheus",
    description: "Text format 0.0.4. A scrape wakes no carrier. What each means: docs/metrics.md.",
    answers: { 200: { description: "The metrics.", contentType: "text/plain; version=0.0.4" } },
    problems: [],
  },
  getDocument: {
    method: "get",
    path: "/openapi.json",
    scopes: [],
    summary: "This document",
    answers: { 200: { description: "OpenAPI 3.1.", contentType: "application/json" } },
    problems: ["not-found"],
  },
} as const satisfies Readonly<Record<string, AdminEndpoint>>;

export type AdminEndpoints = typeof ADMIN_ENDPOINTS;
