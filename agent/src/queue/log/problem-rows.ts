import { crc32 } from 'node:zlib';
import type { DerivedIndex } from '@aliquot/shared/derived/derived-index';
import { familyRange, rawKey } from './index-rows.ts';

/**
 * Why paths are not protected, in the index. Each version ends the problem of its path, and nearly
 * none has one: which paths may have a row is known in memory, so that a row is removed only where
 * there is one.
 */
export class ProblemRows {
  readonly #index: DerivedIndex;
  /** Of the paths that had one since the index was opened, a number that two may share. */
  readonly #marks = new Set<number>();

  private constructor(index: DerivedIndex) {
    this.#index = index;
  }

  static async load(index: DerivedIndex): Promise<ProblemRows> {
    const rows = new ProblemRows(index);
    for await (const batch of index.batches(familyRange('p')))
      for (const [key] of batch) rows.#marks.add(crc32(key.subarray(1)));
    return rows;
  }

  /** Stages a problem, as its record has it. */
  put(path: Uint8Array, record: Uint8Array): void {
    this.#marks.add(crc32(path));
    this.#index.put(rawKey('p', path), record);
  }

  /** Stages the end of a path's problem, if it may have one. */
  del(path: Uint8Array): void {
    if (this.#marks.size > 0 && this.#marks.has(crc32(path))) this.#index.del(rawKey('p', path));
  }
}
