import {
  FormatError,
  type ListPart,
  type ListRow,
  type ReadPart,
  type ResultEvidence,
  type ResultRow,
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

/** Whose key opens names. */
export interface NamesReader {
  readonly key: BoxKey;
  readonly recipient: WrapRecipient;
  /**
   * Whether each block's rows are held against its signed root, too: some 3 µs a row. Who has both
   * keys only sees that.
   */
  readonly provesRoots?: boolean | undefined;
}

/** What of a commit takes part in opening its names. */
type Sealed = Pick<ReadCommit, 'wraps' | 'header' | 'rows'>;

/**
 * Opens the names of some versions of a commit with a recipient's key: `slots`, with whatever
 * the caller knows of each. What is purged is left out; what does not open is left out too,
 * and reported once, at the end. The commit is verified, or believed because it lies in the own
 * store.
 */
export function* openNames<Slot extends Pick<CommitRow, 'slot'>>(
  commit: Sealed,
  slots: Iterable<Slot>,
  reader: NamesReader,
  onUnopened: (unopened: Unopened) => void,
): Generator<Slot & Named, void, void> {
  const opening = new Opening(commit, reader);
  for (const slot of slots) {
    const entry = commit.rows.entry(slot.slot);
    const open = entry && opening.row(slot.slot);
    if (entry === undefined || open === undefined) continue;
    const { block, place, names } = open;
    const read = () => (entry.kind === 'file' ? block.read(place) : undefined);
    yield { ...slot, entry, list: names.list, read };
  }
  opening.report(onUnopened);
}

/** A row of a result whose names are open. */
export interface NamedResult {
  readonly slot: number;
  readonly row: ResultRow;
  /** Of its root. */
  readonly list: ListPart;
  readonly evidence: ResultEvidence;
}

/** The same of the rows of results among the slots. */
export function* openResults<Slot extends Pick<CommitRow, 'slot'>>(
  commit: Sealed,
  slots: Iterable<Slot>,
  reader: NamesReader,
  onUnopened: (unopened: Unopened) => void,
): Generator<Slot & NamedResult, void, void> {
  const opening = new Opening(commit, reader);
  for (const slot of slots) {
    const row = commit.rows.result(slot.slot);
    const names = row && opening.row(slot.slot)?.names;
    if (row === undefined || names?.evidence === undefined) continue;
    yield { ...slot, row, list: names.list, evidence: names.evidence };
  }
  opening.report(onUnopened);
}

/** What opens the blocks of a commit; undefined where its wraps do not open. */
export function blockOpeners(
  { wraps, header }: Sealed,
  { key, recipient }: NamesReader,
): BlockOpeners | undefined {
  try {
    const keys = openCommitKeys(wraps, key, recipient, header);
    return { sequence: header.sequence, recipient, ...keys };
  } catch (error) {
    if (!isOpeningError(error)) throw error;
    return undefined;
  }
}

/** A commit's blocks while rows of them are opened: slots come in the order of their blocks. */
class Opening {
  readonly #rows: Sealed['rows'];
  readonly #keys: BlockOpeners;
  readonly #provesRoots: boolean;
  #open: { readonly index: number; readonly block: LazyBlock } | undefined;
  #versions = 0;
  #first: OpeningError | undefined;

  constructor(
    { wraps, header, rows }: Sealed,
    { key, recipient, provesRoots = false }: NamesReader,
  ) {
    this.#rows = rows;
    this.#provesRoots = provesRoots;
    const keys = this.#attempt(() => openCommitKeys(wraps, key, recipient, header));
    this.#keys = { sequence: header.sequence, recipient, ...keys };
  }

  /** The row at a slot that is there; undefined when it does not open, which is counted. */
  row(
    slot: number,
  ): { readonly block: LazyBlock; readonly place: number; readonly names: ListRow } | undefined {
    const at = this.#rows.placeOf(slot);
    if (at === undefined) return undefined;
    if (this.#open?.index !== at.index) {
      const held = this.#rows.blocks[at.index] as HeldBlock;
      const block = new LazyBlock(held, this.#keys);
      block.provesRoot = this.#provesRoots || held.rows.isPurged;
      this.#open = { index: at.index, block };
    }
    const { block } = this.#open;
    const names = this.#attempt(() => block.names(at.place));
    if (names !== undefined) return { block, place: at.place, names };
    this.#versions += 1;
    return undefined;
  }

  report(onUnopened: (unopened: Unopened) => void): void {
    if (this.#first !== undefined && this.#versions > 0)
      onUnopened({ versions: this.#versions, error: this.#first });
  }

  #attempt<T>(open: () => T): T | undefined {
    try {
      return open();
    } catch (error) {
      if (!isOpeningError(error)) throw error;
      this.#first ??= error;
      return undefined;
    }
  }
}

/** What opens the blocks of a commit, and whose keys they are. */
export interface BlockOpeners {
  readonly sequence: number;
  readonly recipient: WrapRecipient;
  /** Undefined where the commit has none for this recipient. */
  readonly listKey?: Uint8Array | undefined;
  readonly readKey?: Uint8Array | undefined;
}

/** One block, each of whose segments opens when the first row asks for it, and once. */
export class LazyBlock {
  /**
   * The bytes of a purged block are not what the agent signed: its rows prove themselves, as soon
   * as both keys are at hand.
   */
  provesRoot = true;
  readonly #held: Pick<HeldBlock, 'rows' | 'root' | 'listBox' | 'readBox'>;
  readonly #keys: BlockOpeners;
  #names: Once<readonly ListRow[]> | undefined;
  #read: Once<OpenRead> | undefined;

  constructor(held: Pick<HeldBlock, 'rows' | 'root' | 'listBox' | 'readBox'>, keys: BlockOpeners) {
    this.#held = held;
    this.#keys = keys;
  }

  /** The names of its rows by their places. @throws OpeningError */
  get allNames(): readonly ListRow[] {
    this.#names ??= once(() => this.#openNames());
    return this.#names();
  }

  /** Hashes and keys of its rows. @throws OpeningError */
  get openRead(): OpenRead {
    this.#read ??= once(() => this.#openRead());
    return this.#read();
  }

  /** @throws OpeningError */
  names(place: number): ListRow {
    return this.allNames[place] as ListRow;
  }

  /** @throws OpeningError */
  read(place: number): ReadPart | undefined {
    return this.openRead.at(place);
  }

  #openNames(): readonly ListRow[] {
    const { rows, root } = this.#held;
    const { listKey, readKey } = this.#keys;
    if (listKey === undefined) throw this.#noKey('list');
    const names = openBlockList(rows, openBlockKey('list', listKey, this.#held.listBox));
    if (!this.provesRoot || readKey === undefined) return names;
    this.#read ??= once(() => this.#openRead());
    // Where keys do not open, each file says so by itself.
    if (!rows.isPurged && !opens(this.#read)) return names;
    if (!equalBytes(blockHashes(rows, names, this.#read()).root, root))
      throw new CommitError('COMMIT_ENTRIES', 'the rows of a block are not those that were signed');
    return names;
  }

  #openRead(): OpenRead {
    const { readKey } = this.#keys;
    if (readKey === undefined) throw this.#noKey('read');
    return new OpenRead(this.#held.rows, openBlockKey('read', readKey, this.#held.readBox));
  }

  #noKey(purpose: string): CommitError {
    const { sequence, recipient } = this.#keys;
    return new CommitError(
      'COMMIT_NO_WRAP',
      `commit ${sequence} holds no ${purpose} key for this ${recipient} key`,
    );
  }
}

type Once<T> = () => T;

function opens(open: Once<unknown>): boolean {
  try {
    open();
    return true;
  } catch (error) {
    if (!isOpeningError(error)) throw error;
    return false;
  }
}

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
