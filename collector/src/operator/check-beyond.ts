import { formatBytes, formatCounted } from '@aliquot/shared/cli/format';
import type { Output } from '@aliquot/shared/cli/output';
import type { OnFailure, RestoreItem } from '@aliquot/shared/restore/placing';
import type { SealedRows } from '@aliquot/shared/restore/sealed-rows';
import type { PieceProof } from './piece-proof.ts';

/**
 * Files of one agent that claim more than is read back whole: see `sharesOf`. They are proved by
 * their pieces, each of which is read once.
 */
export class Beyond {
  files = 0;
  failed = 0;
  #bytes = 0;
  #left: number;
  readonly #pieces: PieceProof;
  readonly #onFailure: OnFailure;

  /** @param share Bytes that may be read back whole. */
  constructor(pieces: PieceProof, share: number, onFailure: OnFailure) {
    this.#pieces = pieces;
    this.#left = share;
    this.#onFailure = onFailure;
  }

  /** Whether so many bytes may still be read back whole; then they count. */
  takes(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Those to be read back whole; proves the others on the way. Rows have been taken before. */
  async *within(
    items: AsyncIterable<RestoreItem | SealedRows>,
  ): AsyncGenerator<RestoreItem | SealedRows> {
    for await (const item of items) {
      if ('blocks' in item) {
        yield item;
        continue;
      }
      const { size } = item.entry;
      // What did not open is told by whoever would read it.
      if (size <= this.#left || item.read === undefined) {
        this.#left -= Math.min(size, this.#left);
        yield item;
        continue;
      }
      this.files += 1;
      this.#bytes += size;
      const error = await this.#pieces.prove(item);
      if (error === undefined) continue;
      this.failed += 1;
      this.#onFailure(item.list.path, error);
    }
  }

  async tell(output: Output, agent: string): Promise<void> {
    const { files } = this;
    if (files === 0) return;
    const says = `${formatCounted(files, 'file')} that claim ${formatBytes(this.#bytes)}, far more than is held: each piece was proved once, and the whole was not read back`;
    await output.result(
      { event: 'beyond', agent, files, bytes: this.#bytes },
      `BEYOND  ${agent}  ${says}`,
    );
  }
}
