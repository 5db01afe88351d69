import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SessionTestAgent, type TestFile } from '../../testing/agent.ts';
import { aliquot, type CliResult, serving } from '../../testing/cli.ts';
import { weaken } from '../../testing/kits.ts';
import { socketWire } from '../../testing/wire.ts';
import { AGENT_PATH } from '../ingest/upgrade.ts';

const PASSPHRASE = 'correct horse battery staple';
const ROOT = '/data/run.D';
const MINUTE = 60_000;
const utf8 = (words: string) => new Uint8Array(Buffer.from(words));

let dir: string;
let url: string;
let token: string;
let stop: () => Promise<CliResult>;
let round = 0;
/** When what the PCs say was captured. */
const startMs = Date.now() - 10 * MINUTE;
const kitOf = (vault: string) => join(dir, `${vault}.kit`);

/** One vault of the collector, as an operator asks for it. */
function vaultOf(name: 'lab' | 'blind') {
  const tried = (...args: string[]) => aliquot([...args, '--vault', name], { url, token });
  const tryWithKit = (...args: string[]) =>
    aliquot([...args, '--kit', kitOf(name)], { url, token });
  /** When its result got its versions, as the collector has it. */
  const times = async () =>
    (await tryWithKit('versions', '--agent', `pc-${name}`, '--path', ROOT, '--json')).lines.map(
      ({ time, version }) => ({ time: String(time), version: String(version) }),
    );
  return { tried, tryWithKit, times };
}

const before = (time: string) => new Date(Date.parse(time) - 1).toISOString();

async function pcOf(vault: string, name: string): Promise<SessionTestAgent> {
  const bundle = join(dir, `${name}.bundle`);
  const args = ['enroll', name, '--kit', kitOf(vault), '--out', bundle];
  expect((await aliquot(args, { url, token })).code).toBe(0);
  const pc = new SessionTestAgent(openBundle(await readFile(bundle, 'utf8'), Date.now()));
  await pc.enrol(pc.bundle.url);
  await session(pc);
  return pc;
}

async function session(pc: SessionTestAgent): Promise<void> {
  await pc.open(await socketWire(new WebSocket(url.replace('http', 'ws') + AGENT_PATH)));
}

/** Members of a result, captured so many minutes after the start. */
function members(
  files: Readonly<Record<string, string | undefined>>,
  minute: number,
  root = ROOT,
): TestFile[] {
  const shared = { capturedAtMs: startMs + minute * MINUTE, result: root };
  return Object.entries(files).map(([name, words]) => {
    const path = name === '' ? root : `${root}/${name}`;
    return words === undefined
      ? { path, isFolder: true, ...shared }
      : { path, bytes: utf8(words), ...shared };
  });
}

const first = members({ '': undefined, 'a.txt': 'a', sub: undefined, 'sub/b.bin': 'bb' }, 0);
const third = members({ 'c.txt': 'came last' }, 4);
const at = (minute: number) => ({ capturedAtMs: startMs + minute * MINUTE });

/** A result that was open, then closed, then changed in one file and closed again. */
async function backUpRun(pc: SessionTestAgent): Promise<void> {
  const open = pc.resultOf(ROOT, first, { progress: 'open', ...at(1) });
  await pc.backUp([...first, { path: '/data/plain.csv', bytes: utf8('plain') }], true, [open]);
  const all = [...first, ...third];
  await pc.backUp(third, true, [pc.resultOf(ROOT, all, { grade: 'proven', ...at(5) })]);
  const changed = members({ 'a.txt': 'a again' }, 6);
  await pc.backUp(changed);
  const last = [...changed, ...all.filter(({ path }) => path !== `${ROOT}/a.txt`)];
  await pc.backUp([], true, [pc.resultOf(ROOT, last, at(7))]);
}

async function target(): Promise<string> {
  round += 1;
  return join(dir, `to-${round}`);
}

