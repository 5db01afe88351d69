import { pathText, printable } from '../cli/format.ts';
import { RestoreError } from './errors.ts';

/** What to say of a file or folder that shows another time than the recorded one. */
export function timeFailure(
  path: Buffer,
  mtimeNs: bigint,
  shownNs: bigint,
): RestoreError | undefined {
  const away = shownNs - mtimeNs;
  if (away > -1000n && away < 1000n) return undefined;
  const says = `${printable(pathText(path))} is restored, but not its time: this file system cannot keep it exactly`;
  return new RestoreError('RESTORE_TIME', says);
}
