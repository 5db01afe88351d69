import { join } from 'node:path';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { DerivedError, isRebuild } from '@aliquot/shared/derived/errors';
import { removeIndex } from '@aliquot/shared/derived/level-index';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { removeDurably, removeTree } from '@aliquot/shared/durable/durable';
import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import type { Position } from '@aliquot/shared/records/format';
import { type ProvedItem, proveFile } from '@aliquot/shared/records/prove';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { BatchKeys } from './batch-keys.ts';
import { QueueError } from './errors.ts';
import type { RecordKind } from './formats.ts';
import { firstHeldSegment } from './held-segments.ts';
import { type Family, familyRange, numberInKey } from './index-keys.ts';
import { holds, isOfLogs } from './index-proof.ts';
import { IndexStore, indexOptions, toldAsQueue } from './index-store.ts';
import { nameLost } from './lost.ts';
import {
  closeQueueFiles,
  openLogs,
  openQueueFiles,
  type QueueFiles,
  type QueueLogs,
  queuePaths,
  replayBoth,
} from './open-queue.ts';
import { decodeItemPlace, decodeUnsigned } from './places.ts';

export type QueueFindingCode =
  /** A record of a queue segment is damaged, with sound ones behind it. */
  | 'FSCK_SEGMENT_DAMAGED'
  /** A record of the chain log is damaged: signed commits or receipts are lost. */
  | 'FSCK_CHAIN_DAMAGED'
  /** The newest file ends in an unfinished record, as a crash or a running service leaves it. */
  | 'FSCK_TORN_TAIL'
  /** Damaged bytes were set aside when the queue was opened. */
  | 'FSCK_DAMAGE_KEPT'
  /** The index is missing, cannot be opened, or does not agree with segments and chain log. */
  | 'FSCK_INDEX_WRONG'
  /** The index ends before segments and chain log do, or starts over, as a crash leaves it. */
  | 'FSCK_INDEX_BEHIND'
  /** The index could not be looked at because a running service holds it. */
  | 'FSCK_INDEX_BUSY'
  /** The key of queued versions is missing: they cannot be sent. */
  | 'FSCK_BATCH_KEY_MISSING'
  /** A file is of an unknown version or cannot be read. */
  | 'FSCK_UNREADABLE';

export interface QueueFinding {
  readonly code: QueueFindingCode;
  /** A `note` needs nobody; `error` makes `fsck` end with 1. */
  readonly severity: 'note' | 'error';
  readonly what: string;
  readonly where: string;
  readonly remedy: string;
  readonly repaired: boolean;
}

export interface FsckOptions {
  readonly port: DiskPort;
  readonly dataDir: string;
  readonly random: Random;
  /** Mend what can be mended. The caller holds the folder's lock. */
  readonly repair: boolean;
}

/**
 * Families that must be equal in a rebuilt index, and those of which it may hold less (their
 * segments are gone).
 */
const exact: readonly Family[] = ['q', 'h', 'c', 'l', 'r', 's'];
const partial: readonly Family[] = ['k', 'p'];
const CHECK_FOLDER = 'index.check';
const LOOK_AFTER_DISK = 'look after the disk: it loses bytes';
const damageRemedy = {
  FSCK_SEGMENT_DAMAGED:
    'start the agent: it keeps the sound records, sets the damaged bytes aside, and reads the sources again',
  FSCK_CHAIN_DAMAGED: 'put the file back from a copy, or enrol this PC again with --replaces',
} as const;

/**
 * Proves the queue: every record of segments and chain log by its checksum, the keys of unsent
 * versions, and the index by building another one from the logs and comparing. Without `repair` it
 * changes nothing that opening would not change.
 */
export async function* fsckQueue(options: FsckOptions): AsyncGenerator<QueueFinding, void, void> {
  const { port, dataDir, repair } = options;
  const paths = queuePaths(dataDir);
  const { segments, chain } = await openLogs(options);
  try {
    let sound = true;
    let readable = true;
    const checks = [
      checkLog(segments, 'FSCK_SEGMENT_DAMAGED'),
      checkLog(chain, 'FSCK_CHAIN_DAMAGED'),
    ];
    for (const check of checks) {
      for await (const finding of check) {
        if (finding.severity === 'error') sound = false;
        if (finding.code === 'FSCK_UNREADABLE') readable = false;
        yield finding;
      }
    }
    yield* keptDamage(port, paths.damaged, repair);
    if (sound) yield* checkIndex(options, segments, chain);
    // A file that is not ours, or not for us, goes back or away first: until then the index knows
    // what nothing else tells.
    else if (repair && readable) yield* rebuildLater(options, 'segments or chain log are damaged');
  } finally {
    await segments.close();
    await chain.close();
  }
}

async function* checkLog<K extends RecordKind>(
  log: RecordReader<K>,
  code: 'FSCK_SEGMENT_DAMAGED' | 'FSCK_CHAIN_DAMAGED',
): AsyncGenerator<QueueFinding, void, void> {
  for (const { number } of log.files()) {
    const path = log.path(number);
    try {
      for await (const item of proveFile(log, number)) {
        const finding = findingOf(item, log.format.name, `${path} at byte ${item.offset}`, code);
        if (finding !== undefined) yield finding;
      }
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      const remedy = 'do what it says; the queue waits, and nothing of it is lost';
      yield problem('FSCK_UNREADABLE', error.message, path, remedy);
    }
  }
}

