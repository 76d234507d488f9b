// What an origin says of itself in the body of a good check: `ready`, `up`, `drain`, `maint`, `down`, `75%`. Each answer says the whole state. A word counts
// when enough answers in a row agree, and a share is damped, so that one that follows the load of its machine never makes the ring restless.

/** What one answer says. */
export interface AgentWord {
  /** It says itself that it is not well: as good as no answer. */
  readonly down: boolean;
  /** No new sessions; those that it has stay. */
  readonly maintenance: boolean;
  readonly drain: boolean;
  /** Of its keys, 0–1. */
  readonly share: number;
}

/** What holds, and what the last answers say otherwise. */
export interface AgentState {
  readonly accepted: AgentWord;
  /** When the share was last changed by a word. */
  readonly changedAtMs: number;
  readonly candidate?: { readonly word: AgentWord; readonly count: number } | undefined;
}

/** Of an origin that says nothing. */
export const READY: AgentWord = { down: false, maintenance: false, drain: false, share: 1 };
export const SILENT: AgentState = { accepted: READY, changedAtMs: 0 };

/** Of a body more than this is not read: a page, and no word. */
export const WORDS_MAX_BYTES = 256;

/** The words of a body; where it is anything else than known words it says nothing, which is `ready`. */
export function parseWords(body: string): AgentWord {
  const words = body.split(/[\s,]+/).filter((word) => word !== "");
  let said = READY;
  for (const word of words) {
    const next = withWord(said, word.toLowerCase());
    if (!next) return READY;
    said = next;
  }
  return said;
}

function withWord(said: AgentWord, word: string): AgentWord | undefined {
  switch (word) {
    case "ready":
    case "up":
      return said;
    case "drain":
      return { ...said, drain: true };
    case "maint":
      return { ...said, maintenance: true };
    case "down":
      return { ...said, down: true };
    default: {
      const percent = /^(\d{1,3})%$/.exec(word)?.[1];
      return percent === undefined || Number(percent) > 100 ? undefined : { ...said, share: Number(percent) / 100 };
    }
  }
}

export interface WordPolicy {
  /** Answers in a row that must agree. */
  readonly rise: number;
  /** Between two changes of a share. */
  readonly spacingMs: number;
}

/** A share that differs by less is the same: load is never quite still. */
const STEP = 0.05;
/** The longest wait between two changes of a share. */
const SPACING_MS = 10_000;

/** A ramp that is shorter than the usual wait is over before the next change. */
export function wordPolicy(rise: number, slowStartWindowMs: number): WordPolicy {
  return { rise, spacingMs: Math.min(SPACING_MS, slowStartWindowMs) };
}

/** The state after one good answer. What is not new leaves `accepted` the same object. */
export function afterWord(state: AgentState, word: AgentWord, policy: WordPolicy, nowMs: number): AgentState {
  const { accepted, candidate, changedAtMs } = state;
  const said = { ...word, down: false, share: isSameShare(accepted.share, word.share) ? accepted.share : word.share };
  if (isSame(accepted, said)) return candidate ? { accepted, changedAtMs } : state;
  const count = candidate && isSame(candidate.word, said) ? candidate.count + 1 : 1;
  const isNewShare = said.share !== accepted.share;
  const isTooSoon = isNewShare && nowMs < changedAtMs + policy.spacingMs;
  if (count < policy.rise) return { ...state, candidate: { word: said, count } };
  if (!isTooSoon) return { accepted: said, changedAtMs: isNewShare ? nowMs : changedAtMs };
  // What it says beside its share does not wait for that.
  const rest = { ...said, share: accepted.share };
  return { accepted: isSame(accepted, rest) ? accepted : rest, changedAtMs, candidate: { word: said, count } };
}

function isSame(a: AgentWord, b: AgentWord): boolean {
  return a.maintenance === b.maintenance && a.drain === b.drain && isSameShare(a.share, b.share);
}

/** All and nothing are reached, however small the step. */
function isSameShare(a: number, b: number): boolean {
  return a === b || (b !== 0 && b !== 1 && Math.abs(a - b) < STEP);
}
