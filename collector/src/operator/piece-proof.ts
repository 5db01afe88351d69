import type { ChunkId, Ref, References, VaultId } from '@aliquot/proto';
import { pathText, printable } from '@aliquot/shared/cli/format';
import { SealError } from '@aliquot/shared/content/errors';
import { openPage } from '@aliquot/shared/content/pages';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { Arrivals, type FetchedItem } from '@aliquot/shared/restore/arrivals';
import { RestoreError } from '@aliquot/shared/restore/errors';
import { type FetchAgain, ItemOpener } from '@aliquot/shared/restore/open-items';
import type { RestoreItem } from '@aliquot/shared/restore/placing';
import { concernsOneFile } from '@aliquot/shared/restore/plan';

/** Where sealed items come from: as a restore asks for them. */
export interface PieceSource {
  fetchItems(ids: readonly ChunkId[]): AsyncIterable<FetchedItem>;
  readonly fetchAgain: FetchAgain;
}

interface Piece {
  readonly ref: Ref;
  readonly key: Uint8Array;
  /** As `Content.piece`. */
  readonly piece: number;
}

/** Pieces that are asked for at once, a mebibyte each at most. */
const PIECES_AT_ONCE = 16;
/** Proved ones that are remembered, some 70 bytes each; beyond them it is begun anew. */
const MAX_PROVED = 1_000_000;
const NAME_BYTES = 16;

/**
 * Proves files by their pieces alone: every page and chunk is fetched, proved and opened once,
 * however often files name it. So the work follows from what is held, whatever size the files
 * claim; only the hash of a whole file is not compared.
 */
export class PieceProof {
  readonly #vaultId: VaultId;
  readonly #source: PieceSource;
  readonly #opener: ItemOpener;
  readonly #proved = new Set<string>();

  constructor(vaultId: VaultId, source: PieceSource) {
    this.#vaultId = vaultId;
    this.#source = source;
    this.#opener = new ItemOpener(vaultId, source.fetchAgain);
  }

  /** What is wrong with a file, if anything is. Throws what the source throws. */
  async prove({ entry, list, read }: RestoreItem): Promise<RestoreError | undefined> {
    const path = printable(pathText(list.path));
    try {
      const { content } = entry;
      const lacking = await this.#lacking(content, read?.keys ?? [], content.piece);
      if (lacking === undefined) return undefined;
      const says = `${path}: ${hex(lacking).slice(0, 16)} was not delivered; run aliquot fsck on the collector`;
      return new RestoreError('RESTORE_MISSING_CHUNK', says);
    } catch (error) {
      if (!concernsOneFile(error)) throw error;
      const says = `${path} does not come back: ${error.message}`;
      return new RestoreError('RESTORE_DAMAGED', says, { cause: error });
    }
  }

  /** The first item that was not delivered. */
  async #lacking(
    { depth, refs }: References,
    keys: readonly Uint8Array[],
    piece: number,
  ): Promise<ChunkId | undefined> {
    const fresh = new Map<string, Piece>();
    if (keys.length !== refs.length)
      throw new SealError('SEAL_KEY_COUNT', 'the content has not one key for each reference');
    for (const [at, ref] of refs.entries()) {
      const key = keys[at] ?? new Uint8Array(0);
      const name = nameOf(depth, ref, key, piece);
      if (!this.#proved.has(name)) fresh.set(name, { ref, key, piece });
    }
    if (depth === 0) return this.#lackingOf([...fresh]);
    for (const [name, page] of fresh) {
      const lacking = await this.#lackingBelow(name, depth, page);
      if (lacking !== undefined) return lacking;
    }
    return undefined;
  }

  /** A page counts as proved when all below it is. */
  async #lackingBelow(
    name: string,
    depth: number,
    { ref, key }: Piece,
  ): Promise<ChunkId | undefined> {
    const arrivals = new Arrivals([ref.id], this.#source.fetchItems([ref.id]));
    const sealed = (await arrivals.item(0))?.slice();
    arrivals.drop();
    if (sealed === undefined) return ref.id;
    const { content, keys } = openPage(this.#vaultId, ref, key, sealed);
    if (content.depth !== depth - 1)
      throw new SealError('SEAL_PAGE_DEPTH', `a page of depth ${content.depth} stands too high`);
    const lacking = await this.#lacking(content, keys, 0);
    if (lacking === undefined) this.#note(name);
    return lacking;
  }

  async #lackingOf(fresh: readonly (readonly [string, Piece])[]): Promise<ChunkId | undefined> {
    for (let from = 0; from < fresh.length; from += PIECES_AT_ONCE) {
      const some = fresh.slice(from, from + PIECES_AT_ONCE);
      const ids = some.map(([, { ref }]) => ref.id);
      const arrivals = new Arrivals(ids, this.#source.fetchItems(ids));
      try {
        for (const [at, [name, piece]] of some.entries()) {
          const sealed = await arrivals.item(at);
          if (sealed === undefined) return piece.ref.id;
          await this.#opener.open(piece, sealed);
          this.#note(name);
        }
      } finally {
        arrivals.drop();
      }
    }
    return undefined;
  }

  #note(name: string): void {
    if (this.#proved.size >= MAX_PROVED) this.#proved.clear();
    this.#proved.add(name);
  }
}

/** The same for the same item under the same key and size, at the same depth. */
function nameOf(depth: number, { id, plainSize }: Ref, key: Uint8Array, piece: number): string {
  const numbers = Buffer.from(`${depth} ${piece} ${plainSize}`, 'latin1');
  return Buffer.from(sha256(id, key, numbers)).toString('latin1', 0, NAME_BYTES);
}
