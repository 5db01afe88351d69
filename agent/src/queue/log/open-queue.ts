import { join } from 'node:path';
import { isRebuild } from '@aliquot/shared/derived/errors';
import type { IndexOptions } from '@aliquot/shared/derived/level-index';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { removeIndex } from '@aliquot/shared/derived/open-index';
import { ensureDirectory, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { Random } from '@aliquot/shared/ports';
import { FILE_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { Position } from '@aliquot/shared/records/format';
import { RecordLog } from '@aliquot/shared/records/record-log';
import { applyRecord } from './apply.ts';
import { BatchKeys } from './batch-keys.ts';
import { restoreChain } from './chain-again.ts';
import { isIndexDamaged } from './errors.ts';
import {
  type ChainKind,
  chainFormat,
  isItem,
  type RecordKind,
  type SegmentKind,
  segmentFormat,
} from './formats.ts';
import { nameBeyond } from './index-beyond.ts';
import { hasGap, isOfLogs, placesIn, survey } from './index-proof.ts';
import { familyRange, numberInKey } from './index-rows.ts';
import { clearCaches, IndexStore, indexOptions, toldAsQueue } from './index-store.ts';
import { forgetItems, nameLost, unaccounted } from './lost.ts';
import { NumberSet } from './number-set.ts';
import { replacedReferences, settledReferences } from './reference-rows.ts';

/** Segments and chain files rotate there, by default. */
export const SEGMENT_BYTES = 16 * 1024 * 1024;
/** Copying small records into memory that is used again is ten times as fast as a write of each. */
const GATHERED_BYTES = 1024 * 1024;
/** What a replay reads at once. */
const REPLAY_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array();
/** Staged changes that a replay writes at once: bounds its memory. */
const REPLAY_BATCH = 2000;
/** Largest piece of damaged bytes that is kept aside. */
const MAX_SALVAGE_BYTES = 32 * 1024 * 1024;

/** What opening the files needs. */
export interface FilesOptions {
  readonly port: DiskPort;
  /** The agent's data folder; its lock is the caller's business. */
  readonly dataDir: string;
  readonly random: Random;
  /** Where segments and chain files rotate. 16 MiB by default. */
  readonly segmentBytes?: number;
}

export interface QueueLogs {
  readonly segments: RecordLog<SegmentKind>;
  readonly chain: RecordLog<ChainKind>;
}

export interface QueueFiles extends QueueLogs {
  readonly index: IndexStore;
  readonly keys: BatchKeys;
  /** True when the index was missing or damaged and everything was replayed. */
  readonly rebuilt: boolean;
  /** Versions that this opening named as lost, because their segments do not hold them any more. */
  readonly lost: number;
  /**
   * Paths whose reference a version has replaced, while a crash kept the chain log from saying so.
   */
  readonly unreferenced: readonly Uint8Array[];
}

export function queuePaths(dataDir: string) {
  const queue = join(dataDir, 'queue');
  return {
    segments: join(queue, 'segments'),
    keys: join(queue, 'batch-keys'),
    index: join(queue, 'index'),
    damaged: join(queue, 'damaged'),
    chain: join(dataDir, 'chain'),
  };
}

/**
 * Opens everything and brings the index up to date: replays both logs from the index's checkpoint,
 * or from the start when there is no usable index. A torn tail of the newest segment or chain file,
 * which no sync ever covered, is cut.
 *
 * Damage with sound records behind it is never skipped silently: its bytes go to `queue/damaged/`,
 * which `status` and fsck show until somebody removes them; sound records behind it are kept. In
 * the chain log it stops the agent (`QUEUE_DAMAGED`) where nothing is left of a commit: going on
 * could use a sequence twice, which the collector would have to take for a clone.
 */
export async function openQueueFiles(options: FilesOptions): Promise<QueueFiles> {
  try {
    return await openOnce(options);
  } catch (error) {
    // Found while it was read; the next opening makes it anew.
    if (!isIndexDamaged(error)) throw error;
    return openOnce(options);
  }
}

async function openOnce(options: FilesOptions): Promise<QueueFiles> {
  const { port } = options;
  const paths = queuePaths(options.dataDir);
  const { segments, chain } = await openLogs(options, options.segmentBytes ?? SEGMENT_BYTES);
  const keys = await BatchKeys.open(port, paths.keys, options.random);
  let index: IndexStore | undefined;
  try {
    // A file that is not ours is named before anything is said to be lost that only it keeps away.
    for (const log of [segments, chain])
      for (const { number } of log.files()) await log.codecOf(number);
    const indexed = indexOptions(paths.index, chain.identity?.owner ?? NO_BYTES);
    const opened = await openIndex(port, indexed, { segments, chain });
    index = opened.store;
    let rebuilt = !opened.found;
    const anew = async (old: IndexStore): Promise<IndexStore> => {
      rebuilt = true;
      await old.close();
      await removeIndex(port, paths.index);
      return (await IndexStore.open(port, indexed)).store;
    };
    if (opened.found && !(await covers(index, { segments, chain }))) index = await anew(index);
    const isShort = await forgetLostEnd(index, segments);
    let unreferenced = await replayBoth(port, index, segments, chain, paths.damaged);
    let { lost } = opened;
    if (!rebuilt) {
      const { whole, unreachable } = await survey(index, segments);
      await nameLost(index, chain, unreachable);
      lost += unreachable.length;
      if (isShort || unreachable.length > 0 || hasGap(segments))
        await forgetItems(index, placesIn(segments));
      if (!whole) {
        index = await anew(index);
        unreferenced = await replayBoth(port, index, segments, chain, paths.damaged);
      }
    }
    if (rebuilt) {
      const gone = await unaccounted(index, chain);
      await nameLost(index, chain, gone);
      lost += gone.length;
    }
    return { segments, chain, index, keys, rebuilt, unreferenced, lost };
  } catch (error) {
    await index?.close();
    await segments.close();
    await chain.close();
    throw error;
  }
}

/**
 * Opens both logs. They are of one owner, a random id made with the folder, and share their salt:
 * so a header that has rotted is known from any other file of the two, and a file of another queue
 * is recognised. The chain log is synced record by record: one that finds no space leaves no trace.
 */
export async function openLogs(
  { port, dataDir, random }: FilesOptions,
  targetBytes = SEGMENT_BYTES,
): Promise<QueueLogs> {
  const paths = queuePaths(dataDir);
  const both = { port, random, targetBytes };
  const ofChain = { ...both, dir: paths.chain, format: chainFormat };
  const ofSegments = { ...both, dir: paths.segments, format: segmentFormat };
  let chain = await RecordLog.open(ofChain);
  if (chain.identity === undefined)
    chain = await RecordLog.open({ ...ofChain, ...(await RecordLog.open(ofSegments)).identity });
  await chain.begin();
  const segments = await RecordLog.open({
    ...ofSegments,
    gatherBytes: GATHERED_BYTES,
    ...chain.identity,
  });
  return { segments, chain };
}

/**
 * When segments have lost their end, or are gone, since the index was written: it goes on at the
 * end of what is there. What it knows beyond is what tells the names of the lost.
 */
async function forgetLostEnd(index: IndexStore, segments: QueueLogs['segments']): Promise<boolean> {
  const reached = index.state.segments;
  const newest = segments.files().at(-1);
  if (reached === undefined || reached.file < (newest?.number ?? 0)) return false;
  if (newest?.number === reached.file && newest.size >= reached.offset) return false;
  if (newest !== undefined)
    for await (const item of segments.scanFile(newest.number, { take: () => 'prove' }))
      if (item.type === 'damage' && item.isTorn) await segments.cut(item);
  index.state.segments = newest === undefined ? undefined : segments.end();
  index.state.lastSegment = undefined;
  return true;
}

/**
 * Brings an index up to the end of both logs; the answer is `QueueFiles.unreferenced`. The segments
 * are replayed first, so a reference whose version was replayed comes back when a crash kept the
 * chain log from saying that it went.
 */
export async function replayBoth(
  port: FilePort,
  index: IndexStore,
  segments: QueueLogs['segments'],
  chain: QueueLogs['chain'],
  damagedDir: string,
): Promise<readonly Uint8Array[]> {
  const reached = index.state.segments;
  await replay(port, index, segments, 'segments', damagedDir);
  await replay(port, index, chain, 'chain', damagedDir);
  const { segments: end } = index.state;
  const moved = end?.file !== reached?.file || end?.offset !== reached?.offset;
  const replaced = await replacedReferences(index);
  return moved ? [...replaced, ...(await settledReferences(index))] : replaced;
}

/** Brings an index up to the end of one log; damage before the torn tail is set aside. */
async function replay<K extends RecordKind>(
  port: FilePort,
  index: IndexStore,
  log: RecordLog<K>,
  which: 'segments' | 'chain',
  damagedDir: string,
): Promise<void> {
  const remember = (next: Position): void => {
    index.state[which] = next;
  };
  const from = index.state[which];
  // What a killed process wrote but never synced may be there now and gone after a power cut: make
  // it durable first (I-A1).
  await log.syncNewest(from);
  let torn: Position | undefined;
  let bad: Position | undefined;
  const take = (kind: K) => (isItem(kind) ? 'prove' : 'give');
  for await (const item of log.scan(from, { take, runBytes: REPLAY_BYTES })) {
    const { file, offset } = item;
    if (item.type === 'unknown')
      throw log.format.error(
        'later',
        `${log.path(file)}: at byte ${offset}: ${item.why} is not known to this release`,
      );
    const next = { file, offset: item.end };
    if (item.type === 'damage') {
      if (item.isTorn) {
        torn = { file, offset };
        break;
      }
      // A header of a file that has rotted says nothing that is not known.
      if (offset >= FILE_HEADER_BYTES || which === 'segments') {
        await salvage(port, log, item, damagedDir);
        bad ??= item;
      }
      remember(next);
      continue;
    }
    // A signed commit reads what was written before it, so the chain goes record by record: one for
    // thousands of versions.
    if (which === 'chain' || index.staged >= REPLAY_BATCH) await index.write();
    const payload = item.payload ?? NO_BYTES;
    const applied = await applyRecord(index, { file, offset }, item.header, payload);
    // Before the record counts as applied: a crash in between repeats it.
    if (applied.clearCache === true) await clearCaches(index);
    remember(next);
  }
  if (torn !== undefined) await log.cut(torn);
  if (log.lastNumber !== undefined) remember(log.end());
  if (which === 'chain' && bad !== undefined) await goOnBehind(index, log, bad);
  await index.write({ sync: true });
}

/**
 * What a bad place of the chain log may have said, without which nobody may go on: every commit
 * must be there, or what is left of it. What else it may have said is said again: receipts and
 * epochs by the collector, what was lost by its number. Error: `QUEUE_DAMAGED`.
 */
async function goOnBehind<K extends RecordKind>(
  index: IndexStore,
  log: RecordLog<K>,
  { file, offset }: Position,
): Promise<void> {
  // It may have been an epoch of the sweep.
  await clearCaches(index);
  await index.write();
  const known = new NumberSet();
  for await (const [key] of index.iterate(familyRange('c'))) known.add(numberInKey(key));
  const head = index.state.chainHead?.sequence ?? 0;
  if (head === 0 || known.covers(1, head)) return;
  const says = `is damaged at byte ${offset}, and of commit ${known.behind(1)} nothing is left`;
  throw log.format.error('damaged', `the chain log ${log.path(file)} ${says}`);
}

/**
 * Whether the chain log lacks what the index has seen in it. Then nothing but the index knows which
 * sequences were used (I-A6).
 */
export function isShorterThanKnown(index: IndexStore, chain: QueueLogs['chain']): boolean {
  const known = index.state.chain;
  if (known === undefined) return false;
  const there = chain.files().find(({ number }) => number === known.file);
  return there === undefined || there.size < known.offset;
}

/**
 * Whether the index can go on from where it is; otherwise it is of another folder, or of segments
 * that were dropped since.
 */
async function covers(index: IndexStore, { segments, chain }: QueueLogs): Promise<boolean> {
  const { segments: reached } = index.state;
  if (!(await isOfLogs(index, segments, chain))) return false;
  if (isShorterThanKnown(index, chain)) {
    await restoreChain(index, chain);
    return false;
  }
  const oldest = segments.files()[0]?.number;
  return reached === undefined || oldest === undefined || reached.file >= oldest;
}

interface OpenedIndex {
  readonly store: IndexStore;
  readonly found: boolean;
  /** Versions that only a damaged index knew: they were named as lost. */
  readonly lost: number;
}

/** Opens the index; one that cannot be believed is made anew, after what only it knew was told. */
async function openIndex(
  disk: DiskPort,
  options: IndexOptions,
  logs: QueueLogs,
): Promise<OpenedIndex> {
  try {
    return { lost: 0, ...(await IndexStore.open(disk, options)) };
  } catch (error) {
    if (!isRebuild(error)) throw toldAsQueue(error, 'cannot be opened');
  }
  const lost = await nameBeyond(disk, options, logs);
  await removeIndex(disk, options.dir);
  return { lost, ...(await IndexStore.open(disk, options)) };
}

/** Keeps bytes that are no sound record, so that nothing vanishes without a trace. */
async function salvage<K extends RecordKind>(
  port: FilePort,
  log: RecordLog<K>,
  { file, offset, end }: Position & { readonly end: number },
  damagedDir: string,
): Promise<void> {
  await ensureDirectory(port, damagedDir);
  const length = Math.min(end - offset, MAX_SALVAGE_BYTES);
  const of = log.format.suffix === '.log' ? 'chain-' : '';
  const name = `${of}${String(file).padStart(8, '0')}-${offset}.bin`;
  await writeFileDurably(port, join(damagedDir, name), await log.readBytes(file, offset, length));
}

/** Bytes that the disk of the queue has left for it. */
export function freeBytesFor({
  port,
  dataDir,
}: {
  readonly port: FilePort;
  readonly dataDir: string;
}): Promise<number> {
  return withFileErrors('ask for free space at', dataDir, () => port.freeBytes(dataDir));
}

export async function closeQueueFiles(files: QueueFiles): Promise<void> {
  await files.segments.close();
  await files.chain.close();
  await files.index.close();
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
