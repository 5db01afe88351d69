import { decodeReference, encodeReference } from './chain-payloads.ts';
import type { FileReference } from './facts.ts';
import { bytesInKey, familyRange, numberedRawKey, rawKey } from './index-rows.ts';
import type { IndexStore } from './index-store.ts';

/*
 * References in the index: by their paths, and in the order of their times.
 */

const nothing = new Uint8Array(0);

/** Stages a reference in both orders; an earlier one of the path goes. */
export async function applyReference(index: IndexStore, reference: FileReference): Promise<void> {
  await dropReference(index, reference.path);
  index.put(rawKey('r', reference.path), encodeReference(reference));
  index.put(numberedRawKey('s', reference.settledAtMs, reference.path), new Uint8Array());
  index.state.referenceFiles += 1;
  index.state.referenceBytes += reference.size;
}

/** The chain log says that a path has no reference any more. */
export async function dropReference(index: IndexStore, path: Uint8Array): Promise<void> {
  await removeReference(index, path);
  index.del(rawKey('d', path));
}

/**
 * A version takes the place of a path's reference; false when there is none. Noted until the chain
 * log says so too: the index may have passed the version when a crash keeps it from that.
 */
export async function replaceReference(index: IndexStore, path: Uint8Array): Promise<boolean> {
  if (!(await removeReference(index, path))) return false;
  index.put(rawKey('d', path), nothing);
  return true;
}

/** Paths whose reference a version has replaced, while the chain log does not say so. */
export async function replacedReferences(index: IndexStore): Promise<readonly Uint8Array[]> {
  const paths: Uint8Array[] = [];
  for await (const [key] of index.iterate(familyRange('d'))) paths.push(key.slice(1));
  return paths;
}

/** Stages the removal of a path's reference; false when there is none. */
export async function removeReference(index: IndexStore, path: Uint8Array): Promise<boolean> {
  const value = await index.get(rawKey('r', path));
  if (value === undefined) return false;
  const { size, settledAtMs } = decodeReference(value);
  index.del(rawKey('r', path));
  index.del(numberedRawKey('s', settledAtMs, path));
  index.state.referenceFiles -= 1;
  index.state.referenceBytes -= size;
  return true;
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
    const stat = (await index.known.written(path))?.stat;
    if (stat === undefined) continue;
    // A file may be written again with its old size and time, so an earlier version says nothing.
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
