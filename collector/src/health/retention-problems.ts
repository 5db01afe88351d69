import { formatCounted, formatInstant } from '@aliquot/shared/cli/format';
import type { CollectorProblem } from '../api/messages.ts';
import type { OwnWork } from '../store/catalog/failed-works.ts';
import type { CollectorStore } from '../store/collector-store.ts';

/** What retention waits for a person with: as long as it does, nothing expires. */
export function retentionProblems(store: CollectorStore): {
  readonly code: string;
  readonly sinceMs: number;
  readonly message: string;
}[] {
  return store.vaults().flatMap(({ descriptor: { name }, retention }) => {
    const newest = retention.runs().at(-1);
    if (newest === undefined || newest.brakes.length === 0 || newest.approvedAtMs !== undefined)
      return [];
    const { run, versions, timeMs } = newest;
    const message = `run ${run} of retention waits in vault ${name}, for it would let ${formatCounted(versions, 'version')} go: aliquot retention status`;
    return [{ code: 'retention-waits', sinceMs: timeMs, message }];
  });
}

const works: readonly { readonly work: OwnWork; readonly what: string; readonly again: string }[] =
  [
    { work: 'retention', what: 'a run of retention', again: 'aliquot retention run' },
    { work: 'collection', what: 'the collection', again: 'aliquot gc run' },
  ];

/** What a collector does by itself and did not bring to a good end the last time. */
export function maintenanceProblems(store: CollectorStore): CollectorProblem[] {
  return store.vaults().flatMap(({ descriptor: { name }, maintenance }) =>
    works.flatMap(({ work, what, again }) => {
      const failed = maintenance.failed(work);
      if (failed === undefined) return [];
      const { sinceMs, atMs, code, message: why } = failed;
      const message = `${what} of vault ${name} failed on ${formatInstant(atMs)}: ${why} [${code}]; it is tried again by itself, or at once with ${again}`;
      return [{ code: `${work}-failed`, sinceMs, message }];
    }),
  );
}
