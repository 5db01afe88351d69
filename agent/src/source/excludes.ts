import * as globs from '@aliquot/shared/settings/globs';
import { here } from '@aliquot/shared/settings/where';
import type { Problem } from './problem.ts';

/**
 * What one exclude pattern took in a walk. A folder that it took whole counts once, and nobody
 * looks at what is in it.
 */
export interface ExcludeCount {
  readonly glob: string;
  readonly files: number;
  readonly folders: number;
}

/** What all patterns took in a walk, and what they left. */
export interface Excluded {
  /** Patterns that took something, in the order in which they met it. */
  readonly counts: readonly ExcludeCount[];
  /** Files, links, and things that could not be looked at: everything but folders. */
  readonly left: number;
}

/** `isWholePath` of the settings. */
export const isWholePath = (glob: string, platform = here): boolean =>
  globs.isWholePath(glob, platform === 'windows');

/** `excludeMistake` of the settings, on this system. */
export const excludeMistake = (glob: string, roots: readonly string[]): string | undefined =>
  globs.excludeMistake(glob, roots, here === 'windows');

/** The problem of a source, or of a path given to `backup`, of which the patterns leave nothing. */
export function allExcludedProblem({ counts }: Excluded): Problem {
  const told = counts.slice(0, 3).map((count) => `"${count.glob}" (${spoken(count)})`);
  const more = counts.length > told.length ? ` and ${counts.length - told.length} more` : '';
  const message = `nothing of it is backed up, because everything in it is excluded by ${told.join(', ')}${more}; make them take less`;
  return { code: 'all-excluded', message: message.slice(0, 500) };
}

/** `3 files and 1 folder`, for people. */
function spoken({ files, folders }: ExcludeCount): string {
  const parts = [
    files > 0 ? `${files} ${files === 1 ? 'file' : 'files'}` : '',
    folders > 0 ? `${folders} ${folders === 1 ? 'folder' : 'folders'}` : '',
  ];
  return parts.filter((part) => part !== '').join(' and ');
}

/** Counts what is excluded, in as many counters as there are patterns. */
export class ExcludeTally {
  readonly #counts = new Map<string, { glob: string; files: number; folders: number }>();
  left = 0;

  take(glob: string, isFolder: boolean): void {
    const count = this.#counts.get(glob) ?? { glob, files: 0, folders: 0 };
    if (isFolder) count.folders += 1;
    else count.files += 1;
    this.#counts.set(glob, count);
  }

  get excluded(): Excluded {
    return { counts: [...this.#counts.values()], left: this.left };
  }
}