const contentOf = (to: string, name: string) => readFile(join(to, ROOT, name), 'utf8');
/** Nothing under a final name, and nothing left behind. */
const nothingIn = async (to: string) => {
  const names = await readdir(to, { recursive: true }).catch(() => []);
  expect(names).toEqual([]);
};

beforeAll(async () => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', PASSPHRASE);
  dir = await mkdtemp(join(tmpdir(), 'aliquot-results-'));
  expect((await aliquot(['init', '--data', join(dir, 'data'), '--name', 'test'])).code).toBe(0);
  token = (await readFile(join(dir, 'data', 'admin.token'), 'utf8')).trim();
  ({ url, stop } = await serving(['--data', join(dir, 'data'), '--listen', '127.0.0.1:0']));
  for (const vault of ['lab', 'blind'] as const) {
    const flags = vault === 'blind' ? ['--blind'] : [];
    const create = ['kit', 'create', '--out', kitOf(vault), '--vault', vault, ...flags];
    expect((await aliquot(create, { url, token })).code).toBe(0);
    await weaken(kitOf(vault), PASSPHRASE);
    expect((await vaultOf(vault).tryWithKit('vault', 'add')).code).toBe(0);
    await backUpRun(await pcOf(vault, `pc-${vault}`));
  }
});

afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

const sources = [
  ['the collector', 'lab', false],
  ['the kit', 'lab', true],
  ['the kit of a blind vault', 'blind', true],
] as const;

describe.each(sources)('a folder result whose names are opened by %s', (_, vault, withKit) => {
  const { tried, tryWithKit, times } = vaultOf(vault);
  const asked = (...args: string[]) =>
    withKit ? tryWithKit(...args, '--json') : tried(...args, '--json');
  const agent = ['--agent', `pc-${vault}`];

  it('is one line of ls --results, as it stood at each time', async () => {
    const [opened, closed, last] = await times();
    const now = await asked('ls', ...agent, '--results');
    expect(now.code).toBe(0);
    expect(now.lines).toEqual([
      expect.objectContaining({
        ...{ agent: `pc-${vault}`, path: ROOT, kind: 'result', state: 'closed', grade: 'assumed' },
        ...{ members: 5, size: 18, time: last?.time, profile: 'folder' },
      }),
    ]);
    const then = await asked('ls', ...agent, '--results', '--at', before(closed?.time ?? ''));
    expect(then.lines).toMatchObject([{ state: 'open', members: 4, size: 3 }]);
    const none = await asked('ls', ...agent, '--results', '--at', before(opened?.time ?? ''));
    expect([none.code, none.lines]).toEqual([0, []]);
    expect((await asked('ls', '--results', '--path', '/data')).lines).toHaveLength(1);
    const typo = await asked('ls', ...agent, '--results', '--path', '/data/rum.D');
    expect(typo).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean') });
  });

  it('is in no list of files but by its members', async () => {
    const { lines } = await asked('ls', ...agent, '--folders');
    expect(lines.map(({ kind }) => kind).toSorted()).toEqual([
      ...['directory', 'directory', 'file', 'file', 'file', 'file'],
    ]);
    const both = await asked('ls', '--results', '--folders');
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('not both') });
  });

  it('has its versions, open ones too', async () => {
    const { lines } = await asked('versions', ...agent, '--path', ROOT);
    expect(lines.map(({ state, grade, members }) => [state, grade, members])).toEqual([
      ['open', 'assumed', 4],
      ['closed', 'proven', 5],
      ['closed', 'assumed', 5],
    ]);
    expect((await asked('versions', ...agent, '--path', `${ROOT}/`)).lines).toHaveLength(3);
    const file = await asked('versions', ...agent, '--path', `${ROOT}/a.txt`);
    expect(file.lines.map(({ size }) => size)).toEqual([1, 7]);
  });
});

