import type { GroupId, LineageId } from '@aliquot/proto';
import type { readAgent } from '@aliquot/shared/keys/certificates';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import { heldName } from '../branch-id.ts';
import type { AgentRecord, ReportedHead } from '../vault-records.ts';
import type { AgentLines } from './agent-lines.ts';
import { problemsOf } from './agent-problems.ts';
import type { AgentRow, LearnedRow, LineageRow, LostRow } from './catalog-rows.ts';
import type { SignsOfLife } from './signs-of-life.ts';

/** One agent, as the registry has it in memory. */
export interface Known {
  row: AgentRow;
  certified: ReturnType<typeof readAgent>;
  /** Whose certificate it came with. */
  readonly groupId: GroupId | undefined;
  readonly lines: AgentLines;
  readonly signs: SignsOfLife;
  /** By chain id: what it answered to the sweep. */
  readonly learned: Map<string, LearnedRow & { readonly isOfThisStart: boolean }>;
  /** Commits that came back after a rollback without some of their versions. */
  readonly lost: LostRow[];
}

/** What its record has from elsewhere in the registry. */
interface Around {
  readonly times: LogTimes;
  readonly lineage: (branchId: LineageId) => LineageRow | undefined;
  readonly reported: readonly ReportedHead[];
  /** When somebody said that it is lost. */
  readonly lostSinceMs: number | undefined;
}

/** What is known of an agent, for those who ask. */
export function recordOf(
  known: Known,
  { times, lineage, reported, lostSinceMs }: Around,
): AgentRecord {
  const { row, lines } = known;
  const { trunk } = lines;
  const own = lineage(row.lineageId);
  return {
    agentId: row.agentId,
    lineageId: row.lineageId,
    name: row.name,
    state: row.state,
    enrolment: row.enrolment,
    enrolmentBody: known.certified.enrolment,
    expectedAtMs: row.expectedAtMs,
    binding: row.binding,
    bindingBody: known.certified.binding,
    group: known.certified.group,
    approval: row.approval,
    operator: row.operator,
    enrolledAtMs: row.enrolledAtMs,
    endedAtMs: row.endedAtMs,
    endReason: row.endedAtMs === undefined ? undefined : row.endReason,
    ...known.signs.record(times),
    lastCommitMs: trunk?.receivedAtMs,
    lastReceipt: trunk?.receipt,
    chainHead: trunk?.head,
    files: own?.files ?? 0,
    bytes: Number(own?.bytes ?? 0n),
    histories: lines.apart().map(({ branchId, state, at, name, openedAtMs, line }) => ({
      branchId,
      state: state === 'clone' ? 'clone' : 'held',
      name: state === 'clone' ? name : heldName(row.name, branchId),
      at,
      openedAtMs,
      head: line.head,
      lastCommitMs: line.receivedAtMs,
      files: lineage(branchId)?.files ?? 0,
      bytes: Number(lineage(branchId)?.bytes ?? 0n),
    })),
    problems: problemsOf(row, lines, known.lost, reported, lostSinceMs),
  };
}
