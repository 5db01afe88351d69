import type { CommitHash } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { hex } from '@aliquot/shared/crypto/bytes';

/** The beginning of a commit's hash, and an entry's place in it if that was given. */
export interface VersionId {
  readonly digits: string;
  readonly slot: number | undefined;
}

const HASH_DIGITS = 16;

/** The first 16 hexadecimal digits of a commit's hash: names it for people and scripts. */
export function commitName(hash: CommitHash): string {
  return hex(hash).slice(0, HASH_DIGITS);
}

/** The commit and the entry's place in it: names one version. */
export function versionName(hash: CommitHash, slot: number): string {
  return `${commitName(hash)}.${slot}`;
}

/**
 * A version's name, or as much of its beginning as tells it from others. Error: `USAGE_INVALID`.
 */
export function parseVersionId(text: string): VersionId {
  const [, digits, slot] = /^([0-9a-f]{4,16})(?:\.(\d{1,7}))?$/i.exec(text.trim()) ?? [];
  if (digits !== undefined)
    return { digits: digits.toLowerCase(), slot: slot === undefined ? undefined : Number(slot) };
  const like =
    'give one as `aliquot versions` prints it, such as 0123456789abcdef.7, or at least its first 4 digits';
  throw new UsageError(
    'USAGE_INVALID',
    `"${text}" is no version; ${like} (the program's own release: aliquot --version)`,
  );
}

export function isVersion(id: VersionId, hash: CommitHash, slot: number): boolean {
  return isNamedBy(id, versionName(hash, slot));
}

/** The same of a version by its name. */
export function isNamedBy({ digits, slot }: VersionId, name: string): boolean {
  return name.startsWith(digits) && (slot === undefined || name.endsWith(`.${slot}`));
}
