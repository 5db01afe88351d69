import { formatCounted } from '@aliquot/shared/cli/format';
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
