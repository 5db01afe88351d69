import {
  FormatError,
  type ListPart,
  type ListRow,
  type ReadPart,
  type WrapRecipient,
} from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { WrapError } from '../crypto/wrap.ts';
import { blockHashes, OpenRead, openBlockList } from './block-open.ts';
import { CommitError } from './errors.ts';
import { openBlockKey, openCommitKeys } from './keys.ts';
import type { CommitRow, HeldBlock, ReadCommit } from './rows.ts';

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
  // Slots come in the order of their blocks: one block is open at a time.
  let open: { readonly index: number; readonly block: LazyBlock } | undefined;
  for (const slot of slots) {
    const at = rows.placeOf(slot.slot);
    const entry = rows.entry(slot.slot);
    if (at === undefined || entry === undefined) continue;
    if (open?.index !== at.index) {
      const held = rows.blocks[at.index] as HeldBlock;
      open = { index: at.index, block: new LazyBlock(held, listKey, readKey, noKey) };
    }
    const { block } = open;
    const list = attempt(() => block.list(at.place));
    if (list === undefined) {
      versions += 1;
      continue;
    }
    const read = () => (entry.kind === 'file' ? block.read(at.place) : undefined);
    yield { ...slot, entry, list, read };
  }
  if (first !== undefined && versions > 0) onUnopened({ versions, error: first });
}

/** One block, each of whose segments opens when the first row asks for it, and once. */
class LazyBlock {
  readonly #held: HeldBlock;
  readonly #listKey: Uint8Array | undefined;
  readonly #readKey: Uint8Array | undefined;
  readonly #noKey: (purpose: string) => CommitError;
  #names: Once<readonly ListRow[]> | undefined;
  #read: Once<OpenRead> | undefined;

  constructor(
    held: HeldBlock,
    listKey: Uint8Array | undefined,
    readKey: Uint8Array | undefined,
    noKey: (purpose: string) => CommitError,
  ) {
    this.#held = held;
    this.#listKey = listKey;
    this.#readKey = readKey;
    this.#noKey = noKey;
  }

  /** @throws OpeningError */
  list(place: number): ListPart {
    this.#names ??= once(() => this.#openNames());
    return (this.#names()[place] as ListRow).list;
  }

  /** @throws OpeningError */
  read(place: number): ReadPart | undefined {
    this.#read ??= once(() => this.#openRead());
    return this.#read().at(place);
  }

  /**
   * The bytes of a purged block are not what the agent signed: its rows prove themselves, as soon as
   * both keys are at hand.
   */
  #openNames(): readonly ListRow[] {
    const { rows, root } = this.#held;
    if (this.#listKey === undefined) throw this.#noKey('list');
    const names = openBlockList(rows, openBlockKey('list', this.#listKey, this.#held.listBox));
    if (!rows.isPurged || this.#readKey === undefined) return names;
    this.#read ??= once(() => this.#openRead());
    if (!equalBytes(blockHashes(rows, names, this.#read()).root, root))
      throw new CommitError('COMMIT_ENTRIES', 'the rows of a purged block are not those signed');
    return names;
  }

  #openRead(): OpenRead {
    if (this.#readKey === undefined) throw this.#noKey('read');
    const key = openBlockKey('read', this.#readKey, this.#held.readBox);
    return new OpenRead(this.#held.rows, key);
  }
}

type Once<T> = () => T;

/** The same value each time, and the same error. */
function once<T>(make: () => T): Once<T> {
  let made: { readonly value: T } | { readonly error: unknown } | undefined;
  return () => {
    if (made === undefined) {
      try {
        made = { value: make() };
      } catch (error) {
        made = { error };
      }
    }
    if ('error' in made) throw made.error;
    return made.value;
  };
}
