import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { decodeLostMark } from '../log/chain-payloads.ts';
import { familyRange, knownKey, numberInKey, numberKey, prefixRange } from '../log/index-keys.ts';
import type { IndexState } from '../log/index-state.ts';
import type { IndexStore } from '../log/index-store.ts';
import { type QueueFiles, queuePaths } from '../log/open-queue.ts';
import { decodeKnown, decodeProblem } from '../log/payloads.ts';
import { decodeCommitPlace, decodeUnsigned } from '../log/places.ts';
import { readSigned } from '../outbox/commit-cut.ts';
import type { FileProblem, KnownFile, LostVersion } from '../queue.ts';

/*
 * What people and scans ask of the written index.
 */

export async function knownManyIn(
  index: IndexStore,
  paths: readonly Uint8Array[],
): Promise<readonly (KnownFile | undefined)[]> {
  const values = await index.getManyWritten(paths.map((path) => knownKey(path)));
  return values.map((value) => (value === undefined ? undefined : knownFrom(value, index.state)));
}

export async function* knownBatchesIn(
  index: IndexStore,
  prefix: Uint8Array,
): AsyncGenerator<readonly KnownFile[], void, void> {
  for await (const values of index.valueBatches(prefixRange(knownKey(prefix))))
    yield values.map((value) => knownFrom(value, index.state));
}

function knownFrom(value: Uint8Array, state: IndexState): KnownFile {
  const { entry, stat } = decodeKnown(value);
  return { ...stat, entry, state: entry <= state.receiptedEntry ? 'safe' : 'queued' };
}

/** Problems of files, after the damage that was set aside. */
export async function* problemsIn(
  index: IndexStore,
  damage: readonly string[],
): AsyncGenerator<FileProblem, void, void> {
  for (const path of damage) {
    const message =
      'damaged bytes of the queue were set aside here; run aliquot-agent fsck, then remove the file';
    yield { path: Buffer.from(path), code: 'queue-damage', message, sinceMs: 0 };
  }
  for await (const [, value] of index.iterate(familyRange('p'))) {
    const { path, problem } = decodeProblem(value);
    if (problem !== undefined) yield { path, ...problem };
  }
}

export async function* lostIn(index: IndexStore): AsyncGenerator<LostVersion, void, void> {
  for await (const [key, value] of index.iterate(familyRange('l')))
    yield { entry: numberInKey(key), ...decodeLostMark(value) };
}

/**
 * The number through which every listed loss was seen; undefined when the first was not. The chain
 * log acknowledges by a number only: what was seen behind one that was not stays listed, and is
 * shown once more.
 */
export async function seenThrough(
  index: IndexStore,
  seen: readonly number[],
): Promise<number | undefined> {
  const shown = new Set(seen);
  let through: number | undefined;
  for await (const [key] of index.iterate(familyRange('l'))) {
    const entry = numberInKey(key);
    if (!shown.has(entry)) break;
    through = entry;
  }
  return through;
}

/** When the oldest version without a receipt was captured. */
export async function oldestMsIn(index: IndexStore): Promise<number | undefined> {
  const signed = await index.get(numberKey('c', index.state.receiptedSequence + 1));
  if (signed !== undefined) return decodeCommitPlace(signed).oldestMs;
  for await (const [, value] of index.unsigned({ limit: 1 }))
    return decodeUnsigned(value).capturedAtMs;
  return undefined;
}

/** Numbers of the versions in these slots of a commit. */
export async function entriesOf(
  files: QueueFiles,
  sequence: number,
  slots: readonly number[],
): Promise<readonly number[]> {
  const commit = await readSigned(files, sequence);
  return slots.map((slot) => commit?.entryNumbers[slot]).filter((entry) => entry !== undefined);
}

/** Files with damaged bytes that an opening set aside. */
export async function damagedFiles(port: FilePort, dataDir: string): Promise<string[]> {
  const { damaged } = queuePaths(dataDir);
  const found: string[] = [];
  try {
    await withFileErrors('list', damaged, async () => {
      for await (const entry of port.list(damaged))
        found.push(`${damaged}/${entry.name.toString()}`);
    });
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_MISSING') throw error;
    // No such folder: nothing was ever damaged.
  }
  return found.sort();
}
