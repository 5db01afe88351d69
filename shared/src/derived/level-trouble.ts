/** What LevelDB met, as far as a caller can do something about it. */
export type LevelTrouble =
  /** Its files are damaged, or some are gone. */
  | 'damaged'
  /** A living process has it open. */
  | 'locked'
  /** The disk, or this user's share of it, is full. */
  | 'no-space'
  /** The disk or file system failed in another way. */
  | 'disk';

/**
 * What LevelDB says with an error, or with what caused it; undefined when the error is none of
 * LevelDB's. The one place that reads its messages: it tells damage and locks by codes, but every
 * failure of the disk is `LEVEL_IO_ERROR`, and a missing file among them.
 */
export function levelTrouble(error: unknown): LevelTrouble | undefined {
  if (!(error instanceof Error)) return undefined;
  switch ('code' in error ? error.code : undefined) {
    case 'LEVEL_CORRUPTION':
      return 'damaged';
    case 'LEVEL_LOCKED':
      return 'locked';
    case 'LEVEL_IO_ERROR':
      if (/no space left|disk quota exceeded|ENOSPC|EDQUOT|not enough space/i.test(error.message))
        return 'no-space';
      // One of its files is gone: those of a folder that nobody can make are not asked for.
      return /no such file|cannot find the (file|path)|file not found/i.test(error.message)
        ? 'damaged'
        : 'disk';
    case 'LEVEL_DATABASE_NOT_OPEN':
      // A cause without a code: the folder holds no database.
      return error.cause === undefined ? undefined : (levelTrouble(error.cause) ?? 'damaged');
    default:
      return levelTrouble(error.cause);
  }
}

/** What LevelDB says in the innermost cause, for a person. */
export function levelWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : levelWords(error.cause);
}
