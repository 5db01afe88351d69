import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { put, putSlab, type SampleFile, sample, sampleSlab } from '../../testing/queue/support.ts';
import { startAgent, type UplinkTestAgent, vault } from '../../testing/uplink/test-agent.ts';
import { TestCollector } from '../../testing/uplink/test-collector.ts';

let collector: TestCollector;
let agent: UplinkTestAgent | undefined;

beforeEach(() => {
  collector = new TestCollector(vault);
});

afterEach(async () => {
  await agent?.close();
  if (agent !== undefined) rmSync(agent.dir, { recursive: true, force: true });
  await collector.stop();
});

function filesUnder(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? filesUnder(path) : [path];
  });
}

/** How many of the keys of these files stand anywhere in the folder, in any file. */
function keysFound(dir: string, files: readonly SampleFile[]): number {
  const all = filesUnder(dir).map((path) => readFileSync(path));
  const keys = files.flatMap(({ items, draft }) => [
    ...items.flatMap((item) => ('key' in item ? [item.key as Uint8Array] : [])),
    ...(draft.read?.keys ?? []),
  ]);
  return keys.filter((key) => all.some((bytes) => bytes.includes(Buffer.from(key)))).length;
}

test.runIf(posixOnly('on Windows nobody reads the files of a running LevelDB'))(
  'I-A3, P4: neither before nor after the receipt does any file of the agent hold a key of a chunk, page or piece in clear',
  async () => {
    const url = await collector.listen();
    agent = await startAgent(url, { selfRestore: false, start: false });
    const files = [sample('/data/a', 3), sample('/data/many', 70, 90), sample('/data/c')];
    const small = sampleSlab(['/data/x', '/data/y']);
    for (const file of files) await put(agent.queue, file);
    await putSlab(agent.queue, small);
    await agent.queue.sync();
    expect(keysFound(agent.dir, [...files, ...small])).toBe(0);
    agent.uplink.start();
    await agent.uplink.drained();
    await agent.uplink.stop();
    await agent.queue.close();
    expect(keysFound(agent.dir, [...files, ...small])).toBe(0);
  },
);

test('I-A3, P4: after the receipts no batch key is left, so nothing on the PC opens the drafts that its segments still hold', async () => {
  const url = await collector.listen();
  agent = await startAgent(url, { selfRestore: false, start: false });
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  const batchKeys = (): string[] => readdirSync(join(agent?.dir ?? '', 'queue', 'batch-keys'));
  const [name] = batchKeys();
  const key = readFileSync(join(agent.dir, 'queue', 'batch-keys', name ?? ''));
  expect(key).toHaveLength(32);
  agent.uplink.start();
  await agent.uplink.drained();
  expect(batchKeys()).toEqual([]);
  await agent.uplink.stop();
  await agent.queue.close();
  expect(filesUnder(agent.dir).filter((path) => readFileSync(path).includes(key))).toEqual([]);
});

test('I-A3: the key goes as soon as the signed commit is durable, even when the collector never answers', async () => {
  collector.hangUpOn = ({ type }) => type === 'commit';
  const url = await collector.listen();
  agent = await startAgent(url, { selfRestore: false, start: false });
  await put(agent.queue, sample('/data/a', 3));
  await agent.queue.sync();
  agent.uplink.start();
  await agent.until('offline');
  expect(readdirSync(join(agent.dir, 'queue', 'batch-keys'))).toEqual([]);
});

test('P4: wraps of a commit go to vault and catalog only, unless the authority allowed self-restore', async () => {
  const url = await collector.listen();
  for (const selfRestore of [false, true]) {
    const one = await startAgent(url, { selfRestore, start: false });
    await put(one.queue, sample('/data/a'));
    await one.queue.sync();
    collector.putBack({
      leaves: [],
      items: new Map(),
      commits: [],
      apart: [],
      epoch: 0,
      openings: [],
    });
    one.uplink.start();
    await one.uplink.drained();
    const recipients = new Set(collector.commits[0]?.wraps.map(({ recipient }) => recipient));
    expect([...recipients].sort()).toEqual(
      selfRestore ? ['agent', 'catalog', 'vault'] : ['catalog', 'vault'],
    );
    await one.close();
  }
});