describe.each(['lab', 'blind'] as const)('restore --result (vault %s)', (vault) => {
  const { tryWithKit, times } = vaultOf(vault);
  const restore = async (...args: string[]) => {
    const to = await target();
    const agent = ['--agent', `pc-${vault}`];
    // As `ls --results` prints it.
    const root = `${ROOT}/`;
    const done = await tryWithKit('restore', ...agent, '--result', root, '--to', to, ...args);
    return { to, done };
  };

  it('gives the newest version whole: its own members, folders and times, and nothing beside', async () => {
    const { to, done } = await restore();
    expect([done.code, done.stderr]).toEqual([
      0,
      expect.stringContaining(`${ROOT} is whole: 5 members`),
    ]);
    expect((await readdir(to, { recursive: true })).toSorted()).toEqual(
      ['', '/run.D', '/run.D/a.txt', '/run.D/c.txt', '/run.D/sub', '/run.D/sub/b.bin'].map(
        (path) => `data${path}`,
      ),
    );
    expect(await contentOf(to, 'a.txt')).toBe('a again');
    expect((await stat(join(to, ROOT))).mtimeMs).toBe(1_700_000_000_123.4568);
    expect((await stat(join(to, ROOT))).mode & 0o777).toBe(0o755);
  });

  it('gives an earlier version by time and by id, and says how it was proved', async () => {
    const [, closed, last] = await times();
    const id = closed?.version ?? '';
    for (const which of [
      ['--at', before(last?.time ?? '')],
      ['--version', id],
    ]) {
      const { to, done } = await restore(...which, '--json');
      expect(done.code).toBe(0);
      expect(done.lines).toEqual([
        expect.objectContaining({
          ...{ event: 'summary', files: 3, directories: 2, failed: 0, result: ROOT, version: id },
          grade: 'proven',
        }),
      ]);
      expect(await contentOf(to, 'a.txt')).toBe('a');
      expect(await contentOf(to, 'c.txt')).toBe('came last');
    }
  });

  it('refuses an open version, with the way out', async () => {
    const { to, done } = await restore('--at', (await times())[0]?.time ?? '');
    expect(done.code).toBe(1);
    expect(done.stderr).toMatch(/run\.D was open on .*--version; --path .*COMMAND_RESULT_OPEN/s);
    await nothingIn(to);
  });

  it('refuses what is no result, a time before it, and options that cannot go with it', async () => {
    const [opened] = await times();
    const { to, done } = await restore('--at', before(opened?.time ?? ''));
    expect([done.code, done.stderr]).toEqual([1, expect.stringContaining('COMMAND_NO_SUCH_FILE')]);
    await nothingIn(to);
    for (const more of [['--path', '/data'], ['--overwrite']])
      expect((await restore(...more)).done.code).toBe(2);
  });

  it('takes the place of nothing that is there', async () => {
    const { to } = await restore();
    const agent = ['--agent', `pc-${vault}`];
    const again = await tryWithKit('restore', ...agent, '--result', ROOT, '--to', to);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('RESTORE_EXISTS')]);
    expect(await readdir(to)).toEqual(['data']);
  });
});

/**
 * A collector that answers one question with the answer to another: each path that is asked for
 * becomes what `instead` makes of it.
 */
