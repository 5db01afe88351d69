import { type CheckOptions, type Finding, type FsckSummary } from './fsck-finding.ts';

/** Placeholder until the checks land. */
export async function fsckCollector(_dir: string, _options: CheckOptions): Promise<FsckSummary> {
  throw new TypeError('not yet');
}

export type { CheckOptions, Finding, FsckSummary };
