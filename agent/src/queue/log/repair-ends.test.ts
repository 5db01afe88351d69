import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { LogItem } from '@aliquot/shared/records/reader';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  collect,
  openQueue,
  put,
  sample,
  temporaryFolder,
  testSigner,
} from '../../../testing/queue/support.ts';
import type { RecordKind } from './formats.ts';
import { fsckQueue } from './fsck.ts';
import { openLogs } from './open-queue.ts';

const sizes = { segmentBytes: 5000, keptBytes: 1 << 20 };

let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => folder.remove());

/** Commits without receipts, versions behind them, and a wrong bit in an older file of each log. */
async function spoiled(): Promise<string> {
  const dir = join(folder.dir, 'pc');
  const queue = await openQueue(dir, sizes);
  for (let commit = 0; commit < 4; commit += 1) {
    await put(queue, sample(`/data/signed ${commit}`, 2, 300));
    await queue.sync();
    await queue.outbox.signAll(testSigner());
  }
  for (let file = 0; file < 4; file += 1) await put(queue, sample(`/data/waits ${file}`, 2, 300));
  await queue.close();
  const logs = await openLogs({ port: nodeDisk, dataDir: dir, random: seededRandom('logs') });
  for (const [log, kind, number] of [
    [logs.segments, 'chunk', 2],
    [logs.chain, 'signed', 1],
  ] as const) {
    expect(log.lastNumber).toBeGreaterThan(1);
    const items = await collect<LogItem<RecordKind>>(log.scanFile(number));
    await log.close();
    const first = items.find((item) => item.type === 'record' && item.header.kind === kind);
    const bytes = readFileSync(log.path(number));
    const at = (first?.offset ?? 0) + RECORD_HEADER_BYTES + 100;
    bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
    writeFileSync(log.path(number), bytes);
  }
  return dir;
}

/** What a queue says of its commits, and of what is lost, in the end. */
async function told(dir: string) {
  const queue = await openQueue(dir, sizes);
  await queue.outbox.proveAll();
  const commits = await collect(queue.outbox.unreceipted());
  const lost = await collect(queue.losses.list());
  const { entries } = queue.intake.pending();
  await queue.close();
  return {
    commits: commits.map(({ sequence, isLost }) => ({ sequence, isLost })),
    lost: lost.map(({ path }) => Buffer.from(path ?? []).toString()),
    entries,
  };
}

const CHANGING = /^(sync|datasync|rename|unlink|rmdir|truncate)$/;

test('I-A6: a repair that ends at any of its steps loses nothing more than what had rotted', async () => {
  const dir = await spoiled();
  const trial = join(folder.dir, 'trial');
  const repair = async (crashAt: number): Promise<number[]> => {
    rmSync(trial, { recursive: true, force: true });
    cpSync(dir, trial, { recursive: true });
    const port = faultyFiles(nodeDisk, ({ index }) =>
      index === crashAt ? { crash: true } : undefined,
    );
    const options = { port, dataDir: trial, random: seededRandom('fsck'), repair: true };
    const nameUnreadable = async (): Promise<void> => {
      const queue = await openQueue(trial, { ...sizes, port });
      await queue.outbox.proveAll().finally(() => queue.close());
    };
    const found = collect(fsckQueue({ ...options, nameUnreadable }));
    if (crashAt < 0)
      expect(await found).toContainEqual(expect.objectContaining({ repaired: true }));
    else await found.catch(() => undefined);
    return port.steps.flatMap(({ index, operation }) => (CHANGING.test(operation) ? [index] : []));
  };
  const steps = await repair(-1);
  const whole = await told(trial);
  expect(whole.commits.map(({ isLost }) => isLost)).toEqual([true, false, false, false]);
  expect([whole.entries, whole.lost]).toEqual([7, ['/data/waits 0']]);
  for (const step of steps) {
    await repair(step);
    expect({ step, ...(await told(trial)) }).toEqual({ step, ...whole });
  }
});
