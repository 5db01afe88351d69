import { UsageError } from '@aliquot/shared/cli/errors';
import { readWholeFile } from '@aliquot/shared/durable/durable';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import type { CommandContext } from './context.ts';

/** A small text file that an option names; one that is not there is `USAGE_INVALID`. */
export async function readText(
  context: CommandContext,
  file: string,
  what: string,
  limit: number,
): Promise<string> {
  try {
    return (await readWholeFile(context.files, file, limit)).toString('utf8');
  } catch (error) {
    const missing =
      errnoOf(error) === 'ENOENT' ||
      (error instanceof Error && 'code' in error && error.code === 'FILE_MISSING');
    if (missing)
      throw new UsageError('USAGE_INVALID', `the ${what} ${file} is not there; check the path`, {
        cause: error,
      });
    throw error;
  }
}
