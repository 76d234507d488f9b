// What the admin API says, by the names that commands use. Shapes: src/core/admin-shapes.ts.

import type { Told } from "../http/admin-app.ts";

/** A live session. */
export type SessionView = Told<"getSession">;
export type OriginView = Told<"getOrigin", 200>;
/** A ring, or that its object did not answer. */
export type RingsView = Told<"listRings">;
export type RingView = Told<"getRing">;
export type PlannedView = Told<"planRing">;
export type ShareChange = PlannedView["elsewhere"];
/** Each step of a request's way that it gets to. */
export type ExplainedView = Told<"explain">;
/** Newest first. */
export type AuditView = Told<"listAudit">;
export type EntryView = AuditView["entries"][number];
