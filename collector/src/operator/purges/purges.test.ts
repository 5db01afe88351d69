import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aliquot } from '../../../testing/cli.ts';
import { ServedCollector } from '../../../testing/served.ts';

let served: ServedCollector;
const at = (name: string) => served.at(name);
const kitOf = (vault: string) => served.kitOf(vault);
const keyOf = (vault: string, name: string) => served.keyOf(vault, name);

/** Asks of one vault of the collector. */
function asking(vault: string) {
  const { tried, ok } = served.asking(vault);
  const order = (path: string, ...more: string[]) =>
    tried(
      ...['purge', 'order', '--agent', 'hplc-1', '--path', path, '--reason', 'request 2026-11'],
      ...['--by', keyOf(vault, 'maria'), '--json', ...more],
    );
  const list = async () => (await ok('purge', 'list', '--json')).lines;
  return { tried, ok, order, list };
}

beforeAll(async () => {
  served = await ServedCollector.start();
  for (const vault of ['lab', 'blind']) {
    await served.addVault(vault, { blind: vault === 'blind' });
    for (const name of ['maria', 'ines']) await served.addOperator(vault, name);
    const bytes = Buffer.from('result');
    await served.send(await served.addPc(vault, 'hplc-1'), [
      { path: '/data/p-0815/a.raw', bytes },
      { path: '/data/p-0815/b.raw', bytes },
      { path: '/data/other/c.raw', bytes },
    ]);
  }
});

afterAll(() => served.end());

describe('purge', () => {
  it('I-C30: is ordered by a key for retention, listed, and cancelled', async () => {
    const { tried, ok, order, list } = asking('lab');
    const ordered = await order('/data/p-0815/**');
    expect([ordered.stderr, ordered.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
    expect(ordered.lines).toMatchObject([{ event: 'ordered', files: 2, versions: 2 }]);
    const [{ purge }] = ordered.lines as [{ purge: string }];
    expect(await list()).toMatchObject([
      {
        ...{ purge, state: 'waits', agent: 'hplc-1', files: 2, reason: 'request 2026-11' },
        ...{ ordered: { by: 'maria' }, approved: null, cancelled: null },
      },
    ]);
    expect((await ok('purge', 'list')).stdout).toContain('waits: may be approved from');
    expect((await ok('status')).stdout).toMatch(
      /^purges +1 order to approve: aliquot purge list$/m,
    );
    // Neither the log nor what lists it has the pattern.
    const cancel = ['purge', 'cancel', purge, '--reason', 'another subject'];
    const nobody = await tried(...cancel);
    expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining('nobody to sign')]);
    await ok(...cancel, '--kit', kitOf('lab'));
    expect(await list()).toMatchObject([
      { state: 'cancelled', cancelled: { by: 'the authority', reason: 'another subject' } },
    ]);
    const again = await tried(...cancel, '--kit', kitOf('lab'));
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('was cancelled on')]);
  });

  it('refuses in one line what fits nothing, an id that nobody has, and a hold, which it names', async () => {
    const { tried, ok, order } = asking('lab');
    const nothing = await order('/data/p-4711/**');
    expect([nothing.code, nothing.stderr]).toEqual([
      1,
      expect.stringContaining('no file and no folder result that --path /data/p-4711/** fits'),
    ]);
    const unknown = await tried('purge', 'cancel', 'abcd', '--reason', 'x', '--kit', kitOf('lab'));
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('no purge abcd')]);
    await ok('hold', 'add', 'trial', '--path', '/data/p-0815/**', '--reason', 'audit');
    const held = await order('/data/p-0815/**');
    expect([held.code, held.stderr]).toEqual([
      1,
      expect.stringMatching(/hold trial covers versions that are to be purged: it wins/),
    ]);
  });

  it('I-C30: in a blind vault takes the kit, which opens the names here', async () => {
    const { order } = asking('blind');
    const without = await order('/data/p-0815/**');
    expect([without.code, without.stderr]).toEqual([
      2,
      expect.stringContaining('give its recovery kit with --kit'),
    ]);
    const ordered = await order('/data/p-0815/**', '--kit', kitOf('blind'));
    expect([ordered.stderr, ordered.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
    expect(ordered.lines).toMatchObject([{ event: 'ordered', files: 2, versions: 2 }]);
  });

  it('I-C31: is approved by another operator a day later, with the kit; everything else is there as before', async () => {
    const { tried, ok, list } = asking('blind');
    const kit = ['--kit', kitOf('blind')];
    const [{ purge }] = (await list()) as [{ purge: string }];
    const approve = (by: string) =>
      tried('purge', 'approve', purge, '--by', keyOf('blind', by), ...kit, '--json');
    const same = await approve('maria');
    expect([same.code, same.stderr]).toEqual([1, expect.stringContaining('another operator')]);
    const early = await approve('ines');
    expect([early.code, early.stderr]).toEqual([1, expect.stringContaining('approved from')]);
    await served.stop();
    served.aheadMs = 25 * 3_600_000;
    await served.serve();

    const done = await approve('ines');
    expect([done.stderr, done.code]).toEqual([expect.not.stringMatching(/^aliquot:/m), 0]);
    expect(done.stderr).toContain('goes: /data/p-0815/a.raw');
    expect(done.lines).toMatchObject([{ event: 'approved', purge, commits: 1, versions: 2 }]);
    expect(await list()).toMatchObject([
      {
        ...{ state: 'approved', ordered: { by: 'maria' }, approved: { by: 'ines' } },
        ...{ content: 'waits', waitsFor: [] },
      },
    ]);
    const ls = await ok('ls', '--agent', 'hplc-1', ...kit, '--json');
    const { lines: listed } = ls;
    expect(ls.stderr).toMatch(
      /2 of its files were purged on .*, ordered by maria, approved by ines: request 2026-11/,
    );
    expect(listed.map(({ path }) => path)).toEqual(['/data/other/c.raw']);
    await ok('check', ...kit);
    const to = at('restored');
    await ok('restore', '--agent', 'hplc-1', '--to', to, ...kit);
    expect(await readFile(join(to, 'data/other/c.raw'), 'utf8')).toBe('result');
    const again = await approve('ines');
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('was approved on')]);
    // Its content is worth a sweep at once; the PC has to answer first.
    const gc = await tried('gc', 'run', '--json');
    expect([gc.code, gc.stderr]).toEqual([3, expect.anything()]);
    expect(await list()).toMatchObject([{ content: 'waits', waitsFor: ['hplc-1'] }]);
    const status = await tried('status');
    expect(status.stdout).toMatch(/^purges +content of 1 waits for hplc-1: aliquot purge list$/m);
    await ok('agent', 'lost', 'hplc-1', '--reason', 'a test');
    await ok('gc', 'run', '--json');
    expect(await list()).toMatchObject([
      { content: 'swept', swept: expect.stringMatching(/^20\d\d-/), waitsFor: [] },
    ]);
    expect((await ok('purge', 'list')).stdout).toMatch(/content swept 20\d\d-/);
    expect((await tried('status', '--json')).lines).toMatchObject([
      { purges: { ordered: 0, content: 0, waitsFor: [] } },
    ]);
    const explained = ['explain', '--agent', 'hplc-1', '--path', '/data/p-0815/a.raw', ...kit];
    expect((await ok(...explained)).stdout).toContain('purged');
    const fsck = await aliquot(['fsck', '--data', at('data'), '--json']);
    expect([fsck.stdout, fsck.code]).toEqual([expect.stringContaining('"faults":0'), 0]);
  });
});
