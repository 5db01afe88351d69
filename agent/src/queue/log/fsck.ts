import { join } from 'node:path';
import { removeDurably } from '@aliquot/shared/durable/durable';
import { FileError, withFileErrors } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type ProvedItem, proveFile } from '@aliquot/shared/records/prove';
import type { RecordReader } from '@aliquot/shared/records/reader';
import { QueueError } from './errors.ts';
import type { RecordKind } from './formats.ts';
import { CHAIN_REMEDY, note, problem, type QueueFinding } from './fsck-finding.ts';
import { checkIndex, type FsckOptions, mendLogs, type Spoiled } from './fsck-index.ts';
import { lossFindings } from './fsck-losses.ts';
import { openLogs, queuePaths } from './open-queue.ts';

const LOOK_AFTER_DISK = 'look after the disk: it loses bytes';
const damageRemedy = {
  FSCK_SEGMENT_DAMAGED:
    'fsck --repair names what it cost and writes the file anew without it; the agent goes on by itself, and reads the sources again',
  FSCK_CHAIN_DAMAGED: CHAIN_REMEDY,
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
  const spoiled = { segments: new Set<number>(), chain: new Set<number>() } satisfies Spoiled;
  let isReadable = true;
  try {
    const found: QueueFinding[] = [];
    const checks = [
      checkLog(segments, 'FSCK_SEGMENT_DAMAGED', spoiled.segments),
      checkLog(chain, 'FSCK_CHAIN_DAMAGED', spoiled.chain),
    ];
    for (const check of checks) {
      for await (const finding of check) {
        if (finding.code === 'FSCK_UNREADABLE') isReadable = false;
        // With a repair they are told when it is known what became of them.
        if (repair) found.push(finding);
        else yield finding;
      }
    }
    if (spoiled.segments.size + spoiled.chain.size > 0) {
      const repaired = repair && isReadable && (await mendLogs(options, spoiled));
      for (const finding of found)
        yield { ...finding, repaired: repaired && finding.severity === 'error' };
    } else {
      yield* found;
      // A file that is not ours, or not for us, goes back first: till then the index knows more.
      if (isReadable) yield* checkIndex(options, segments, chain);
    }
    yield* keptDamage(port, paths.damaged, repair);
  } finally {
    await segments.close();
    await chain.close();
  }
  if (isReadable) yield* lossFindings(options);
}

async function* checkLog<K extends RecordKind>(
  log: RecordReader<K>,
  code: 'FSCK_SEGMENT_DAMAGED' | 'FSCK_CHAIN_DAMAGED',
  spoiled: Set<number>,
): AsyncGenerator<QueueFinding, void, void> {
  for (const { number } of log.files()) {
    const path = log.path(number);
    try {
      for await (const item of proveFile(log, number)) {
        const finding = findingOf(item, log.format.name, `${path} at byte ${item.offset}`, code);
        if (finding === undefined) continue;
        if (finding.code === code) spoiled.add(number);
        yield finding;
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
