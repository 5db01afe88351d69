import { MAX_PIECE_PLAIN_BYTES } from '@aliquot/proto';
import { SlabBuilder } from '@aliquot/shared/content/slab';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import type { SourcePort, SourceStat } from '../source/source-port.ts';
import type { CapturedFile, CapturedSlab, CaptureJob } from './window.ts';

/** A file that was read and held still, before its slab is sealed. */
export type ReadFile = Pick<CapturedFile, 'job' | 'stat' | 'startedMs'> & {
  readonly digest: Uint8Array;
};

/**
 * Whether a file is captured as a piece of a slab. What may have grown since its last version is
 * not: that is a matter of chunks.
 */
export function isSmall({ growing, growth }: CaptureJob, { size }: SourceStat): boolean {
  return growing !== true && growth === undefined && size <= MAX_PIECE_PLAIN_BYTES;
}

/**
 * Small files on their way into slabs, in the order in which they come: one open slab, encoded, and
 * one file in clear. A file comes in only after it was read and had held still, so whatever changes
 * meanwhile touches no slab. What is open when a capture fails is forgotten with it.
 */
export class SmallFiles {
  /** One byte more than the largest has: there the file has grown. */
  readonly #plain = new Uint8Array(MAX_PIECE_PLAIN_BYTES + 1);
  readonly #builder: SlabBuilder;
  #files: ReadFile[] = [];

  constructor(keys: VaultKeys) {
    this.#builder = new SlabBuilder(keys);
  }

  /**
   * The content of an open file of this size; undefined when it has another. Valid until the next.
   */
  read(port: SourcePort, descriptor: number, size: number): Uint8Array | undefined {
    let total = 0;
    // A read that gives less than it was asked for has met the end, or will with the next.
    while (total <= size) {
      const count = port.read(descriptor, this.#plain, total, size + 1 - total);
      total += count;
      if (count === 0 || total === size) break;
    }
    return total === size ? this.#plain.subarray(0, size) : undefined;
  }

  /** Takes a file of one byte at least. The answer are the slabs that it closed. */
  add(plain: Uint8Array, file: ReadFile): CapturedSlab[] {
    const closed = this.#builder.hasRoom(plain.length) ? [] : this.close();
    const ends = this.#builder.add(plain, file.digest);
    this.#files.push(file);
    return ends ? [...closed, ...this.close()] : closed;
  }

  /** Seals what is open. */
  close(): CapturedSlab[] {
    if (this.#files.length === 0) return [];
    const files = this.#files;
    this.#files = [];
    const { id, sealed, epoch, slabKey, pieceKeys } = this.#builder.seal();
    return [
      {
        id,
        sealed,
        key: slabKey,
        files: files.map(({ job, stat, startedMs, digest }, index) => ({
          ...{ job, stat, startedMs, sha256: digest, growth: undefined, oldPart: undefined },
          content: { depth: 0, piece: index + 1, refs: [{ id, plainSize: stat.size, epoch }] },
          keys: pieceKeys.slice(index, index + 1),
        })),
      },
    ];
  }

  /** Forgets what is open. */
  clear(): void {
    this.#files = [];
    this.#builder.clear();
  }
}

/** A file without content, which no slab holds. */
export function emptyFile({ digest, ...file }: ReadFile): CapturedFile {
  const content = { depth: 0, piece: 0, refs: [] };
  return { ...file, sha256: digest, growth: undefined, oldPart: undefined, content, keys: [] };
}
