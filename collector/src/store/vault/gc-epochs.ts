import type { AgentId, ChainId, LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  type AnswerWait,
  type AwaitedAgent,
  type AwaitedLine,
  awaitedOf,
  countedAnswer,
} from '../../collection/answers.ts';
import { heldName } from '../branch-id.ts';
import type { AgentLines, Line } from '../catalog/agent-lines.ts';
import { keys } from '../catalog/catalog-keys.ts';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import { hasEnded } from '../catalog/refusal.ts';
import { values } from '../catalog/row-codec.ts';
import type { SweepWait } from '../vault-records.ts';
import type { VaultCore } from './core.ts';

/**
 * Notes that a chain has answered `epoch`, if it is some line's newest. Any other has nothing to
 * say: an answer before the first commit of a chain is given again with that commit, and made-up
 * chain ids leave nothing here.
 */
export function noteLearned(
  { registry, sums, catalog }: VaultCore,
  agentId: AgentId,
  chainId: ChainId,
  epoch: number,
): void {
  const lineageId = registry.row(agentId)?.lineageId;
  const lines = registry.lines(agentId);
  const line = lines?.all().find((one) => lines.speaksFor(chainId, one));
  if (
    line === undefined ||
    lineageId === undefined ||
    epoch > registry.sweep(lineageId).announced ||
    epoch <= countedAnswer(registry.answered(agentId, line), sums.logEpoch)
  )
    return;
  const learned = { epoch, logEpoch: sums.logEpoch, branchId: line.branchId };
  registry.setLearned(agentId, chainId, learned);
  catalog.note(keys.gcLearned(agentId, chainId), values.learned(learned));
}

/**
 * Every line of a lineage that may still refer to what a sweep for `epoch` takes (I-C11), and why
 * it does; whom and what that concerns is decided in `collection/answers.ts`.
 */
export function sweepWaitsFor(core: VaultCore, lineageId: LineageId, epoch: number): SweepWait[] {
  const rolledBack = new Set(core.registry.reported().map(([, { agentId }]) => hex(agentId)));
  return core.registry.rows().flatMap((row): SweepWait[] => {
    const lines = core.registry.lines(row.agentId);
    if (lines === undefined || !equalBytes(row.lineageId, lineageId)) return [];
    const agent = awaitedAgent(core, row, lines, rolledBack.has(hex(row.agentId)));
    return awaitedOf(agent, epoch).map(({ line, wait }) => ({
      agent: row.name,
      history: line?.history ?? row.name,
      chainId: line?.chainId,
      reason: reasonOf(wait, line),
    }));
  });
}

/** A line that is waited for, as operators address it. */
interface NamedLine extends AwaitedLine {
  readonly history: string;
  readonly chainId: ChainId;
  /** The newest epoch that it has answered, whether that counts or not. */
  readonly noted: number;
  /** Its answer is from before this start. */
  readonly isToBeHeard: boolean;
}

function awaitedAgent(
  { registry, sums: { logEpoch }, openings }: VaultCore,
  { agentId, name, lineageId, state, expectedLeaf }: AgentRow,
  lines: AgentLines,
  holdsLostHead: boolean,
): AwaitedAgent<NamedLine> {
  const named = (history: string, line: Line): NamedLine => {
    const { chainId } = line.row.head;
    const hasOwnChain = lines.speaksFor(chainId, line);
    const answer = registry.answered(agentId, line);
    const answered = countedAnswer(answer, logEpoch);
    const isToBeHeard = answer?.isOfThisStart === false;
    return { history, chainId, hasOwnChain, answered, noted: answer?.epoch ?? 0, isToBeHeard };
  };
  const trunk = lines.line(lineageId);
  return {
    hasEnded: hasEnded(state) || registry.lostAgent(agentId) !== undefined,
    holdsLostHead,
    trunk: trunk && named(name, { branchId: lineageId, row: trunk }),
    apart: lines.apart().map(({ branchId, line, ...apart }) => {
      const history = apart.state === 'clone' ? apart.name : heldName(name, branchId);
      return named(history, { branchId, row: line });
    }),
    wasKnownAtReopening: logEpoch > 1 && expectedLeaf < (openings.at(-1)?.leafIndex ?? 0),
    tookOver:
      state === 'enrolled' && registry.certificate(agentId)?.enrolment.replaces !== undefined,
  };
}

function reasonOf(wait: AnswerWait, line: NamedLine | undefined): string {
  switch (wait) {
    case 'holds-lost-head':
      return 'holds a head that the log has lost: aliquot log reopen';
    case 'shares-chain':
      return 'shares its chain with another line until it goes on under its own';
    case 'has-not-answered':
      if (line?.isToBeHeard === true)
        return `has answered epoch ${line.noted}, and was not heard since the collector started`;
      return line === undefined || line.answered === 0
        ? 'has answered no epoch of this log yet'
        : `has answered epoch ${line.answered}`;
    case 'silent-since-reopening':
      return 'was known when the log lost its tail, and has committed nothing since';
    case 'took-over':
      return 'took the place of another agent, and has committed nothing yet';
  }
}
