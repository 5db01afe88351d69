import { resolve } from 'node:path';
import { UsageError } from '@aliquot/shared/cli/errors';
import { parsePathFile } from '@aliquot/shared/cli/path-set';
import { readWholeFile } from '@aliquot/shared/durable/durable';
import { nodeFiles } from '@aliquot/shared/durable/file-port';

/** Options of commands that take paths from a file. */
export interface PathFile {
  readonly pathFile?: string;
  /** Whether `-0` was given. */
  readonly null?: boolean;
}

/** A request to the service is one line, which holds about so many paths. */
const MAX_PATH_FILE_BYTES = 512 << 10;

/**
 * The paths that were typed, and those of `--path-file`. Errors: `USAGE_MISSING`, `USAGE_INVALID`,
 * file errors.
 */
export async function pathsOf(
  typed: readonly string[],
  { pathFile, null: byNul = false }: PathFile,
): Promise<string[]> {
  if (pathFile === undefined && byNul)
    throw new UsageError('USAGE_INVALID', '-0 says how --path-file is written; give that too');
  const named =
    pathFile === undefined
      ? []
      : parsePathFile(
          await readWholeFile(nodeFiles, pathFile, MAX_PATH_FILE_BYTES),
          pathFile,
          byNul,
        );
  const paths = [...typed.map((path) => resolve(path)), ...named];
  if (paths.length === 0)
    throw new UsageError(
      'USAGE_MISSING',
      'missing: a path; name a file or folder, or give --path-file; see --help',
    );
  return paths;
}
