// Frames that would fill a memory if they were taken apart: a profile looks into none of them, and passes them on as they are.

import { expect, test } from "vitest";
import type { ProfileName } from "../../src/core/config-types.ts";
import type { Frame } from "../../src/core/profile.ts";
import { profileOf } from "../../src/core/profiles.ts";
import { readStates } from "../../src/core/y-awareness.ts";

/** An awareness update of as many clients that say nothing. */
function update(states: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(3 + states * 3);
  bytes.set([(states & 127) | 128, ((states >> 7) & 127) | 128, (states >> 14) & 127]);
  return bytes;
}

const packets = (count: number): ArrayBuffer => new Uint8Array(count * 2).map((_, index) => (index % 2 === 0 ? 0xc0 : 0)).buffer;

test("presence is read up to the bound of what may be remembered", () => {
  expect([readStates(update(1_000)).length, readStates(update(100_000)).length]).toEqual([1_000, 0]);
});

test.each<[profile: ProfileName, what: string, frame: Frame]>([
  ["mqtt", "two million packets of two bytes", packets(2_000_000)],
  ["graphql-ws", "JSON of two million objects", `{"type":"ping","payload":[${"{},".repeat(2_000_000)}0]}`],
])("%s: %s are passed on, and the connection is restarted at the next move", (profile, _, frame) => {
  const memory = profileOf({ mode: "transparent", profile })?.begin();
  expect([memory?.sent(frame), memory?.bearable]).toEqual(["pass", false]);
});

test("mqtt: as many packets as a frame may complete are read", () => {
  const memory = profileOf({ mode: "transparent", profile: "mqtt" })?.begin();
  expect([memory?.sent(packets(4_096)), memory?.bearable]).toEqual(["pass", true]);
});

test("graphql-ws: a large result is passed without being read", () => {
  const memory = profileOf({ mode: "transparent", profile: "graphql-ws" })?.begin();
  const result = `{"id":"1","type":"next","payload":{"data":[${"{},".repeat(500_000)}0]}}`;
  expect([memory?.heard(result), memory?.bearable]).toEqual(["pass", true]);
});
