// Which profile a route has: a built-in one by its name, or the user's own prelude.

import type { ProfileName, Resume } from "./config-types.ts";
import { byFrames, frameBytes, type FrameRules, type Profile } from "./profile.ts";
import { graphqlWs } from "./profile-graphql-ws.ts";
import { hocuspocus } from "./profile-hocuspocus.ts";
import { mqtt } from "./profile-mqtt.ts";
import { yWebsocket } from "./profile-y-websocket.ts";

/** The profile of a route, `undefined` for one whose protocol cannot bear a replaced leg (`restart`). */
export function profileOf(resume: Resume): Profile | undefined {
  if (resume.mode === "restart") return undefined;
  return "profile" in resume ? BUILT_IN[resume.profile] : byFrames(preludeRules(resume.prelude));
}

const BUILT_IN: Readonly<Record<ProfileName, Profile>> = {
  "y-websocket": byFrames(yWebsocket),
  hocuspocus,
  "graphql-ws": graphqlWs,
  mqtt,
};

/** The user's own: the first `frames` frames, up to the first that does not fit into `bytes` any more: a replay never has a hole. */
export function preludeRules(prelude: {
  readonly frames: number;
  readonly bytes: number;
  readonly swallow: number;
  readonly mute: boolean;
}): FrameRules {
  return {
    remember(memory, frame, index) {
      if (index !== memory.length || index >= prelude.frames) return memory;
      const bytes = memory.reduce((sum, each) => sum + frameBytes(each), frameBytes(frame));
      return bytes <= prelude.bytes ? [...memory, frame] : memory;
    },
    greet: () => [],
    swallow: prelude.swallow,
    bytesMax: prelude.bytes,
    mute: prelude.mute,
  };
}
