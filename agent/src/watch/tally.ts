import type { Alike, FoundItem } from '../capture/comparison.ts';
import type { CaptureOutcome } from '../capture/task.ts';

/** What a scan or backup met and did. */
export interface Tally {
  /** Files that are protected or queued now: `newFiles + changed + unchanged`. */
  files: number;
  /** Their sizes. */
  bytes: number;
  newFiles: number;
  changed: number;
  unchanged: number;
  folders: number;
  links: number;
  gone: number;
  /** Things that could not be protected, each named. */
  failed: number;
  /** Versions put into the queue: files, folders, links and gone facts. */
  versions: number;
}

export function newTally(): Tally {
  return {
    files: 0,
    bytes: 0,
    newFiles: 0,
    changed: 0,
    unchanged: 0,
    folders: 0,
    links: 0,
    gone: 0,
    failed: 0,
    versions: 0,
  };
}

/** Counts what another look met and did too. */
export function addTally(total: Tally, more: Tally): void {
  for (const name of Object.keys(more) as (keyof Tally)[]) total[name] += more[name];
}

/** Counts something that is as it was captured. */
export function countSame(tally: Tally, { stat }: FoundItem): void {
  if (stat.kind === 'directory') tally.folders += 1;
  else if (stat.kind === 'symlink') tally.links += 1;
  else {
    tally.files += 1;
    tally.unchanged += 1;
    tally.bytes += stat.size;
  }
}

/** Counts what is as it was captured, and was not told one by one. */
export function countAlike(tally: Tally, { files, bytes, links, folders }: Alike): void {
  tally.folders += folders.length;
  tally.links += links;
  tally.files += files;
  tally.unchanged += files;
  tally.bytes += bytes;
}

/** Counts how a task ended. */
export function countOutcome(tally: Tally, outcome: CaptureOutcome): void {
  const { task } = outcome;
  if (outcome.type === 'problem' || outcome.type === 'full') tally.failed += 1;
  else if (outcome.type === 'same') {
    tally.files += 1;
    tally.unchanged += 1;
    tally.bytes += outcome.size;
  } else if (outcome.type === 'version') {
    tally.versions += 1;
    if (task.type === 'gone') tally.gone += 1;
    else if (task.item.stat.kind === 'directory') tally.folders += 1;
    else if (task.item.stat.kind === 'symlink') tally.links += 1;
    else {
      tally.files += 1;
      tally.bytes += outcome.size;
      if (task.known === undefined) tally.newFiles += 1;
      else tally.changed += 1;
    }
  }
}
