/** What a chain has answered. */
export interface GivenAnswer {
  readonly epoch: number;
  /** The epoch of the log in which it was given. */
  readonly logEpoch: number;
  /** Whether the chain bore the commits of the line in question then. */
  readonly isOfLine: boolean;
  /** Whether it was given since the vault was opened. */
  readonly isOfThisStart: boolean;
}

/**
 * The newest epoch that an answer counts for; 0 where it counts for none. One that was given before
 * the log was reopened says nothing of commits that went with its lost tail. Nor does one from
 * before this start: the folder may have been put back to an older copy, and nobody has shown yet
 * what it lacks. An agent answers again in each of its sessions.
 */
export function countedAnswer(answer: GivenAnswer | undefined, logEpoch: number): number {
  if (answer?.isOfLine !== true || !answer.isOfThisStart) return 0;
  return answer.logEpoch === logEpoch ? answer.epoch : 0;
}

/** A line of commits, and what it has answered. */
export interface AwaitedLine {
  /** False while its newest chain id is another line's too: who answers is not known then. */
  readonly hasOwnChain: boolean;
  /** As `countedAnswer` has it. */
  readonly answered: number;
}

/** What decides whether an agent is waited for. */
export interface AwaitedAgent<Line extends AwaitedLine> {
  /** Revoked, replaced, or said to be lost: what it still has may come too late. */
  readonly hasEnded: boolean;
  /** It has verified a head that the log has lost, and nobody has reopened the log. */
  readonly holdsLostHead: boolean;
  /** Its own line; `undefined` before its first commit. */
  readonly trunk: Line | undefined;
  /** Lines held apart, and those of clones. */
  readonly apart: readonly Line[];
  /** It may have committed in a tail that the log has lost: it was known when it was reopened. */
  readonly wasKnownAtReopening: boolean;
  /** It has enrolled in another's place, whose queue it may have taken over. */
  readonly tookOver: boolean;
}

export type AnswerWait =
  | 'holds-lost-head'
  | 'shares-chain'
  | 'has-not-answered'
  | 'silent-since-reopening'
  | 'took-over';

/** Why a line keeps `epoch` waiting, if it does. */
function waitOf(
  { hasOwnChain, answered }: AwaitedLine,
  holdsLostHead: boolean,
  epoch: number,
): AnswerWait | undefined {
  if (holdsLostHead) return 'holds-lost-head';
  if (!hasOwnChain) return 'shares-chain';
  return answered >= epoch ? undefined : 'has-not-answered';
}

/**
 * Every line of an agent that may still refer to what a sweep for `epoch` would take, and why
 * (I-C11); a wait without a line is the agent's as a whole. Asked again before each record of a
 * sweep: a line that nobody knew of may show up in the middle.
 */
export function awaitedOf<Line extends AwaitedLine>(
  agent: AwaitedAgent<Line>,
  epoch: number,
): { readonly line: Line | undefined; readonly wait: AnswerWait }[] {
  const { trunk, apart } = agent;
  if (agent.hasEnded) return [];
  const waits: { line: Line | undefined; wait: AnswerWait }[] = [];
  if (trunk === undefined && agent.wasKnownAtReopening)
    waits.push({ line: undefined, wait: 'silent-since-reopening' });
  if (trunk === undefined && agent.tookOver) waits.push({ line: undefined, wait: 'took-over' });
  for (const line of trunk === undefined ? apart : [trunk, ...apart]) {
    const wait = waitOf(line, agent.holdsLostHead, epoch);
    if (wait !== undefined) waits.push({ line, wait });
  }
  return waits;
}
