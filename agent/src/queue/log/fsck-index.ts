import { join } from 'node:path';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { removeIndex } from '@aliquot/shared/derived/open-index';
import { exists, removeTree } from '@aliquot/shared/durable/durable';
import type { Random } from '@aliquot/shared/ports';
import type { Position } from '@aliquot/shared/records/format';
import { BatchKeys } from './batch-keys.ts';
import { QueueError } from './errors.ts';
import { CHAIN_REMEDY, note, problem, type QueueFinding } from './fsck-finding.ts';
import { indexDifference } from './index-difference.ts';
import { hasGap, holds, isOfLogs } from './index-proof.ts';
import { decodeUnsigned, familyRange, numberInKey, unsignedEntries } from './index-rows.ts';
import { IndexStore, indexOptions, toldAsQueue } from './index-store.ts';
import { nameLost } from './lost.ts';
import {
  closeQueueFiles,
  isShorterThanKnown,
  openQueueFiles,
  type QueueFiles,
  type QueueLogs,
  queuePaths,
  replayBoth,
} from './open-queue.ts';

export interface FsckOptions {
  readonly port: DiskPort;
  readonly dataDir: string;
  readonly random: Random;
  /** Mend what can be mended. The caller holds the folder's lock. */
  readonly repair: boolean;
}

const CHECK_FOLDER = 'index.check';

/**
 * Proves the index by another one that is built from the logs and compared with it, and the keys of
 * unsent versions. Segments and chain log are sound.
 */
export async function* checkIndex(
  options: FsckOptions,
  segments: QueueLogs['segments'],
  chain: QueueLogs['chain'],
): AsyncGenerator<QueueFinding, void, void> {
  const { port, dataDir } = options;
  const paths = queuePaths(dataDir);
  if (chain.files().length === 0 && (await exists(port, paths.index))) {
    yield problem('FSCK_CHAIN_DAMAGED', 'the chain log is gone', paths.chain, CHAIN_REMEDY);
    return;
  }
  const owner = chain.identity?.owner ?? new Uint8Array();
  let index: IndexStore;
  try {
    index = (await IndexStore.open(port, indexOptions(paths.index, owner))).store;
  } catch (error) {
    if (!(error instanceof DerivedError)) throw error;
    if (error.code === 'DERIVED_LOCKED') {
      yield note(
        'FSCK_INDEX_BUSY',
        'the index was not looked at: the service is running',
        paths.index,
        'stop the service to check the index too',
      );
      return;
    }
    if (isRebuild(error)) {
      yield note(
        'FSCK_INDEX_BEHIND',
        error.message,
        paths.index,
        'nothing to do: it is made again from segments and chain log when the queue is opened',
      );
      return;
    }
    throw toldAsQueue(error, 'cannot be opened');
  }
  if (isShorterThanKnown(index, chain)) {
    await index.close();
    const says = 'the chain log is shorter than the index knows';
    yield problem('FSCK_CHAIN_DAMAGED', says, paths.chain, CHAIN_REMEDY);
    return;
  }
  // Before anything is replayed into it, which would make it look like ours.
  if (!(await isOfLogs(index, segments, chain))) {
    await index.close();
    yield* rebuildLater(options, 'it does not tell of these segments and this chain log');
    return;
  }
  const checkPath = join(dataDir, 'queue', CHECK_FOLDER);
  let fresh: IndexStore | undefined;
  let wrong: string | undefined;
  try {
    yield* checkProgress(index, segments, chain, paths.index);
    await removeIndex(port, checkPath);
    fresh = (await IndexStore.open(port, indexOptions(checkPath, owner))).store;
    await replayBoth(port, index, segments, chain, paths.damaged);
    await replayBoth(port, fresh, segments, chain, paths.damaged);
    wrong = await indexDifference(index, fresh, hasGap(segments));
    yield* checkKeys(options, fresh);
  } finally {
    await index.close();
    if (fresh !== undefined) {
      await fresh.close();
      await removeTree(port, checkPath);
    }
  }
  if (wrong !== undefined) yield* rebuildLater(options, wrong);
}

/**
 * A killed process leaves the index behind the logs: the next opening, like the replay here, brings
 * it up to their end.
 */
async function* checkProgress(
  index: IndexStore,
  segments: QueueLogs['segments'],
  chain: QueueLogs['chain'],
  where: string,
): AsyncGenerator<QueueFinding, void, void> {
  const behind = (
    at: Position | undefined,
    log: Pick<QueueLogs['segments'], 'lastNumber' | 'end'>,
  ): boolean => {
    if (log.lastNumber === undefined) return false;
    const end = log.end();
    return (
      at === undefined || at.file < end.file || (at.file === end.file && at.offset < end.offset)
    );
  };
  if (!behind(index.state.segments, segments) && !behind(index.state.chain, chain)) return;
  const what = 'the index ends before segments and chain log, as a crash leaves it';
  yield note(
    'FSCK_INDEX_BEHIND',
    what,
    where,
    'nothing to do: it is brought up to date when the queue is opened',
  );
}

async function* checkKeys(
  options: FsckOptions,
  index: IndexStore,
): AsyncGenerator<QueueFinding, void, void> {
  const keys = await BatchKeys.open(options.port, queuePaths(options.dataDir).keys, options.random);
  const present = new Set(keys.numbers);
  const missing = new Map<number, number>();
  for await (const [, value] of index.iterate(familyRange('q'))) {
    const { batch, count, lost } = decodeUnsigned(value);
    if (!present.has(batch)) missing.set(batch, (missing.get(batch) ?? 0) + count - lost.length);
  }
  for (const [batch, versions] of missing) {
    const what = `the key of ${versions} queued versions is missing`;
    yield problem(
      'FSCK_BATCH_KEY_MISSING',
      what,
      `batch ${batch}`,
      'the agent lists them as lost and reads the sources again',
    );
  }
}

/**
 * What only the index knows goes into the chain log before it is removed: the names of versions
 * whose records no segment gives any more. A chain log that is damaged takes nothing.
 */
async function nameUnreadable({ port, dataDir, random }: FsckOptions): Promise<void> {
  let files: QueueFiles;
  try {
    files = await openQueueFiles({ port, dataDir, random });
  } catch (error) {
    if (
      error instanceof QueueError &&
      (error.code === 'QUEUE_DAMAGED' || error.code === 'QUEUE_VERSION')
    )
      return;
    throw error;
  }
  try {
    const { index, segments, chain } = files;
    const unreadable: number[] = [];
    for await (const [key, value] of index.unsigned()) {
      const [first, versions] = [numberInKey(key), decodeUnsigned(value)];
      if (!(await holds(segments, versions.at, first)))
        unreadable.push(...unsignedEntries(first, versions));
    }
    await nameLost(index, chain, unreadable);
  } finally {
    await closeQueueFiles(files);
  }
}

/** The index is only derived: removing it makes the next start build it again. */
export async function* rebuildLater(
  options: FsckOptions,
  why: string,
): AsyncGenerator<QueueFinding, void, void> {
  const { index } = queuePaths(options.dataDir);
  if (options.repair) {
    await nameUnreadable(options);
    await removeIndex(options.port, index);
  }
  const remedy = options.repair
    ? 'it was removed and is built again at the next start'
    : 'stop the service and run aliquot-agent fsck --repair';
  yield {
    ...problem('FSCK_INDEX_WRONG', `the queue's index is wrong: ${why}`, index, remedy),
    repaired: options.repair,
  };
}
