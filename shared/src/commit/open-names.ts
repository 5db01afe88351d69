import { FormatError, type ListPart, type ReadPart, type WrapRecipient } from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { WrapError } from '../crypto/wrap.ts';
import { openList, openRead } from './entry.ts';
import { CommitError } from './errors.ts';
import { openCommitKeys } from './keys.ts';
import type { CommitRow, ReadCommit } from './rows.ts';

/**
 * Why a commit, or an entry of it, does not open. Its signature may well hold: its maker sealed it
 * wrongly.
 */
export type OpeningError = CommitError | WrapError | FormatError;

/** What of a commit did not open. */
export interface Unopened {
  /** How many of the entries that were asked for. */
  readonly versions: number;
  /** Why the first of them did not. */
  readonly error: OpeningError;
}

/** A version whose name is open. */
export interface Named extends CommitRow {
  readonly list: ListPart;
  /** Opens hash and content keys; `undefined` unless it is a file. Throws `OpeningError`. */
  read(): ReadPart | undefined;
}

/**
 * Whether an error says that a commit or an entry does not open: that costs its own files, never
 * those of other commits.
 */
export function isOpeningError(error: unknown): error is OpeningError {
  return error instanceof CommitError || error instanceof WrapError || error instanceof FormatError;
}

/**
 * Opens the names of some versions of a commit with a recipient's key: `slots`, with whatever
 * the caller knows of each. What is purged is left out; what does not open is left out too,
 * and reported once, at the end. The commit is verified, or believed because it lies in the own
 * store.
 */
export function* openNames<Slot extends Pick<CommitRow, 'slot'>>(
  { wraps, header: place, rows }: Pick<ReadCommit, 'wraps' | 'header' | 'rows'>,
  slots: Iterable<Slot>,
  { key, recipient }: { readonly key: BoxKey; readonly recipient: WrapRecipient },
  onUnopened: (unopened: Unopened) => void,
): Generator<Slot & Named, void, void> {
  let versions = 0;
  let first: OpeningError | undefined;
  const attempt = <T>(open: () => T): T | undefined => {
    try {
      return open();
    } catch (error) {
      if (!isOpeningError(error)) throw error;
      first ??= error;
      return undefined;
    }
  };
  const noKey = (purpose: string) =>
    new CommitError(
      'COMMIT_NO_WRAP',
      `commit ${place.sequence} holds no ${purpose} key for this ${recipient} key`,
    );
  const { listKey, readKey } = attempt(() => openCommitKeys(wraps, key, recipient, place)) ?? {};
  for (const slot of slots) {
    const entry = rows.entry(slot.slot);
    if (entry === undefined) continue;
    const list = attempt(() => {
      if (listKey === undefined) throw noKey('list');
      return openList(entry, listKey);
    });
    if (list === undefined) {
      versions += 1;
      continue;
    }
    const read = () => {
      if (entry.kind !== 'file') return undefined;
      if (readKey === undefined) throw noKey('read');
      return openRead(entry, readKey);
    };
    yield { ...slot, entry, list, read };
  }
  if (first !== undefined && versions > 0) onUnopened({ versions, error: first });
}
