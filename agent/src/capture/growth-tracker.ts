import {
  ContentBuilder,
  type KeyedRef,
  type OpenContent,
  type SealedPage,
} from '@aliquot/shared/content/pages';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import { LEAST_GROWING_BYTES } from './growth.ts';
import {
  digestOf,
  type GrownVersion,
  type GrowthHead,
  type OpenedGrowth,
  sealGrowth,
  type Taken,
} from './growth-state.ts';

/** A file whose last change is older than this when it is captured is not expected to grow. */
const GROWING_FOR_MS = 24 * 3_600_000;
/**
 * So many chunks of the old part are read again before the file is continued, besides the last one.
 */
const SAMPLES = 8;

/**
 * Follows the chunks of one file as they become known, in order: builds its content, and knows how
 * it can be continued.
 */
export class GrowthTracker {
  readonly #builder: ContentBuilder;
  readonly #resumed: OpenedGrowth | undefined;
  readonly #compare: GrowthHead | undefined;
  #offset: number;
  #samples: readonly Taken[];
  #last: Taken | undefined;
  #mark: { readonly open: OpenContent; readonly boundary: number } | undefined;
  #agrees = false;

  /**
   * @param resumed What to continue. @param compare A state whose part of the file is being read
   * again.
   */
  constructor(keys: VaultKeys, resumed: OpenedGrowth | undefined, compare: GrowthHead | undefined) {
    this.#builder = new ContentBuilder(keys, resumed?.open);
    this.#resumed = resumed;
    this.#compare = compare;
    this.#offset = resumed?.head.boundary ?? 0;
    const [last, ...others] = resumed?.samples ?? [];
    this.#last = last;
    this.#samples = others;
  }

  /**
   * Takes the next chunk. `isTail`: it ends with the file, not at a cut; only such a one may have
   * no fingerprint. The answer are pages to be stored.
   */
  push(item: KeyedRef, fingerprint: Uint8Array | undefined, isTail: boolean): SealedPage[] {
    if (isTail) this.#mark = { open: this.#builder.open, boundary: this.#offset };
    const pages = this.#builder.push(item);
    const { plainSize: size } = item.ref;
    const offset = this.#offset;
    this.#offset += size;
    if (isTail || fingerprint === undefined) return pages;
    const taken = { offset, size, fingerprint };
    this.#last = taken;
    this.#consider(taken);
    if (this.#offset === this.#compare?.boundary)
      this.#agrees = equalBytes(digestOf(this.#builder.open), this.#compare.digest);
    return pages;
  }

  /** The content of the file, all of whose chunks were pushed. */
  finish(): ReturnType<ContentBuilder['finish']> {
    return this.#builder.finish();
  }

  /**
   * Whether the part that was captured before was found as it had been; undefined when nothing was
   * compared.
   */
  get oldPart(): 'same' | 'changed' | undefined {
    if (this.#compare === undefined) return undefined;
    return this.#agrees ? 'same' : 'changed';
  }

  /** How this version can be continued; undefined when it is too small, or at rest for long. */
  state(keys: VaultKeys, cacheSecret: Uint8Array, version: GrownVersion): Uint8Array | undefined {
    const { open, boundary } = this.#mark ?? { open: this.#builder.open, boundary: this.#offset };
    const last = this.#last;
    const rests = version.capturedAtMs - Number(version.mtimeNs / 1_000_000n) > GROWING_FOR_MS;
    if (
      last === undefined ||
      version.size < LEAST_GROWING_BYTES ||
      (rests && this.#resumed === undefined)
    )
      return undefined;
    const taken = [last, ...this.#samples.filter(({ offset }) => offset !== last.offset)];
    const head: GrowthHead = {
      ...version,
      readWholeMs: this.#resumed?.head.readWholeMs ?? version.capturedAtMs,
      boundary,
      digest: digestOf(open),
      samples: taken.map(({ offset, size }) => ({ offset, size })),
    };
    return sealGrowth(keys, cacheSecret, head, taken, open);
  }

  /**
   * Keeps the chunks of the least fingerprints: as good as drawn by lot, the same whichever way the
   * file was read.
   */
  #consider(taken: Taken): void {
    const worst = this.#samples.at(-1);
    if (
      this.#samples.length >= SAMPLES &&
      worst !== undefined &&
      Buffer.compare(taken.fingerprint, worst.fingerprint) >= 0
    )
      return;
    if (this.#samples.some(({ fingerprint }) => equalBytes(fingerprint, taken.fingerprint))) return;
    const all = [...this.#samples, taken].sort((a, b) =>
      Buffer.compare(a.fingerprint, b.fingerprint),
    );
    this.#samples = all.slice(0, SAMPLES);
  }
}
