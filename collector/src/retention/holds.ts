import type { FileId, Platform, ResultId } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { pathText } from '@aliquot/shared/cli/format';
import { globMatcher, type PathMatcher } from '@aliquot/shared/cli/glob';
import type { FileHold } from './kept.ts';

/*
 * Which holds cover which files. A hold by path needs the name of a file, so it is asked only of
 * those of which a version would go; in doubt it covers them.
 */

/** A path as it was captured: of a file, or of the root of a folder result. */
export interface CapturedPath {
  readonly path: Uint8Array;
  readonly platform: Platform;
}

/** What of a file, or of the rows of a folder result, tells which holds cover it. */
export interface HeldFile {
  readonly id: FileId | ResultId;
  /** Whether these are the rows of a result: then the path is that of its root. */
  readonly isResult: boolean;
  /** The leaf of the oldest version that is there. */
  readonly firstLeaf: number;
  /** Opens its name, of any version; undefined where none opens. Asked at most once. */
  openPath(): Promise<CapturedPath | undefined>;
}

/** The holds over the files of one lineage, on whichever branch. */
export interface LineageHolds {
  /** Over each of its files, whatever it is called. */
  readonly whole: readonly FileHold[];
  /** Whether others depend on what a file is called. */
  readonly hasOthers: boolean;
  /** Those of the others that cover a file: for one of which a version would go. */
  othersOver(file: HeldFile): Promise<readonly FileHold[]>;
}

/** What patterns of a hold fit. */
export interface HoldMatcher {
  fits(captured: CapturedPath, isResult: boolean): boolean;
}

/**
 * The patterns of a hold, as `--path` reads them. The rows of a folder result are meant where one
 * fits its root, or names something below it: who holds a part wants to have it back as it was. A
 * pattern that cannot be read fits everything.
 */
export function holdMatcher(globs: readonly string[]): HoldMatcher {
  let matchers: PathMatcher[];
  try {
    matchers = globs.map(globMatcher);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { fits: () => true };
  }
  return {
    fits({ path, platform }, isResult) {
      const text = pathText(path);
      if (matchers.some((matches) => matches(text, platform))) return true;
      return isResult && globs.some((glob) => namesBelow(glob, text, platform));
    },
  };
}

/** Whether the folders that a pattern spells out lead below a root. */
function namesBelow(glob: string, root: string, platform: Platform): boolean {
  const spelled = (text: string): string =>
    platform === 'windows' ? text.replaceAll('\\', '/').toLowerCase() : text;
  return spelled(glob).startsWith(`${spelled(root)}/`);
}