async function lying(instead: (path: string) => string): Promise<string> {
  const server = createServer((asked, answer) => {
    const { method, headers } = asked;
    const told = request(url + instead(asked.url ?? ''), { method, headers }, (from) => {
      answer.writeHead(from.statusCode ?? 500, from.headers);
      from.pipe(answer);
    });
    asked.pipe(told);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a result that is not whole', () => {
  const lab = { kit: () => ['--kit', kitOf('lab')] };
  const restored = async (name: string, from = url, ...more: string[]) => {
    const to = await target();
    const which = ['--agent', name, '--result', ROOT, '--to', to, ...more];
    return { to, done: await aliquot(['restore', ...lab.kit(), ...which], { url: from, token }) };
  };
  const notWhole = [1, expect.stringContaining('COMMAND_RESULT_NOT_WHOLE')];
  const idOf = (pc: SessionTestAgent, root = ROOT) =>
    Buffer.from(resultIdFor(pc.bundle.pathKey, utf8(root))).toString('hex');

  it('P2: with a damaged member leaves nothing under its name, and names the member', async () => {
    const pc = await pcOf('lab', 'pc-damaged');
    const large = {
      path: `${ROOT}/large.bin`,
      bytes: utf8('x'.repeat(99)),
      result: ROOT,
      ...at(0),
    };
    const all = [...first, large];
    await pc.backUp(all, true, [pc.resultOf(ROOT, all, at(1))]);
    const sealed = pc.commitOf([large]).items[0]?.sealed ?? new Uint8Array(0);
    const packs = join(dir, 'data');
    for (const name of await readdir(packs, { recursive: true })) {
      const file = join(packs, name);
      const bytes = (await stat(file)).isFile() ? await readFile(file) : Buffer.alloc(0);
      const place = bytes.indexOf(sealed);
      if (place < 0) continue;
      bytes[place + 20] = (bytes[place + 20] ?? 0) ^ 1;
      await writeFile(file, bytes);
    }
    const { to, done } = await restored('pc-damaged');
    expect([done.code, done.stderr]).toEqual(notWhole);
    expect(done.stderr).toMatch(/large\.bin.*RESTORE_/);
    expect(done.stderr).toContain('--path');
    await nothingIn(to);
    const rest = ['--agent', 'pc-damaged', '--path', ROOT, '--to', to];
    expect((await aliquot(['restore', ...lab.kit(), ...rest], { url, token })).code).toBe(3);
    expect(await contentOf(to, 'sub/b.bin')).toBe('bb');
  });

  it('P5: is refused where its row has another root than its members of earlier commits', async () => {
    const pc = await pcOf('lab', 'pc-wrong-root');
    await pc.backUp(first);
    const wrong = { membersRoot: new Uint8Array(32).fill(7), ...at(1) };
    await pc.backUp([], true, [pc.resultOf(ROOT, first, wrong)]);
    const { to, done } = await restored('pc-wrong-root');
    expect([done.code, done.stderr]).toEqual(notWhole);
    await nothingIn(to);
  });

  it('P6: of which members came after its row is listed as open until the next row', async () => {
    const pc = await pcOf('lab', 'pc-later');
    await pc.backUp(first, true, [pc.resultOf(ROOT, first, at(1))]);
    const states = async () => {
      const agent = ['--agent', 'pc-later', '--json', '--vault', 'lab'];
      const { lines } = await aliquot(['ls', '--results', ...agent], { url, token });
      return lines.map(({ state, members }) => [state, members]);
    };
    expect(await states()).toEqual([['closed', 4]]);
    await pc.backUp(third);
    expect(await states()).toEqual([['open', 4]]);
    await pc.backUp([
      { path: `${ROOT}/a.txt`, result: ROOT, ...at(4) },
      { path: `${ROOT}/c.txt`, result: ROOT, ...at(4) },
    ]);
    expect(await states()).toEqual([['open', 4]]);
    await pc.backUp([...members({ 'a.txt': 'a' }, 0), ...third]);
    await pc.backUp([], true, [pc.resultOf(ROOT, [...first, ...third], at(5))]);
    expect(await states()).toEqual([['closed', 5]]);
  });

  it('that was deleted is listed no more, and has a version that says so', async () => {
    const pc = await pcOf('lab', 'pc-deleted');
    await pc.backUp(first, true, [pc.resultOf(ROOT, first, at(1))]);
    const gone = first.map(({ path }) => ({ path, result: ROOT, ...at(2) }));
    await pc.backUp(gone, true, [pc.resultOf(ROOT, [], at(3))]);
    const agent = ['--agent', 'pc-deleted'];
    const asked = (...args: string[]) => aliquot([...args, ...agent], { url, token });
    const list = await asked('ls', '--results', '--vault', 'lab');
    expect([list.code, list.stdout]).toEqual([0, '']);
    const versions = await asked('versions', '--path', ROOT, '--vault', 'lab');
    expect(versions.stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/ 4 members {2}closed, assumed/),
      expect.stringMatching(/ deleted /),
    ]);
    const { to, done } = await restored('pc-deleted');
    expect([done.code, done.stderr]).toEqual([1, expect.stringContaining('was deleted')]);
    await nothingIn(to);
    const id = versions.stdout.match(/[0-9a-f]{16}\.\d+/)?.[0] ?? '';
    expect((await restored('pc-deleted', url, '--version', id)).done.code).toBe(0);
  });

  it('is refused with a member outside of it', async () => {
    const pc = await pcOf('lab', 'pc-outside');
    const outside = { path: '/data/run.Dx', bytes: utf8('x'), result: ROOT, ...at(0) };
    await pc.backUp([...first, outside], true, [pc.resultOf(ROOT, [...first, outside], at(1))]);
    const { to, done } = await restored('pc-outside');
    expect([done.code, done.stderr]).toEqual([1, expect.stringMatching(/run\.Dx .*UNVERIFIED/)]);
    await nothingIn(to);
  });

  it('P5: a collector that hides its newest version is found out, and nothing is restored', async () => {
    const pc = await pcOf('lab', 'pc-hidden');
    await backUpRun(pc);
    const list = ['--agent', 'pc-hidden', '--path', ROOT, '--json'];
    const versions = await aliquot(['versions', ...lab.kit(), ...list], { url, token });
    const last = Date.parse(String(versions.lines[2]?.['time']));
    const from = await lying((path) =>
      path.endsWith(`/results/${idOf(pc)}`)
        ? path.replace(/\/results\/.*/, `/results?at=${last - 1}`)
        : path,
    );
    const { to, done } = await restored('pc-hidden', from);
    expect([done.code, done.stderr]).toEqual([
      1,
      expect.stringMatching(/leaves out the versions in commit 4 of agent pc-hidden/),
    ]);
    await nothingIn(to);
  });

  it('P5: a collector that hides members, or gives older ones, has none of it believed', async () => {
    const pc = await pcOf('lab', 'pc-older');
    await backUpRun(pc);
    const list = ['--agent', 'pc-older', '--path', ROOT, '--json'];
    const versions = await aliquot(['versions', ...lab.kit(), ...list], { url, token });
    const opened = Date.parse(String(versions.lines[0]?.['time']));
    const from = await lying((path) =>
      path.replace(/\/members(\?at=\d+)?$/, `/members?at=${opened}`),
    );
    const { to, done } = await restored('pc-older', from);
    expect([done.code, done.stderr]).toEqual(notWhole);
    expect(done.stderr).toContain(`${ROOT}/c.txt is not there any more`);
    expect(done.stderr).toContain('1 of its 5 members is not there any more');
    await nothingIn(to);
  });

  it('P5: neither another result, nor a file, nor a result of another PC passes for it', async () => {
    const pc = await pcOf('lab', 'pc-two');
    const other = members({ 'x.txt': 'x' }, 0, '/data/other.D');
    const rows = [pc.resultOf(ROOT, first, at(1)), pc.resultOf('/data/other.D', other, at(1))];
    await pc.backUp([...first, ...other], true, rows);
    const stranger = await pcOf('lab', 'pc-stranger');
    await backUpRun(stranger);
    const [mine, theirs] = [pc, stranger].map(({ bundle }) =>
      Buffer.from(bundle.enrolment.agentId).toString('hex'),
    );
    const id = idOf(pc);
    for (const instead of [
      (path: string) => path.replace(id, idOf(pc, '/data/other.D')),
      (path: string) => path.replace(`/results/${id}`, '/state'),
      (path: string) =>
        path.replace(`${mine}/results`, `${theirs}/results`).replace(id, idOf(stranger)),
    ]) {
      const from = await lying((path) => (path.endsWith(id) ? instead(path) : path));
      const { to, done } = await restored('pc-two', from);
      expect([done.code, done.stderr]).toEqual([1, expect.stringMatching(/UNVERIFIED|LEFT_OUT/)]);
      await nothingIn(to);
    }
    // A member that is in clear one of the other result.
    const from = await lying((path) =>
      path.includes('/members') ? path.replace(id, idOf(pc, '/data/other.D')) : path,
    );
    const { to, done } = await restored('pc-two', from);
    expect([done.code, done.stderr]).toEqual([1, expect.stringMatching(/x\.txt .*UNVERIFIED/)]);
    await nothingIn(to);
  });

  it('P5: the row of a branch does not pass for that of the trunk', async () => {
    const pc = await pcOf('lab', 'pc-forked');
    await pc.backUp(first, true, [pc.resultOf(ROOT, first, at(1))]);
    const copy = pc.copy();
    const trunk = members({ 'a.txt': 'of the trunk' }, 2);
    const rest = first.filter(({ path }) => path !== `${ROOT}/a.txt`);
    await pc.backUp(trunk, true, [pc.resultOf(ROOT, [...rest, ...trunk], at(3))]);
    await session(copy);
    const branch = members({ 'a.txt': 'of the branch' }, 2);
    const all = [...rest, ...branch];
    await copy.backUp(all, true, [copy.resultOf(ROOT, all, at(3))]);
    const forks = await aliquot(['fork', 'list', '--json', '--vault', 'lab'], { url, token });
    const [{ name, branchId } = {}] = forks.lines;
    const ofBranch = await restored(String(name));
    expect(ofBranch.done.code).toBe(0);
    expect(await contentOf(ofBranch.to, 'a.txt')).toBe('of the branch');
    const from = await lying((path) =>
      path.endsWith(`/results/${idOf(pc)}`)
        ? path.replace('/results/', `~${branchId}/results/`)
        : path,
    );
    const { to, done } = await restored('pc-forked', from);
    expect([done.code, done.stderr]).toEqual([1, expect.stringContaining('LEFT_OUT')]);
    await nothingIn(to);
  });

  it('goes on with what a killed restore left, and follows no link that stands in its place', async () => {
    const pc = await pcOf('lab', 'pc-cut');
    await pc.backUp(first, true, [pc.resultOf(ROOT, first, at(1))]);
    const to = await target();
    const which = ['--agent', 'pc-cut', '--result', ROOT, '--to', to];
    // What is fetched does not come: the answer is cut.
    const from = await lying((path) => (path.endsWith('/items') ? '/nothing' : path));
    const cut = await aliquot(['restore', ...lab.kit(), ...which], { url: from, token });
    expect([cut.code, cut.stderr]).toEqual([1, expect.stringContaining('goes on with it')]);
    const [left] = await readdir(to);
    expect(left).toMatch(/^\.aq-[0-9a-f]{12}\.whole$/);
    const done = await aliquot(['restore', ...lab.kit(), ...which], { url, token });
    expect(done.code).toBe(0);
    expect(await readdir(to)).toEqual(['data']);
    expect(await contentOf(to, 'a.txt')).toBe('a');
    const [planted, elsewhere] = [await target(), join(dir, 'elsewhere')];
    await mkdir(planted);
    await mkdir(elsewhere);
    await symlink(elsewhere, join(planted, left ?? ''));
    const onto = ['--agent', 'pc-cut', '--result', ROOT, '--to', planted];
    const refused = await aliquot(['restore', ...lab.kit(), ...onto], { url, token });
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining('RESTORE_THROUGH_LINK'),
    ]);
    expect(await readdir(elsewhere)).toEqual([]);
  });
});
