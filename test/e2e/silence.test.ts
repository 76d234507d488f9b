// An origin that falls silent on one leg, while its checks and all else of it are well: that leg alone is given up, and dialled again.

import { afterEach, expect, test } from "vitest";
import { LiveStack } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

let stack: LiveStack;
let heart: ReturnType<typeof setInterval>;

afterEach(async () => {
  clearInterval(heart);
  await stack.stop();
});

const SILENCE_MS = 1_000;

/** Origins that say something on each leg ten times a second, but not to those who are left in silence. */
function beat(isSilent: (target: string, nth: number) => boolean): void {
  heart = setInterval(() => {
    for (const origin of stack.origins)
      for (const leg of origin.open()) {
        const nth = origin.legs.filter(({ target }) => target === leg.target).indexOf(leg);
        if (!isSilent(leg.target, nth)) leg.socket.send("beat", () => undefined);
      }
  }, 100);
}

const beatsOf = (talker: Talker): number => talker.visitor.heard.filter((frame) => frame === "beat").length;

test("a leg on which its origin says nothing any more is dialled again; nobody's socket closes, and the others keep their legs", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], route: { originSilenceMs: SILENCE_MS } });
  const [mute, other] = [await stack.join("s", "mute"), await stack.join("s", "other")];
  beat((target, nth) => target.endsWith("?mute") && nth === 0);
  const owner = await stack.ownerOf("s");
  const legsOf = (name: string): unknown[] => owner.legs.filter(({ target }) => target.endsWith(`?${name}`));
  await eventually("it is dialled again", () => legsOf("mute").length === 2);
  await eventually("it hears the heart again", () => beatsOf(mute) > SILENCE_MS / 100 + 5);
  await Promise.all([mute.ask(), other.ask()]);
  expect([legsOf("mute").length, legsOf("other").length]).toEqual([2, 1]);
  expect((await stack.ownerOf("s")).id).toBe(owner.id);
  await eventually("the silent leg is gone", () => owner.open("s").length === 2);
  expect([mute.isOpen, other.isOpen]).toEqual([true, true]);
  stack.expectOneOwner();
});

test("a leg that stays silent is given up again and again; its session stays, and is served all the time", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], route: { originSilenceMs: SILENCE_MS } });
  const [mute, other] = [await stack.join("s", "mute"), await stack.join("s", "other")];
  beat((target) => target.endsWith("?mute"));
  const owner = await stack.ownerOf("s");
  await eventually("it is dialled twice more", () => owner.legs.filter(({ target }) => target.endsWith("?mute")).length >= 3);
  await other.ask();
  expect([mute.isOpen, other.isOpen]).toEqual([true, true]);
  expect((await stack.ownerOf("s")).id).toBe(owner.id);
  await mute.ask(); // it is served all the time
});

test("an origin whose legs hang while its checks are well elsewhere: the sessions go on by the next handshake", async () => {
  const patient = { health: { intervalMs: 200, timeoutMs: 400, rise: 1, fall: 5 } }; // the first checks go by connections that hang
  stack = await LiveStack.start({ ids: ["o0", "o1"], doors: true, pool: patient, route: { originSilenceMs: SILENCE_MS } });
  await stack.drain("o1");
  const talker = await stack.join("s");
  await stack.undrain("o1");
  beat(() => false);
  await eventually("it hears the heart", () => beatsOf(talker) > 2);
  stack.door("o0").freezeOpen(); // what is open hangs; what comes anew passes
  const hung = stack.origin("o0").legs.length;
  await eventually("it is dialled again", () => stack.origin("o0").legs.length > hung);
  await talker.ask();
  await talker.expectHoles(1);
  expect(stack.origin("o1").legs.filter(({ session }) => session === "s")).toHaveLength(0);
  expect((await stack.ring()).origins.map(({ health }) => health)).toEqual(["healthy", "healthy"]);
});

test("a protocol that cannot bear a new leg is told to come back, and nobody who bears one is", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], route: { originSilenceMs: SILENCE_MS, resume: { mode: "restart" } } });
  const [mute, other] = [await stack.join("s", "mute"), await stack.join("s", "other")];
  beat((target) => target.endsWith("?mute"));
  expect((await mute.visitor.closed).code).toBe(1012);
  await other.ask();
  await other.expectWhole();
});
