import { formatTime } from '@aliquot/shared/cli/format';
import type { DroppedInfo, RunInfo } from '../api/retention-messages.ts';

/** By what a version went: a run of retention, with its policy, or a purge. */
export function goneText(
  { run: number, purge }: Pick<DroppedInfo, 'run' | 'purge'>,
  run: RunInfo | undefined,
): string {
  if (purge !== undefined) return `purged, as leaf ${purge} of the log approves`;
  const after = `dropped after run ${number ?? 0} of retention`;
  if (run === undefined) return after;
  return `${after} under policy ${run.policy}, which expired it on ${formatTime(run.atMs)}`;
}
