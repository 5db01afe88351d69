import { PartialError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { scan } from '../capture/scan.ts';
import type { Agent } from '../folder/agent.ts';
import type { Emit } from '../socket/protocol.ts';
import type { Excluded } from '../source/excludes.ts';
import { pathBytes } from '../source/paths.ts';
import { countAlike, countSame, type Tally } from '../watch/tally.ts';
import type { NameProblem } from './backup-capture.ts';
import type { Root } from './roots.ts';
import { interrupted } from './sending.ts';

/** Says what a backup would capture, and captures nothing. Ends as a backup would. */
export async function dryRun(
  agent: Agent,
  roots: readonly Root[],
  tally: Tally,
  named: NameProblem,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { host, queue, places, clock } = agent;
  for (const { source, at, acceptGone } of roots) {
    let excluded: Excluded | undefined;
    const onExcluded = (taken: Excluded): void => {
      excluded = taken;
    };
    for await (const change of scan({
      host,
      queue,
      places,
      source,
      nowMs: clock.nowMs(),
      at,
      onExcluded,
      acceptGone,
      dryRun: true,
      wanted: [],
    })) {
      if (signal.aborted) throw interrupted();
      if (change.type === 'problem') await named(change.path, change.problem, false);
      else if (change.type === 'same') countSame(tally, change.item);
      else if (change.type === 'alike') countAlike(tally, change.alike);
      else if (change.type === 'gone') {
        tally.gone += 1;
        await emit({
          event: 'would',
          change: 'gone',
          path: pathText(pathBytes(change.path)),
          kind: change.known.kind,
          size: change.known.size,
        });
      } else {
        const { path, stat } = change.item;
        const isNew = change.known === undefined;
        if (stat.kind === 'file') {
          tally.files += 1;
          tally.bytes += stat.size;
          if (isNew) tally.newFiles += 1;
          else tally.changed += 1;
        }
        await emit({
          event: 'would',
          change: isNew ? 'new' : 'changed',
          path: pathText(pathBytes(path)),
          kind: stat.kind,
          size: stat.kind === 'file' ? stat.size : 0,
        });
      }
    }
    for (const { glob, files, folders } of excluded?.counts ?? [])
      await emit({
        event: 'excluded',
        path: pathText(pathBytes(at)),
        pattern: glob,
        files,
        folders,
      });
  }
  const { files, newFiles, bytes, failed, changed, unchanged, gone } = tally;
  const { entries: queued } = agent.queue.intake.pending();
  await emit({
    event: 'summary',
    files,
    newFiles,
    bytes,
    sentBytes: 0,
    queued,
    failed,
    changed,
    unchanged,
    gone,
    dryRun: true,
  });
  if (failed > 0)
    throw new PartialError(
      'PARTIAL',
      `${failed} ${failed === 1 ? 'path' : 'paths'} could not be protected, each named above`,
    );
}
