import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent, TestFile } from '../../../testing/agent.ts';
import { ServedCollector } from '../../../testing/served.ts';

const ROOT = '/data/run.D';
const capturedAtMs = Date.now();
let served: ServedCollector;
let pc: SessionTestAgent;

const member = (root: string, name: string, words?: string): TestFile => ({
  ...{ path: `${root}/${name}`, result: root, capturedAtMs },
  ...(words === undefined ? {} : { bytes: Buffer.from(words) }),
});

/** A result that is whole, has a member captured again, and is deleted. */
async function liveAndDelete(root: string): Promise<void> {
  const first = member(root, 'a.txt', 'a first');
  const whole = [first, member(root, 'b.bin', 'b')];
  await served.send(pc, [first], [pc.resultOf(root, [first])]);
  await served.send(pc, whole.slice(1), [pc.resultOf(root, whole)]);
  await served.send(pc, [member(root, 'a.txt', 'a again')]);
  const gone = [member(root, 'a.txt'), member(root, 'b.bin')];
  await served.send(pc, gone, [pc.resultOf(root, [])]);
}

const explained = async (path: string) =>
  (await served.ok('explain', '--agent', 'hplc-1', '--path', path, '--json')).lines;

beforeAll(async () => {
  served = await ServedCollector.start();
  await served.addVault('lab');
  pc = await served.addPc('lab', 'hplc-1');
});

afterAll(() => served.end());

describe('a folder result that was deleted', () => {
  it('P2 I-C21: comes back as it was when it was last whole, for as long as "gone" says', async () => {
    await liveAndDelete(ROOT);
    await served.send(pc, [{ path: '/data/large', bytes: Buffer.from('x'.repeat(100_000)) }]);
    const rules = ['{keep: {within: 7d}, gone: forever}'];
    expect((await served.sendRules('lab', ...rules)).status).toBe(200);
    await served.wait(20);
    expect(await explained(ROOT)).toMatchObject([
      { kind: 'whole', goesNow: true },
      { kind: 'whole', goes: null, reasons: [{ reason: 'gone', until: null }, { over: true }] },
      { kind: 'gone', goes: null, reasons: [{ reason: 'newest' }, { reason: 'before' }] },
    ]);
    const kit = ['--kit', served.kitOf('lab')];
    await served.tried('retention', 'run');
    await served.tried('retention', 'approve', '1', ...kit);
    await served.wait(8);
    await served.tried('gc', 'run');
    const [dropped, whole, deleted] = await explained(ROOT);
    expect([dropped, whole, deleted]).toMatchObject([
      { event: 'dropped' },
      { event: 'version', kind: 'whole' },
      { event: 'version', kind: 'gone' },
    ]);
    // Nothing is left out: that the newest row is of a deleted one, only the row itself says.
    await served.ok('ls', '--agent', 'hplc-1', '--results', ...kit);
    const to = served.at('back');
    const restore = ['restore', '--agent', 'hplc-1', ...kit, '--result', ROOT];
    await served.ok(...restore, '--version', String(whole?.['version']), '--to', to);
    expect(await readFile(join(to, ROOT, 'a.txt'), 'utf8')).toBe('a first');
    expect(await readFile(join(to, ROOT, 'b.bin'), 'utf8')).toBe('b');
  });
});
