// What a protocol needs when its origin leg is replaced: which of the visitor's frames are remembered and replayed, what the visitor is
// greeted with, how many of the new origin's answers are swallowed, and whether the old leg is muted once it is told to close.
// Small pure objects, one a protocol.

import type { Resume } from "./config-types.ts";
import { yWebsocket } from "./profile-y-websocket.ts";

export type Frame = string | ArrayBuffer;

export interface Profile {
  /** The frames to replay, after the visitor sent this one as its `index`-th (from 0); the same array when it adds nothing. */
  readonly remember: (memory: readonly Frame[], frame: Frame, index: number) => readonly Frame[];
  /** What the visitor gets when a new leg has begun. */
  readonly greet: (memory: readonly Frame[]) => readonly Frame[];
  /** How many of the new origin's answers to the replay the visitor must not see. */
  readonly swallow: number;
  readonly mute: boolean;
}

/** The profile of a route, `undefined` for one whose protocol cannot bear a replaced leg (`restart`). */
export function profileOf(resume: Resume): Profile | undefined {
  if (resume.mode === "restart") return undefined;
  return "profile" in resume ? yWebsocket : preludeProfile(resume.prelude);
}

/** The user's own: the first `frames` frames, up to the first that does not fit into `bytes` any more: a replay never has a hole. */
function preludeProfile(prelude: { readonly frames: number; readonly bytes: number; readonly swallow: number; readonly mute: boolean }): Profile {
  return {
    remember(memory, frame, index) {
      if (index !== memory.length || index >= prelude.frames) return memory;
      const bytes = memory.reduce((sum, each) => sum + frameBytes(each), frameBytes(frame));
      return bytes <= prelude.bytes ? [...memory, frame] : memory;
    },
    greet: () => [],
    swallow: prelude.swallow,
    mute: prelude.mute,
  };
}

/** Size of a frame as bounds count it; a text counts two bytes a UTF-16 unit, which is what it takes in memory. */
export function frameBytes(frame: Frame): number {
  return typeof frame === "string" ? frame.length * 2 : frame.byteLength;
}
