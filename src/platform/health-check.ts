// One active check of one origin: its request, what counts as well, and what it says of itself. The answer's body is read as far as words can be long, and
// within the check's own time-out.

import { parseWords, WORDS_MAX_BYTES, type AgentWord } from "../core/agent-words.ts";
import type { Pool } from "../core/config-types.ts";
import type { OriginFetch } from "./origin-fetch.ts";

/** What it says; `undefined`: it is not well. Never throws. */
export async function check(
  send: OriginFetch,
  { id, url }: { readonly id: string; readonly url: string },
  { path, timeoutMs, status, headers }: Pool["health"],
): Promise<AgentWord | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await send(id, url + path, { redirect: "manual", signal, headers: { "user-agent": "limpet-health", ...headers } });
    const isWell = status === undefined ? response.ok : status.includes(response.status);
    if (isWell) return parseWords(await beginningOf(response.body));
    await response.body?.cancel();
    return undefined;
  } catch {
    return undefined; // refused, reset or late: all are the answer "no"
  }
}

/** A body that is short enough to be words; of any other "". One that does not end in time says nothing: its status has said that it is well. */
async function beginningOf(body: ReadableStream<Uint8Array> | null): Promise<string> {
  if (!body) return "";
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  try {
    for (;;) {
      const { done, value } = await reader.read(); // the check's signal ends it
      if (done) return text + decoder.decode();
      bytes += value.byteLength;
      if (bytes > WORDS_MAX_BYTES) {
        await reader.cancel();
        return "";
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    return ""; // late, or cut off
  }
}
