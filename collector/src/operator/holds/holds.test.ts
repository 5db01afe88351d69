import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServedCollector } from '../../../testing/served.ts';

let served: ServedCollector;

/** Asks of one vault of the collector, without its kit. */
function asking(vault: string) {
  const { tried, ok } = served.asking(vault);
  const kit = ['--kit', served.kitOf(vault)];
  const list = async () => (await ok('hold', 'list', '--all', '--json')).lines;
  return { tried, ok, kit, list };
}

beforeAll(async () => {
  served = await ServedCollector.start();
  for (const vault of ['lab', 'blind']) {
    await served.addVault(vault, { blind: vault === 'blind' });
    const bytes = Buffer.from('result');
    await served.send(await served.addPc(vault, 'hplc-1'), [
      { path: '/data/trial-7/a.raw', bytes },
      { path: '/data/trial-8/b.raw', bytes },
    ]);
  }
});

afterAll(() => served.end());

describe('hold', () => {
  it('I-C20: is set by the token alone, listed and shown, and released by a key for retention', async () => {
    const { tried, ok, kit, list } = asking('lab');
    const path = ['--path', '/data/trial-7/**'];
    const span = ['--from', '2026-01-01 UTC', '--to', '2026-03-31 UTC'];
    const words = ['--agent', 'hplc-*', '--class', 'raw', '--class', 'derived'];
    const set = await ok(
      'hold',
      'add',
      'audit',
      '--reason',
      'audit 7',
      ...words,
      ...span,
      '--json',
    );
    expect(set.lines).toMatchObject([
      { event: 'held', hold: 'audit', owner: 'marie', fits: false },
    ]);
    const held = await ok(
      'hold',
      'add',
      'trial-7',
      ...path,
      '--reason',
      'x',
      '--owner',
      'QA',
      '--json',
    );
    expect(held.lines).toMatchObject([{ owner: 'QA', resolved: true, fits: true }]);
    expect(held.stderr).not.toContain('covers nothing');
    expect(await list()).toMatchObject([
      {
        ...{ hold: 'audit', state: 'in-force', reason: 'audit 7', owner: 'marie', byPath: false },
        ...{ agents: ['hplc-*'], classes: ['derived', 'raw'], paths: null },
        ...{ from: '2026-01-01T00:00:00.000Z', to: '2026-03-31T23:59:59.999Z', released: null },
      },
      { hold: 'trial-7', owner: 'QA', byPath: true, paths: ['/data/trial-7/**'], from: null },
    ]);
    expect((await ok('hold', 'show', 'trial-7')).stdout).toContain('/data/trial-7/**');

    const key = served.at('maria.key');
    const add = ['operator', 'add', 'maria', ...kit, '--purposes', 'retention', '--out', key];
    expect((await served.tried(...add)).code).toBe(0);
    const release = ['hold', 'release', 'trial-7', '--reason', 'over'];
    const refused = await tried(...release);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('USAGE_MISSING')]);
    await ok(...release, '--by', key);
    expect((await list())[1]).toMatchObject({
      ...{ hold: 'trial-7', state: 'released' },
      released: { by: 'maria', reason: 'over' },
    });
    const twice = await tried(...release, ...kit);
    expect([twice.code, twice.stderr]).toEqual([
      1,
      expect.stringMatching(/hold trial-7 was released on .* by maria.*\[COMMAND_HOLD\]/),
    ]);
    expect((await ok('hold', 'list')).stdout).not.toContain('trial-7');
  });

  it('I-C20: by path in a blind vault covers its PCs whole until the kit has said which files', async () => {
    const { tried, ok, kit, list } = asking('blind');
    const path = ['--path', '/data/trial-7/**'];
    const set = await ok('hold', 'add', 'trial-7', ...path, '--reason', 'audit');
    expect(set.stdout).toContain('blind: until `aliquot hold resolve trial-7 --kit KIT` it covers');
    expect(await list()).toMatchObject([{ byPath: true, paths: null, resolved: false }]);
    const shown = await served.tried('hold', 'show', 'trial-7', ...kit);
    expect(shown.stdout).toContain('/data/trial-7/**');
    const resolve = ['hold', 'resolve', 'trial-7'];
    const refused = await tried(...resolve);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('USAGE_MISSING')]);
    const resolved = await served.tried(...resolve, ...kit, '--json');
    expect([resolved.stderr, resolved.lines]).toEqual([
      expect.not.stringMatching(/^aliquot:/m),
      [{ event: 'resolved', hold: 'trial-7', files: 1, leaf: expect.any(Number) }],
    ]);
    expect(await list()).toMatchObject([{ paths: null, resolved: true }]);
  });

  it('that nobody can have meant is refused in one line, and of one that may fit later it is said', async () => {
    const { tried, ok, kit } = asking('lab');
    const reason = ['--reason', 'x'];
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['add', 'h', ...reason, '--agent', 'hplc-9'], 1, /no agent hplc-9.*\[COMMAND_AGENT\]/],
      [['add', 'a/b', ...reason], 2, /no name for a hold.*\[USAGE_INVALID\]/],
      [['add', 'h', '--reason', ' '], 2, /--reason must be one line.*\[USAGE_INVALID\]/],
      [['add', 'h', ...reason, '--class', 'RAW'], 2, /is no class.*\[USAGE_INVALID\]/],
      [['add', 'h', ...reason, '--path', '/a['], 2, /is not a path pattern.*\[USAGE_INVALID\]/],
      [['add', 'h', ...reason, '--agent', 'a b*'], 2, /--agent cannot be.*\[USAGE_INVALID\]/],
      [
        ['add', 'h', ...reason, '--from', '2026-02-01', '--to', '2026-01-01'],
        2,
        /--from 2026-02-01 must be a time before --to 2026-01-01.*\[USAGE_INVALID\]/,
      ],
      [['add', 'audit', ...reason], 1, /there is a hold audit in force.*\[REST_BAD_REQUEST\]/],
      [['show', 'aduit'], 1, /no hold aduit; did you mean audit\?.*\[COMMAND_HOLD\]/],
      [['release', 'none', ...reason, ...kit], 1, /no hold none.*\[COMMAND_HOLD\]/],
      [['resolve', 'audit', ...kit], 1, /names no paths.*\[COMMAND_HOLD\]/],
    ];
    for (const [args, code, line] of cases) {
      const result = await tried('hold', ...args);
      expect([args, result.code, result.stderr]).toEqual([args, code, expect.stringMatching(line)]);
      expect(result.stderr.split('\n').filter((text) => text.startsWith('aliquot:'))).toHaveLength(
        1,
      );
    }
    const later = await ok('hold', 'add', 'later', ...reason, '--agent', 'gc-*', '--path', '/none');
    expect(later.stderr).toMatch(/--agent gc-\* fits no PC today; it will hold those that come/);
    expect(later.stderr).toMatch(/hold later covers nothing that is there today/);
    const paths = await ok('hold', 'add', 'paths', ...reason, '--path', '/none/**');
    expect(paths.stderr).toMatch(/hold paths covers nothing that is there today/);
  });
});
