import { join } from 'node:path';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { removeIndex } from '@aliquot/shared/derived/open-index';
import { exists, removeTree } from '@aliquot/shared/durable/durable';
import type { Random } from '@aliquot/shared/ports';
import type { Position } from '@aliquot/shared/records/format';
import { rewriteFile } from '@aliquot/shared/records/rewrite';
import { BatchKeys } from './batch-keys.ts';
import { restoreChain } from './chain-again.ts';
import { QueueError } from './errors.ts';
import { CHAIN_REMEDY, note, problem, type QueueFinding } from './fsck-finding.ts';
import { indexDifference } from './index-difference.ts';
import { hasGap, holds, isOfLogs } from './index-proof.ts';
import { decodeUnsigned, numberInKey, unsignedEntries } from './index-rows.ts';
import { IndexStore, indexOptions, toldAsQueue } from './index-store.ts';
import { nameLost } from './lost.ts';
import {
  closeQueueFiles,
  isShorterThanKnown,
  openLogs,
  openQueueFiles,
  type QueueFiles,
  type QueueLogs,
  queuePaths,
  replayBoth,
} from './open-queue.ts';
import { removeReference, replacedReferences } from './reference-rows.ts';
import { openDrafts, pathsAt } from './stored.ts';

export interface FsckOptions {
  readonly port: DiskPort;
  readonly dataDir: string;
  readonly random: Random;
  /** Mend what can be mended. The caller holds the folder's lock. */
  readonly repair: boolean;
  /**
   * Names what of the waiting versions is unreadable, for good: asked before damaged records are
   * left out, and with them what tells of it.
   */
  readonly nameUnreadable?: () => Promise<void>;
}

/** Files of both logs with bytes that are not what they were, by their numbers. */
export interface Spoiled {
  readonly segments: ReadonlySet<number>;
  readonly chain: ReadonlySet<number>;
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
    yield* chainAgain(options, 'the chain log is gone');
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
    yield* chainAgain(options, 'the chain log is shorter than the index knows');
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
  let unopened: ReadonlyMap<number, number> = new Map();
  try {
    yield* checkProgress(index, segments, chain, paths.index);
    await removeIndex(port, checkPath);
    fresh = (await IndexStore.open(port, indexOptions(checkPath, owner))).store;
    await replayBoth(port, index, segments, chain, paths.damaged);
    await replayBoth(port, fresh, segments, chain, paths.damaged);
    // What only the index knows of references: the next start has the chain log say it.
    for (const path of await replacedReferences(index)) await removeReference(fresh, path);
    await fresh.write();
    wrong = await indexDifference(index, fresh, hasGap(segments));
    unopened = await locked(options, fresh, segments);
  } finally {
    await index.close();
    if (fresh !== undefined) {
      await fresh.close();
      await removeTree(port, checkPath);
    }
  }
  yield* lockedFindings(options, unopened);
  if (wrong !== undefined) yield* rebuildLater(options, wrong);
}

/** What the chain log lacks the index knows: the next opening writes it again. */
async function* chainAgain(
  options: FsckOptions,
  what: string,
): AsyncGenerator<QueueFinding, void, void> {
  const repaired = options.repair && (await nameUnreadable(options));
  const { chain } = queuePaths(options.dataDir);
  yield { ...problem('FSCK_CHAIN_DAMAGED', what, chain, CHAIN_REMEDY), repaired };
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

/** Versions that wait and that no key opens, by their batch. */
async function locked(
  options: FsckOptions,
  index: IndexStore,
  segments: QueueLogs['segments'],
): Promise<ReadonlyMap<number, number>> {
  const keys = await BatchKeys.open(options.port, queuePaths(options.dataDir).keys, options.random);
  const found = new Map<number, number>();
  for await (const [, value] of index.unsigned()) {
    const { at, batch, count, lost } = decodeUnsigned(value);
    if ((await openDrafts({ segments, keys }, at)) !== undefined) continue;
    found.set(batch, (found.get(batch) ?? 0) + count - lost.length);
  }
  return found;
}

/** A repair names the versions, for good: nothing else can be done for them here. */
async function* lockedFindings(
  options: FsckOptions,
  found: ReadonlyMap<number, number>,
): AsyncGenerator<QueueFinding, void, void> {
  if (found.size === 0) return;
  const repaired = options.repair && (await nameUnreadable(options));
  for (const [batch, versions] of found) {
    const what = `the key of ${versions} queued versions is missing, or another one`;
    const remedy = 'the agent lists them as lost and reads the sources again';
    yield { ...problem('FSCK_BATCH_KEY_MISSING', what, `batch ${batch}`, remedy), repaired };
  }
}

/**
 * What only the index knows goes into the chain log before it is removed: the names of versions
 * whose records no segment gives any more, and what the chain log itself lacks. False when it
 * cannot be opened.
 */
async function nameUnreadable(
  { port, dataDir, random }: FsckOptions,
  isChainSpoiled = false,
): Promise<boolean> {
  let files: QueueFiles;
  try {
    files = await openQueueFiles({ port, dataDir, random });
  } catch (error) {
    if (
      error instanceof QueueError &&
      (error.code === 'QUEUE_DAMAGED' || error.code === 'QUEUE_VERSION')
    )
      return false;
    throw error;
  }
  try {
    const { index, segments, chain } = files;
    const unreadable: number[] = [];
    const names = new Map<number, Uint8Array>();
    for await (const [key, value] of index.unsigned()) {
      const [first, versions] = [numberInKey(key), decodeUnsigned(value)];
      const isThere = await holds(segments, versions.at, first);
      if (isThere && (await openDrafts(files, versions.at)) !== undefined) continue;
      unreadable.push(...unsignedEntries(first, versions));
      for (const [at, path] of (await pathsAt(files, versions.at)).entries())
        names.set(first + at, path);
    }
    await nameLost(index, chain, unreadable, names);
    // The index goes: what of commits only it knows, because a file of the log was cut, stays.
    if (isChainSpoiled) await restoreChain(index, chain);
    return true;
  } finally {
    await closeQueueFiles(files);
  }
}

/**
 * Writes damaged files anew, without what is no sound record, after what that cost was named. The
 * index goes before that: its places would be those of other records, and what is sound would be
 * called lost, should the repair end in between. False when the queue cannot be opened.
 */
export async function mendLogs(options: FsckOptions, spoiled: Spoiled): Promise<boolean> {
  if (!(await nameUnreadable(options, spoiled.chain.size > 0))) return false;
  await options.nameUnreadable?.();
  const { port, dataDir } = options;
  await removeIndex(port, queuePaths(dataDir).index);
  const { segments, chain } = await openLogs(options);
  try {
    for (const number of spoiled.segments) await rewriteFile(segments, number, options);
    for (const number of spoiled.chain) await rewriteFile(chain, number, options);
  } finally {
    await segments.close();
    await chain.close();
  }
  // What an opening would name as lost is named now.
  await closeQueueFiles(await openQueueFiles(options));
  return true;
}

/** The index is only derived: removing it makes the next start build it again. */
async function* rebuildLater(
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
