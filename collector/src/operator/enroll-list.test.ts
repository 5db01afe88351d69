import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { SessionTestAgent } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { weaken } from '../../testing/kits.ts';

const PASSPHRASE = 'correct horse battery staple';

let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
let list: string;
let out: string;
let round = 0;

const tried = (...args: string[]) => aliquot(args, { url, token });
const enroll = (...more: string[]) =>
  tried('enroll', '--list', list, '--out-dir', out, '--kit', join(dir, 'lab.kit'), ...more);
const bundlesIn = async (folder: string) => (await readdir(folder).catch(() => [])).sort();

async function known(): Promise<string[]> {
  const { lines } = await tried('agents', '--json');
  return lines.map((line) => `${String(line['agent'])} ${String(line['state'])}`);
}

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-list-'));
  expect((await aliquot(['init', '--data', join(dir, 'data')])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  await tried('kit', 'create', '--out', join(dir, 'lab.kit'), '--vault', 'lab');
  await weaken(join(dir, 'lab.kit'), PASSPHRASE);
  expect((await tried('vault', 'add', '--kit', join(dir, 'lab.kit'))).code).toBe(0);
});

beforeEach(() => {
  round += 1;
  list = join(dir, `pcs-${round}.txt`);
  out = join(dir, `bundles-${round}`);
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('bundles for a list of PCs', () => {
  it('makes one for each name, a line of JSON each, and every one enrols its own PC', async () => {
    await writeFile(list, '# hall 7\nhplc-1\n\nhplc-2  # by the window\n');
    const made = await enroll('--json', '--expires', '3d', '--no-self-restore');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const bundle = (agent: string) => ({
      event: 'bundle',
      agent,
      bundle: join(out, `${agent}.bundle`),
      selfRestore: false,
    });
    expect(made.lines).toMatchObject([bundle('hplc-1'), bundle('hplc-2')]);
    expect(await bundlesIn(out)).toEqual(['hplc-1.bundle', 'hplc-2.bundle']);
    for (const name of ['hplc-1', 'hplc-2']) {
      const file = join(out, `${name}.bundle`);
      if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
      const opened = openBundle(await readFile(file, 'utf8'), Date.now());
      expect(opened.enrolment).toMatchObject({ name, selfRestore: false });
      expect(opened.enrolment.expiresAtMs - opened.enrolment.issuedAtMs).toBeGreaterThan(
        2.9 * 24 * 3600 * 1000,
      );
      await new SessionTestAgent(opened).enrol(url);
    }
    expect(await known()).toEqual(expect.arrayContaining(['hplc-1 enrolled', 'hplc-2 enrolled']));
  });

  it('says what to do next, in words for 80 columns', async () => {
    await writeFile(list, 'word-1\nword-2\n');
    const { code, stdout } = await enroll();
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /2 bundles written to .*aliquot-agent enroll word-1\.bundle --data DIR/s,
    );
  });

  it('tells everything that is wrong with the list by line, and makes nothing', async () => {
    await writeFile(list, 'new-1\nnew 2\nnew-1\n');
    const before = await known();
    const refused = await enroll();
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /line 2: "new 2" is no agent name.*\n.*line 3: new-1 stands in line 1.*\n.*2 mistakes.*no bundle was made/s,
    );
    expect(await bundlesIn(out)).toEqual([]);
    expect(await known()).toEqual(before);
  });

  it('names what is taken at the collector by line: enrolled, waiting, and revoked with files', async () => {
    await writeFile(list, 'took-1\ntook-2\ntook-3\n');
    expect((await enroll()).code).toBe(0);
    for (const name of ['took-1', 'took-3']) {
      await new SessionTestAgent(
        openBundle(await readFile(join(out, `${name}.bundle`), 'utf8'), Date.now()),
      ).enrol(url);
    }
    expect((await tried('agent', 'revoke', 'took-3')).code).toBe(0);
    const again = join(dir, 'again.txt');
    await writeFile(again, 'took-1\nfree-1\ntook-2\ntook-3\n');
    const where = join(dir, 'again');
    const before = await known();
    const refused = await tried(
      'enroll',
      '--list',
      again,
      '--out-dir',
      where,
      '--kit',
      join(dir, 'lab.kit'),
    );
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/line 1: there is an agent took-1 already.*--replaces took-1/);
    expect(refused.stderr).toMatch(
      /line 3: a bundle for took-2 is already waiting.*agent revoke took-2/,
    );
    expect(refused.stderr).toMatch(
      /line 4: an agent that was revoked had the name took-3.*--replaces took-3/,
    );
    expect(await bundlesIn(where)).toEqual([]);
    expect(await known()).toEqual(before);
  });

  it('never overwrites a bundle, and makes none beside it', async () => {
    await writeFile(list, 'kept-1\nkept-2\n');
    expect((await enroll()).code).toBe(0);
    const before = await readFile(join(out, 'kept-2.bundle'), 'utf8');
    const more = join(dir, 'more.txt');
    await writeFile(more, 'kept-0\nkept-2\n');
    const refused = await tried(
      'enroll',
      '--list',
      more,
      '--out-dir',
      out,
      '--kit',
      join(dir, 'lab.kit'),
    );
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /line 2: .*kept-2\.bundle is there already and is not overwritten/,
      ),
    });
    expect(await bundlesIn(out)).toEqual(['kept-1.bundle', 'kept-2.bundle']);
    expect(await readFile(join(out, 'kept-2.bundle'), 'utf8')).toBe(before);
  });

  it('of two lists at once that share a name one is refused whole, with nothing left lying', async () => {
    const lists = ['a', 'b'].map((one) => ({
      file: join(dir, `race-${one}.txt`),
      out: join(dir, `race-${one}`),
      own: `own-${one}`,
    }));
    for (const { file, own } of lists) await writeFile(file, `${own}\nshared\n`);
    const ended = await Promise.all(
      lists.map(({ file, out: where }) =>
        tried('enroll', '--list', file, '--out-dir', where, '--kit', join(dir, 'lab.kit')),
      ),
    );
    const codes = ended.map(({ code }) => code);
    expect([...codes].sort()).toEqual([0, 1]);
    const winner = lists[codes.indexOf(0)];
    const loser = lists[codes.indexOf(0) === 0 ? 1 : 0];
    expect(await bundlesIn(winner?.out ?? '')).toEqual([`${winner?.own}.bundle`, 'shared.bundle']);
    expect(await bundlesIn(loser?.out ?? '')).toEqual([]);
    const now = await known();
    expect(now).toContain('shared expected');
    expect(now).not.toContain(`${loser?.own} expected`);
  });

  it('says which options go together', async () => {
    await writeFile(list, 'mode-1\n');
    const kit = ['--kit', join(dir, 'lab.kit')];
    const says = async (args: string[], text: RegExp) =>
      expect(await tried('enroll', ...args, ...kit)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(text),
      });
    await says(['--list', list], /--out-dir DIR/);
    await says(['mode-1', '--list', list, '--out-dir', out], /not both/);
    await says(['--list', list, '--out', out], /--out goes with NAME and --group, not with --list/);
    await says(
      ['--list', list, '--out-dir', out, '--replaces', 'x'],
      /--replaces goes with NAME, not with --list/,
    );
    await says(['mode-1', '--out-dir', out], /--out-dir goes with --list, not with NAME/);
    await says(['mode-1', '--uses', '3'], /--uses goes with --group, not with NAME/);
    await says(['--group', 'hall', '--out', out], /--uses COUNT/);
    await says(['--group', 'hall', '--uses', '0', '--out', out], /--uses 0 is no number of PCs/);
    await says(['--group', 'hall', '--uses', '2'], /--out FILE, such as hall\.bundle/);
    await says(
      ['--group', 'hall', '--uses', '2', '--names', 'a b', '--out', out],
      /"a b" is no pattern/,
    );
    await says(['--group', 'h/1', '--uses', '2', '--out', out], /no name for a group/);
    await says(['mode-1'], /--out FILE, such as mode-1\.bundle/);
    await says([], /NAME|name.*--list/);
    await says(
      ['--list', join(dir, 'nowhere'), '--out-dir', out],
      /the list .*nowhere is not there/,
    );
    await says(['--list', dir, '--out-dir', out], /is a folder/);
  });
});
