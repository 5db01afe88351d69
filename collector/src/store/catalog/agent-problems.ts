import { hex } from '@aliquot/shared/crypto/bytes';
import { heldName } from '../branch-id.ts';
import type { AgentProblem, ReportedHead } from '../vault-records.ts';
import type { AgentLines } from './agent-lines.ts';
import type { AgentRow, LostRow } from './catalog-rows.ts';

/**
 * What a person should know about an agent from the store's own sight (P6), each with what to do
 * about it.
 */
export function problemsOf(
  row: AgentRow,
  lines: AgentLines,
  lost: readonly LostRow[],
  reported: readonly ReportedHead[],
  lostSinceMs: number | undefined,
): AgentProblem[] {
  const apart = lines.apart();
  return [
    ...(lostSinceMs === undefined ? [] : [queueAtRisk(row, lostSinceMs)]),
    ...apart
      .filter(({ state }) => state === 'held')
      .map(({ branchId, openedAtMs }) => undecided(row, heldName(row.name, branchId), openedAtMs)),
    ...lost.map((one) => lostVersions(row, one)),
    ...reported.filter(({ agentId }) => hex(agentId) === hex(row.agentId)).map(rolledBack),
    ...apart
      .filter(isUnseenClone)
      .map(({ name, decidedAtMs, openedAtMs }) => clone(row, name, decidedAtMs ?? openedAtMs)),
  ];
}

/** A clone that went on after an operator last said that it is known. */
function isUnseenClone({
  state,
  line,
  acknowledgedLeaf,
}: ReturnType<AgentLines['apart']>[number]): boolean {
  return state === 'clone' && (acknowledgedLeaf === undefined || line.leafIndex > acknowledgedLeaf);
}

function undecided({ name }: AgentRow, held: string, sinceMs: number): AgentProblem {
  const what = `two histories under one identity: a copied folder or disk, or this PC put back to an older state; what came second is kept apart as ${held}`;
  const remedy = `if it is this PC itself: aliquot fork decide ${held} --restored; if it is another PC: aliquot fork decide ${held} --clone NEWNAME`;
  return {
    code: 'chain-forked',
    sinceMs,
    message: `${what}; ${remedy} (${name} goes on as before)`,
  };
}

function clone({ name }: AgentRow, cloneName: string, sinceMs: number): AgentProblem {
  const message = `another PC, ${cloneName}, uses the identity of ${name}: enroll that PC anew with aliquot enroll, then: aliquot agent acknowledge ${name}; what it backed up stays under ${cloneName}`;
  return { code: 'chain-clone', sinceMs, message };
}

function lostVersions({ name }: AgentRow, { sequence, versions, timeMs }: LostRow): AgentProblem {
  const what = versions === 1 ? 'one version' : `${versions} versions`;
  const message = `${what} of commit ${sequence} ${versions === 1 ? 'is' : 'are'} lost, as the PC itself has signed: neither its queue nor its sources have the bytes any more; aliquot-agent status on that PC names the files; when you have seen to it: aliquot agent acknowledge ${name}`;
  return { code: 'versions-lost', sinceMs: timeMs, message };
}

function queueAtRisk({ name }: AgentRow, sinceMs: number): AgentProblem {
  const message = `was said to be lost, so nothing is kept for what may wait in its queue: when it comes back, results that it captured before and never sent may lack what was swept meanwhile, and then it names them; for good: aliquot revoke ${name}`;
  return { code: 'queue-at-risk', sinceMs, message };
}

function rolledBack({ head, timeMs }: ReportedHead): AgentProblem {
  const message = `holds a receipt for leaf ${head.size - 1}, which this collector no longer has: it was put back to an older state; aliquot log reopen heals it`;
  return { code: 'log-rolled-back', sinceMs: timeMs, message };
}
