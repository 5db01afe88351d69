import {
  decodeReference,
  encodeDroppedReferences,
  encodeReference,
  encodeReferences,
  MAX_REFERENCES_PER_RECORD,
} from '../log/chain-payloads.ts';
import type { ChainRecord } from '../log/core.ts';
import { bytesInKey, familyRange, knownKey, rawKey } from '../log/index-keys.ts';
import type { IndexStore } from '../log/index-store.ts';
import { decodeKnown } from '../log/payloads.ts';
import type { FileReference } from '../queue.ts';

/** Staged references after which the queue is flushed: bounds memory. */
export const MAX_STAGED_REFERENCES = 1024;

/**
 * References that wait for the next flush. They stand in the chain log and not in the segments,
 * because a segment goes with its receipts, and nothing else must go with it (I-A10). Of one path
 * only the newest word counts.
 */
export class StagedReferences {
  readonly #staged = new Map<
    string,
    { readonly path: Uint8Array; readonly reference: FileReference | undefined }
  >();

  get size(): number {
    return this.#staged.size;
  }

  put(reference: FileReference): void {
    encodeReference(reference); // refuses here what the flush could not write
    this.#set(reference.path, reference);
  }

  drop(path: Uint8Array): void {
    this.#set(path, undefined);
  }

  /** The newest word about a path, staged or durable. */
  async find(index: IndexStore, path: Uint8Array): Promise<FileReference | undefined> {
    const staged = this.#staged.get(nameOf(path));
    if (staged !== undefined) return staged.reference;
    const value = index.state.referenceFiles === 0 ? undefined : await index.get(rawKey('r', path));
    return value === undefined ? undefined : decodeReference(value);
  }

  /** A version of the path took its place; `durable`: the chain log knows the reference. */
  replaced(path: Uint8Array, durable: boolean): void {
    if (durable) this.drop(path);
    else this.#staged.delete(nameOf(path));
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

  #set(path: Uint8Array, reference: FileReference | undefined): void {
    const name = nameOf(path);
    this.#staged.delete(name);
    this.#staged.set(name, { path, reference });
  }
}

/** Durable references, oldest settled first. */
export async function* referencesIn(index: IndexStore): AsyncGenerator<FileReference, void, void> {
  for await (const [key] of index.iterate(familyRange('s'))) {
    const value = await index.getWritten(rawKey('r', bytesInKey(key)));
    if (value !== undefined) yield decodeReference(value);
  }
}

/**
 * Paths of references whose very state was captured after they were put: the version stands for it.
 */
export async function settledReferences(index: IndexStore): Promise<readonly Uint8Array[]> {
  const paths: Uint8Array[] = [];
  for await (const { path, size, mtimeNs, settledAtMs } of referencesIn(index)) {
    const value = await index.getWritten(knownKey(path));
    if (value === undefined) continue;
    const { stat } = decodeKnown(value);
    // A file may be written anew with its old size and time: a version of before that says nothing.
    if (
      stat.kind === 'file' &&
      stat.size === size &&
      stat.mtimeNs === mtimeNs &&
      stat.capturedAtMs >= settledAtMs
    )
      paths.push(path);
  }
  return paths;
}

function inParts<T>(list: readonly T[]): readonly (readonly T[])[] {
  const parts: (readonly T[])[] = [];
  for (let start = 0; start < list.length; start += MAX_REFERENCES_PER_RECORD)
    parts.push(list.slice(start, start + MAX_REFERENCES_PER_RECORD));
  return parts;
}

function nameOf(path: Uint8Array): string {
  return Buffer.from(path).toString('latin1');
}