function findingOf(
  item: ProvedItem<RecordKind>,
  what: string,
  where: string,
  code: 'FSCK_SEGMENT_DAMAGED' | 'FSCK_CHAIN_DAMAGED',
): QueueFinding | undefined {
  const rotten = `the ${what} has a rotten header, of which nothing is lost yet`;
  switch (item.type) {
    case 'record':
      return item.isMended ? problem(code, rotten, where, LOOK_AFTER_DISK) : undefined;
    case 'header':
      return problem(code, rotten, where, LOOK_AFTER_DISK);
    case 'damage':
      return problem(code, `the ${what} is damaged`, where, damageRemedy[code]);
    case 'later': {
      const says = `the ${what} holds ${item.why}, which this release does not know`;
      return problem('FSCK_UNREADABLE', says, where, 'update aliquot-agent');
    }
    case 'torn':
    case 'under way': {
      const says = `the ${what} ends in an unfinished record`;
      return note('FSCK_TORN_TAIL', says, where, 'nothing: it is cut when the agent starts');
    }
  }
}

async function* keptDamage(
  port: FilePort,
  dir: string,
  repair: boolean,
): AsyncGenerator<QueueFinding, void, void> {
  const names: string[] = [];
  try {
    await withFileErrors('list', dir, async () => {
      for await (const entry of port.list(dir)) names.push(entry.name.toString());
      // What an earlier repair removed, and died before it was durable, must not come back.
      if (repair) await port.syncDirectory(dir);
    });
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_MISSING') throw error;
    // No such folder: nothing was ever set aside.
  }
  for (const name of names.sort()) {
    const where = join(dir, name);
    if (repair) await removeDurably(port, where);
    const finding = problem(
      'FSCK_DAMAGE_KEPT',
      'damaged bytes of the queue were set aside',
      where,
      'fsck --repair removes them once you have seen this',
    );
    yield { ...finding, repaired: repair };
  }
}

async function* checkIndex(
  options: FsckOptions,
  segments: QueueLogs['segments'],
  chain: QueueLogs['chain'],
): AsyncGenerator<QueueFinding, void, void> {
  const { port, dataDir } = options;
  const paths = queuePaths(dataDir);
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
    wrong = await difference(index, fresh);
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
    const { batch } = decodeUnsigned(value);
    if (!present.has(batch)) missing.set(batch, (missing.get(batch) ?? 0) + 1);
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

/** What differs, named by its family; undefined when nothing does. */
async function difference(index: IndexStore, fresh: IndexStore): Promise<string | undefined> {
  const items = await itemDifference(index, fresh);
  if (items !== undefined) return items;
  for (const family of exact) {
    const theirs = index.iterate(familyRange(family))[Symbol.asyncIterator]();
    for await (const [key, value] of fresh.iterate(familyRange(family))) {
      const other = await theirs.next();
      const same =
        other.done !== true && equalBytes(other.value[0], key) && equalBytes(other.value[1], value);
      if (!same) return `its part ${family} differs from segments and chain log`;
    }
    if ((await theirs.next()).done !== true)
      return `its part ${family} names what segments and chain log do not hold`;
  }
  for (const family of partial) {
    for await (const [key, value] of fresh.iterate(familyRange(family))) {
      const other = await index.getWritten(key);
      if (other === undefined || !equalBytes(other, value))
        return `its part ${family} differs from the segments`;
    }
  }
  const counters = ({ state }: IndexStore): string => {
    const {
      nextEntry,
      signedEntry,
      receiptedEntry,
      pendingEntries,
      pendingBytes,
      chainHead,
      receiptedSequence,
      lastReceipt,
    } = state;
    const { signedBytes, fork, gcEpoch, referenceFiles, referenceBytes } = state;
    const classes = Object.entries(state.classBytes).sort();
    const first = [
      nextEntry,
      signedEntry,
      receiptedEntry,
      pendingEntries,
      pendingBytes,
      chainHead,
      receiptedSequence,
      lastReceipt,
    ];
    return JSON.stringify([
      ...first,
      signedBytes,
      fork,
      gcEpoch,
      referenceFiles,
      referenceBytes,
      classes,
    ]);
  };
  return counters(index) === counters(fresh)
    ? undefined
    : 'its counters differ from segments and chain log';
}

/**
 * What differs in the places of sealed items. A crash between forgetting a kept segment and
 * removing its file leaves items that only the file knows; nobody needs them, and the next start
 * removes the rest.
 */
async function itemDifference(index: IndexStore, fresh: IndexStore): Promise<string | undefined> {
  const differs = 'its part i differs from segments and chain log';
  const heldFrom = (await firstHeldSegment(index)) ?? Number.MAX_SAFE_INTEGER;
  const range = familyRange('i');
  const forgotten = new Set<number>();
  for await (const [key, value] of fresh.iterate(range)) {
    const other = await index.getWritten(key);
    const { file } = decodeItemPlace(value);
    if (other === undefined && file < heldFrom) forgotten.add(file);
    else if (other === undefined || !equalBytes(other, value)) return differs;
  }
  for await (const [key, value] of index.iterate(range)) {
    if ((await fresh.getWritten(key)) === undefined)
      return 'its part i names what segments and chain log do not hold';
    // A segment is forgotten as a whole.
    if (forgotten.has(decodeItemPlace(value).file)) return differs;
  }
  return undefined;
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
      const entry = numberInKey(key);
      if (!(await holds(segments, decodeUnsigned(value).at, entry))) unreadable.push(entry);
    }
    await nameLost(index, chain, unreadable);
  } finally {
    await closeQueueFiles(files);
  }
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

function problem(
  code: QueueFindingCode,
  what: string,
  where: string,
  remedy: string,
): QueueFinding {
  return { code, severity: 'error', what, where, remedy, repaired: false };
}

function note(code: QueueFindingCode, what: string, where: string, remedy: string): QueueFinding {
  return { code, severity: 'note', what, where, remedy, repaired: false };
}
