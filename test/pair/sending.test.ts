import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { faultyFiles } from '@aliquot/shared/testing/faulty-files';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { put, sample } from '../../agent/testing/queue/support.ts';
import { Pair, type PairAgentOptions } from './pair.ts';
import { Turnstile } from './turnstile.ts';

let pair: Pair;

beforeEach(async () => {
  pair = await Pair.open();
});
afterEach(() => pair.close());

async function started(options: PairAgentOptions = {}) {
  const agent = await pair.agent('lcms-1', options);
  agent.start();
  await agent.until('ready');
  return agent;
}
const nothingNew = {
  files: 1,
  bytes: 600,
  unprotected: 0,
  pending: 0,
  unsettled: 0,
  problems: [],
};

describe('sending', () => {
  test('P1: what is queued arrives, is receipted, and is safe', async () => {
    const agent = await pair.agent('lcms-1');
    const files = [sample('/data/a', 3), sample('/data/b', 3)];
    await agent.capture(...files);
    agent.start();
    await agent.uplink.drained();
    await agent.mustHold(files);
    expect(await agent.commits()).toBe(1);
    const { state, problem, verifiedHead } = agent.uplink.status();
    expect({ state, problem }).toEqual({ state: 'ready', problem: undefined });
    // The vault, the agent expected, the agent enrolled, and the commit.
    expect(verifiedHead).toEqual(pair.vault.log.treeHead());
  });

  test('what is captured while connected is sent without being asked', async () => {
    const agent = await started();
    const files = [sample('/data/a', 3), sample('/data/b', 3)];
    for (const [before, file] of files.entries()) {
      await agent.capture(file);
      await vi.waitUntil(async () => (await agent.commits()) > before, { timeout: 240_000 });
    }
    await agent.uplink.drained();
    expect(await agent.commits()).toBe(2);
    await agent.mustHold(files);
  });

  test('nothing new sends no content, and the sent bytes are counted', async () => {
    const agent = await started();
    await agent.capture(sample('/data/a', 3));
    await agent.uplink.drained();
    const { sentBytes, sentContentBytes } = agent.uplink.status();
    expect(sentContentBytes).toBeGreaterThan(600);
    expect(sentBytes).toBeGreaterThan(sentContentBytes);
    await agent.uplink.heartbeat(nothingNew);
    expect(agent.uplink.status().sentContentBytes).toBe(sentContentBytes);
    expect(pair.vault.register.agentByName('lcms-1')?.heartbeat).toMatchObject(nothingNew);
  });

  test('a file of many pages arrives with all of them', async () => {
    const agent = await started();
    const file = sample('/data/big', 700, 80);
    expect(file.draft.content.depth).toBe(1);
    await agent.capture(file);
    await agent.uplink.drained();
    await agent.mustHold([file]);
    expect(await agent.itemsAt(file)).toBe(file.items.length);
  });

  test('I-A10: sending that finds the disk full is taken up again soon, by the same process', async () => {
    let full = false;
    const port = faultyFiles(nodeFiles, ({ operation }) =>
      full && operation === 'write' ? { fail: 'ENOSPC' } : undefined,
    );
    const agent = await pair.agent('lcms-1', { port });
    const file = sample('/data/a');
    await agent.capture(file);
    full = true;
    const found = agent.until('offline', 'refused');
    agent.start();
    // Not `refused`, which would be asked again only after minutes.
    expect(await found).toMatchObject({
      state: 'offline',
      problem: { code: 'UPLINK_QUEUE_WAITS' },
    });
    full = false;
    await agent.uplink.drained();
    await agent.mustHold([file]);
  });
});

describe('what goes ahead of its commit', () => {
  test('items of a file that is still being captured do, and are not sent twice', async () => {
    const agent = await started();
    const large = () => sample('/data/large', 12, 300_000);
    const file = large();
    const bytes = file.items.reduce((sum, { sealed }) => sum + sealed.length, 0);
    const capture = agent.queue.intake.capture();
    for (const item of file.items) await capture.putItems([{ ...item, named: true }]);
    await vi.waitUntil(async () => (await agent.itemsAt(file)) > 0, { timeout: 240_000 });
    expect(await agent.commits()).toBe(0);
    await capture.putVersion(file.draft, file.known);
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(await agent.commits()).toBe(1);
    // The queue has given up the memory of what it sent.
    await agent.mustHold([large()]);
    expect(agent.uplink.status().sentContentBytes).toBe(bytes);
  });

  test('costs nothing but its bytes when the capture is given up', async () => {
    const agent = await started();
    const given = agent.queue.intake.capture();
    const lost = sample('/data/given-up', 12, 300_000);
    for (const item of lost.items) await given.putItems([{ ...item, named: true }]);
    await vi.waitUntil(async () => (await agent.itemsAt(lost)) > 0, { timeout: 240_000 });
    given.abort();
    const file = sample('/data/a', 3);
    await put(agent.queue, file);
    await agent.queue.sync();
    await agent.uplink.drained();
    expect(await agent.commits()).toBe(1);
    await agent.mustHold([file]);
  });
});

describe('the pace', () => {
  test('items wait for their turn, and what is not content does not', async () => {
    const pace = new Turnstile();
    const agent = await started({ courtesy: pace });
    const file = sample('/data/a', 3);
    await agent.capture(file);
    await pace.entered;
    await agent.uplink.heartbeat(nothingNew);
    expect(pair.vault.register.agentByName('lcms-1')?.heartbeat).toMatchObject(nothingNew);
    expect(await agent.itemsAt(file)).toBe(0);
    pace.open();
    await agent.uplink.drained();
    await agent.mustHold([file]);
  });

  test('everything that is sent is counted, not only content', async () => {
    const pace = new Turnstile();
    pace.open();
    const agent = await started({ courtesy: pace });
    await agent.capture(sample('/data/a', 3));
    await agent.uplink.drained();
    const { sentBytes, sentContentBytes } = agent.uplink.status();
    expect(pace.sentBytes).toBe(sentBytes);
    expect(pace.sentBytes).toBeGreaterThan(sentContentBytes);
  });

  test('an uplink that is stopped waits for no turn', async () => {
    const pace = new Turnstile();
    const agent = await started({ courtesy: pace });
    await agent.capture(sample('/data/a', 3));
    await pace.entered;
    await agent.stop();
    expect(pace.waiting).toBe(0);
  });
});

test('I-A9: an epoch of the sweep is answered when everything captured is receipted, and waits for nobody then', async () => {
  const agent = await started();
  await agent.capture(sample('/data/a', 3));
  await agent.uplink.drained();
  await agent.stop();
  await agent.capture(sample('/data/b', 3));
  const { sweep } = pair.vault;
  const { lineageId } = pair.vault.register.agentByName('lcms-1') ?? expect.fail('no agent');
  const epoch = await sweep.announceGcEpoch(lineageId, 1);
  expect(sweep.sweepWaitsFor(lineageId, epoch)).toMatchObject([{ agent: 'lcms-1' }]);
  agent.start();
  await vi.waitUntil(() => sweep.sweepWaitsFor(lineageId, epoch).length === 0, {
    timeout: 240_000,
  });
  expect(agent.queue.intake.pending().entries).toBe(0);
  expect(agent.queue.epochs.newest()).toBe(epoch);
});
