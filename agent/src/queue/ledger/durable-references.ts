import { mapKey } from '@aliquot/shared/crypto/bytes';
import {
  decodeReference,
  encodeDroppedReferences,
  encodeReference,
  encodeReferences,
  MAX_REFERENCES_PER_RECORD,
} from '../log/chain-payloads.ts';
import type { QueueCore } from '../log/core.ts';
import type { ChainRecord } from '../log/core-hooks.ts';
import type { FileReference, LostReason } from '../log/facts.ts';
import { rawKey } from '../log/index-rows.ts';
import { askIndexForMany } from '../log/questions.ts';
import { referencesIn } from '../log/reference-rows.ts';
import type { DurableLosses } from './durable-losses.ts';
import type { FileReferences, ReferenceTotals } from './ledger.ts';

/** Staged references after which the queue is flushed: bounds memory. */
const MAX_STAGED_REFERENCES = 1024;

/**
 * References, staged until the next flush. They stand in the chain log and not in the segments,
 * because a segment goes with its receipts, and nothing else must go with it (I-A10). Of one path
 * only the newest word counts.
 */
export class DurableReferences implements FileReferences {
  readonly #core: QueueCore;
  readonly #losses: DurableLosses;
  readonly #staged = new Map<
    string,
    { readonly path: Uint8Array; readonly reference: FileReference | undefined }
  >();

  constructor(core: QueueCore, losses: DurableLosses) {
    this.#core = core;
    this.#losses = losses;
  }

  put(reference: FileReference): Promise<void> {
    return this.#stage(() => {
      encodeReference(reference); // refuses here what the flush could not write
      this.#set(reference.path, reference);
    });
  }

  drop(path: Uint8Array): Promise<void> {
    return this.#stage(() => this.#set(path, undefined));
  }

  lose(path: Uint8Array, why: LostReason): Promise<void> {
    return this.#losses.nameReference(path, why);
  }

  async *list(): AsyncGenerator<FileReference, void, void> {
    yield* askIndexForMany(this.#core, referencesIn);
  }

  get(path: Uint8Array): Promise<FileReference | undefined> {
    return this.#core.change(async () => {
      const staged = this.#staged.get(mapKey(path));
      if (staged !== undefined) return staged.reference;
      const { index } = this.#core.files;
      const value =
        index.state.referenceFiles === 0 ? undefined : await index.get(rawKey('r', path));
      return value === undefined ? undefined : decodeReference(value);
    });
  }

  totals(): ReferenceTotals {
    const { referenceFiles, referenceBytes } = this.#core.files.index.state;
    return { files: referenceFiles, bytes: referenceBytes };
  }

  // ---- inside the queue's turn ----

  /** Whether anything waits at its source, as far as that is durable. */
  get any(): boolean {
    return this.#core.files.index.state.referenceFiles > 0;
  }

  /**
   * What a version has replaced while a crash kept the chain log from saying so. What is staged
   * came after that version: it is newer.
   */
  begin(): void {
    for (const path of this.#core.files.unreferenced)
      if (!this.#staged.has(mapKey(path))) this.#set(path, undefined);
  }

  /**
   * A version of the path took its place; `durable`: the index had the reference. What is staged
   * may stand for one that the chain log knows and the index does not any more, so it becomes the
   * word that nothing is left: that is true of a reference which the log never knew, too.
   */
  replaced(path: Uint8Array, durable: boolean): void {
    if (durable || (this.#staged.size > 0 && this.#staged.has(mapKey(path))))
      this.#set(path, undefined);
  }

  /** Everything staged as chain records. Stays staged until `written`. */
  records(): readonly ChainRecord[] {
    const put: FileReference[] = [];
    const dropped: Uint8Array[] = [];
    for (const { path, reference } of this.#staged.values()) {
      if (reference === undefined) dropped.push(path);
      else put.push(reference);
    }
    return [
      ...inParts(dropped).map((part) => ({
        kind: 'referencesDropped' as const,
        payload: encodeDroppedReferences(part),
      })),
      ...inParts(put).map((part) => ({
        kind: 'references' as const,
        payload: encodeReferences(part),
      })),
    ];
  }

  written(): void {
    this.#staged.clear();
  }

  #stage(step: () => void): Promise<void> {
    return this.#core.change(async () => {
      step();
      if (this.#staged.size >= MAX_STAGED_REFERENCES) await this.#core.flush();
    });
  }

  #set(path: Uint8Array, reference: FileReference | undefined): void {
    const name = mapKey(path);
    this.#staged.delete(name);
    this.#staged.set(name, { path, reference });
  }
}

function inParts<T>(list: readonly T[]): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let start = 0; start < list.length; start += MAX_REFERENCES_PER_RECORD)
    parts.push(list.slice(start, start + MAX_REFERENCES_PER_RECORD));
  return parts;
}
