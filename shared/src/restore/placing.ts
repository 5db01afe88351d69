import type { Content, Entry, ListPart, ReadPart } from '@aliquot/proto';
import { pathText, printable } from '../cli/format.ts';
import { isOpeningError, type Named, type OpeningError } from '../commit/open-names.ts';
import { equalBytes } from '../crypto/primitives.ts';
import type { Soon } from '../durable/soon.ts';
import { RestoreError } from './errors.ts';
import type { FileSpec, Placed, RestoreTarget } from './restore-target.ts';

/** One version to give back: what its entry says in clear, and its two opened parts. */
export interface RestoreItem {
  readonly entry: Pick<Entry, 'kind' | 'size' | 'content'>;
  readonly list: ListPart;
  /** Present exactly when the entry's kind is file, unless it did not open. */
  readonly read: ReadPart | undefined;
  /**
   * Why the hash and keys of a file did not open: it is reported as one that cannot be given back.
   */
  readonly unopened?: OpeningError | undefined;
}

/** An entry with its name open, as the restore takes it: its content keys open only now. */
export function toRestoreItem({
  entry,
  list,
  read,
}: Pick<Named, 'entry' | 'list' | 'read'>): RestoreItem {
  try {
    return { entry, list, read: read() };
  } catch (unopened) {
    if (!isOpeningError(unopened)) throw unopened;
    return { entry, list, read: undefined, unopened };
  }
}

/** A file to give back whose keys are open, and where it goes. */
export interface PlacedFile {
  readonly spec: FileSpec;
  readonly content: Content;
  readonly keys: readonly Uint8Array[];
  readonly placed: Placed;
}

/** Files that are asked for together. */
export type RestoreOrder = readonly PlacedFile[];

/** An order ends when its files have so many bytes of plaintext. */
const ORDER_BYTES = 4 * 1024 * 1024;
const ORDER_ITEMS = 512;

/** Told of every name that could not be given back; the rest goes on. */
export type OnFailure = (path: Uint8Array, error: RestoreError) => void;

/**
 * The first half of a restore: makes folders and links, and finds the place of each file. A name
 * for which that fails is told.
 */
export class Placing {
  /** What was made, and what was told so far. */
  readonly counts = { directories: 0, links: 0, failed: 0 };
  readonly #target: RestoreTarget;
  readonly #onFailure: OnFailure | undefined;
  /** Versions of the order that is not complete, and what they take. */
  #order: RestoreItem[] = [];
  #bytes = 0;

  constructor(target: RestoreTarget, onFailure: OnFailure | undefined) {
    this.#target = target;
    this.#onFailure = onFailure;
  }

  /**
   * The files of versions in orders of a few mebibytes; those of one slab stay together. Nothing is
   * made before an order is complete. Throws `RESTORE_NO_SPACE`, and what is not a `RestoreError`.
   */
  async *orders(
    items: AsyncIterable<RestoreItem> | Iterable<RestoreItem>,
  ): AsyncGenerator<RestoreOrder> {
    for await (const item of items) {
      const order = this.take(item);
      if (order !== undefined) yield order;
    }
    const last = this.rest();
    if (last !== undefined) yield last;
  }

  /** One more version; the order that is complete before it, if one is. */
  take(item: RestoreItem): Promise<RestoreOrder> | undefined {
    const isFull = this.#bytes >= ORDER_BYTES || this.#order.length >= ORDER_ITEMS;
    const ends =
      isFull && !(this.#order.length < 2 * ORDER_ITEMS && areOfOneSlab(this.#order.at(-1), item));
    const order = ends ? this.rest() : undefined;
    this.#order.push(item);
    this.#bytes += item.entry.size;
    return order;
  }

  /** The order of what was taken last. */
  rest(): Promise<RestoreOrder> | undefined {
    const order = this.#order;
    [this.#order, this.#bytes] = [[], 0];
    return order.length === 0 ? undefined : this.#place(order);
  }

  async #place(items: readonly RestoreItem[]): Promise<PlacedFile[]> {
    const files: PlacedFile[] = [];
    for (const item of items) {
      try {
        const file = item.entry.kind === 'file' ? this.#file(item) : this.#other(item);
        // A promise that is there already costs more than the place of a file.
        const placed = file instanceof Promise ? await file : file;
        if (placed !== undefined) files.push(placed);
      } catch (error) {
        if (!(error instanceof RestoreError) || error.code === 'RESTORE_NO_SPACE') throw error;
        this.failed(item.list.path, error);
      }
    }
    return files;
  }

  /** Tells of a name that could not be given back. */
  failed(path: Uint8Array, error: RestoreError): void {
    this.counts.failed += 1;
    this.#onFailure?.(path, error);
  }

  #file({ entry, list, read, unopened }: RestoreItem): Soon<PlacedFile> {
    if (read === undefined) throw notOpened(list.path, unopened);
    const spec = { ...list, size: entry.size, sha256: read.sha256 };
    const file = (placed: Placed) => ({ spec, placed, content: entry.content, keys: read.keys });
    const placed = this.#target.place(spec);
    return placed instanceof Promise ? placed.then(file) : file(placed);
  }

  async #other({ entry, list }: RestoreItem): Promise<undefined> {
    if (entry.kind === 'directory') {
      await this.#target.directory(list);
      this.counts.directories += 1;
    } else if (entry.kind === 'symlink') {
      await this.#target.symlink(list);
      this.counts.links += 1;
    }
    return undefined;
  }
}

function areOfOneSlab(one: RestoreItem | undefined, other: RestoreItem): boolean {
  if (one === undefined) return false;
  const [a, b] = [one.entry.content, other.entry.content];
  const [first, second] = [a.refs[0]?.id, b.refs[0]?.id];
  if (a.piece === 0 || b.piece === 0 || first === undefined || second === undefined) return false;
  return equalBytes(first, second);
}

/** Why a file whose hash and keys do not open is not given back. */
export function notOpened(path: Uint8Array, cause: OpeningError | undefined): RestoreError {
  const why = cause === undefined ? '' : ` (${cause.code})`;
  return new RestoreError(
    'RESTORE_DAMAGED',
    `${printable(pathText(path))} was not restored: its hash and keys do not open${why}`,
    { cause },
  );
}
