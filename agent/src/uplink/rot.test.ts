import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import type { LogItem } from '@aliquot/shared/records/reader';
import { FIXTURE_TIME_MS, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { collect, put, sample } from '../../testing/queue/support.ts';
import {
  startAgent,
  testIdentity,
  type UplinkTestAgent,
  vault,
} from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';
import type { RecordKind } from '../queue/log/formats.ts';
import { openLogs, queuePaths } from '../queue/log/open-queue.ts';
import { commitSigner } from './signer.ts';

let collector: TestCollector;
let url: string;
let agent: UplinkTestAgent;

beforeEach(async () => {
  collector = new TestCollector(vault);
  url = await collector.listen();
  agent = await startAgent(url, { start: false });
});

afterEach(async () => {
  await agent.close();
  rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

const [first, second, behind] = ['/data/first', '/data/second', '/data/behind'].map((name) =>
  sample(name, 2, 400),
) as [ReturnType<typeof sample>, ReturnType<typeof sample>, ReturnType<typeof sample>];

/** Two commits that were signed without a session, and a version behind them. */
async function signed(): Promise<void> {
  const clock = { nowMs: () => FIXTURE_TIME_MS };
  const signer = commitSigner(testIdentity(url), () => undefined, clock, seededRandom('signer'));
  for (const file of [first, second]) {
    await put(agent.queue, file);
    expect(await agent.queue.outbox.signAll(signer)).toBe(1);
  }
  await put(agent.queue, behind);
}

/** The folder's files are changed while nobody has it open; then the uplink begins. */
async function spoiled(
  spoil: () => Promise<void>,
  uplink: Parameters<UplinkTestAgent['restart']>[0] = {},
): Promise<void> {
  await agent.uplink.stop();
  await agent.queue.close();
  await spoil();
  agent = await startAgent(url, { dir: agent.dir, uplink });
}

/** One bit near the end of a record. */
async function flip(log: 'segments' | 'chain', kind: string, number: number): Promise<void> {
  const logs = await openLogs({ port: nodeDisk, dataDir: agent.dir, random: seededRandom('logs') });
  const items = await collect<LogItem<RecordKind>>(logs[log].scan());
  const found = items.filter((item) => item.type === 'record' && item.header.kind === kind);
  const record = found[number];
  if (record?.type !== 'record') throw new Error(`no ${kind}`);
  const path = logs[log].path(record.file);
  await logs.segments.close();
  await logs.chain.close();
  const bytes = readFileSync(path);
  bytes.writeUInt8((bytes[record.end - 5] ?? 0) ^ 1, record.end - 5);
  writeFileSync(path, bytes);
}

const lostNames = async (): Promise<(string | undefined)[]> =>
  (await collect(agent.queue.losses.list())).map(
    ({ path }) => path && Buffer.from(path).toString(),
  );

/** What each commit at the collector came without. */
const losses = () => collector.commits.map(({ loss }) => loss?.lacking);

describe('I-A17 P6 what rots after it was signed is declared lost, and what is behind it goes on', () => {
  test('an item of a commit: its version alone', async () => {
    await signed();
    await spoiled(() => flip('segments', 'chunk', 0));
    await agent.uplink.drained();
    expect(losses()).toEqual([[0], undefined, undefined]);
    expect(await lostNames()).toEqual(['/data/first']);
    expect(agent.queue.losses.takeUntold()).toBe(1);
    expect(agent.queue.intake.pending().entries).toBe(0);
    expect(await agent.queue.ledger.known(Buffer.from('/data/first'))).toBeUndefined();
  });

  test('an item whose source still has the bytes: nothing is lost', async () => {
    await signed();
    await spoiled(() => flip('segments', 'chunk', 0), {
      async *recover() {
        for (const { id, kind, sealed } of first.items) yield { id, kind, sealed };
      },
    });
    await agent.uplink.drained();
    expect(losses()).toEqual([undefined, undefined, undefined]);
    expect(await lostNames()).toEqual([]);
  });

  test.each([false, true])('a commit’s own record, index lost: %s', async (isIndexLost) => {
    await signed();
    await spoiled(async () => {
      await flip('chain', 'signed', 0);
      if (isIndexLost) rmSync(queuePaths(agent.dir).index, { recursive: true });
    });
    await agent.uplink.drained();
    expect(losses()).toEqual([[], undefined, undefined]);
    expect(await lostNames()).toEqual(['/data/first']);
    expect(agent.queue.intake.pending().entries).toBe(0);
    // Once: the next session, and the next opening, find nothing to say again.
    await agent.queue.losses.acknowledge([1]);
    await spoiled(async () => undefined);
    await agent.uplink.drained();
    expect(await lostNames()).toEqual([]);
  });

  test('a commit’s own record, when the collector has it already: nothing is lost', async () => {
    await signed();
    collector.bendWire = (message, index) =>
      index >= 2 && collector.commits.length === 1 ? undefined : message;
    agent.uplink.start();
    await collector.until(() => collector.commits.length === 1);
    await spoiled(async () => {
      collector.bendWire = (message) => message;
      await flip('chain', 'signed', 0);
    });
    await agent.uplink.drained();
    expect(losses()).toEqual([undefined, undefined, undefined]);
    expect(await lostNames()).toEqual([]);
  });

  test('the end of the chain log: what was signed there is declared lost', async () => {
    await signed();
    await spoiled(async () => {
      const { chain } = queuePaths(agent.dir);
      const path = join(chain, readdirSync(chain).sort().at(-1) ?? '');
      writeFileSync(path, readFileSync(path).subarray(0, 200));
    });
    await agent.uplink.drained();
    expect(losses()).toEqual([[], [], undefined]);
    expect((await lostNames()).sort()).toEqual(['/data/first', '/data/second']);
  });

  test('somebody else said with this PC’s key that a version is lost: it is named here', async () => {
    await signed();
    const own = `${agent.dir}-own`;
    await spoiled(async () => {
      cpSync(agent.dir, own, { recursive: true });
      await flip('segments', 'chunk', 0);
    });
    await collector.until(() => collector.commits.length >= 2);
    await agent.close();
    rmSync(agent.dir, { recursive: true });
    agent = await startAgent(url, { dir: own });
    await agent.uplink.drained();
    expect(losses()).toEqual([[0], undefined, undefined]);
    expect(await lostNames()).toEqual(['/data/first']);
  });
});
