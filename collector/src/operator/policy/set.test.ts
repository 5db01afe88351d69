import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CliResult } from '../../../testing/cli.ts';
import { ServedCollector } from '../../../testing/served.ts';

/** Rules of retention, set beside a collector by who may, and by who may not. */

let served: ServedCollector;
const at = (name: string) => served.at(name);
const tried = (...args: string[]) => served.tried(...args);
const ok = (...args: string[]) => served.ok(...args);

const byKit = () => ['--kit', served.kitOf('lab')];
const by = (name: string) => ['--by', served.keyOf('lab', name)];
const PCS = 'agents:\n  groups:\n    hplc: {names: [hplc-*], workers: 1}\n';
const raw = (within: string) =>
  `retention:\n  rules:\n    - {match: {class: [raw], agent: [hplc-*]}, lock: 1y, keep: {within: ${within}}}\n`;
const FOLDER = "    - {match: {source: ['D:\\Results']}, keep: {within: 30d}}\n";

async function set(text: string, ...more: string[]): Promise<CliResult> {
  await writeFile(at('policy.yaml'), text);
  return tried('policy', 'set', at('policy.yaml'), ...more);
}

const says = ({ code, stderr }: CliResult) => [code, stderr.trimEnd().split('\n').at(-1)];
const revision = async () =>
  (await ok('policy', 'get', ...byKit(), '--json')).lines[0]?.['revision'];

beforeAll(async () => {
  served = await ServedCollector.start({ keepsState: true });
  await served.addVault('lab');
  for (const name of ['hplc-1', 'gc-1'])
    await ok('enroll', name, ...byKit(), '--out', at(`${name}.bundle`));
  for (const [name, purposes] of [
    ['maria', ['settings']],
    ['ines', ['settings', 'retention']],
    ['olaf', ['retention']],
  ] as const)
    await served.addOperator('lab', name, purposes);
});

afterAll(() => served.end());

it('rules are set once somebody has seen what changes, and says so', async () => {
  const asked = await set(raw('90d'), ...byKit());
  expect(asked.code).toBe(2);
  expect(asked.stderr).toContain(
    'raw of hplc-1\n  + lock: none -> 1y\n  - keep: everything -> within 90d, gone forever\n',
  );
  expect(asked.stderr).toMatch(/By these rules, set now:\ngoes now +nothing\nin 30 days +nothing/);
  expect(says(asked)[1]).toMatch(
    /how long versions are kept changes; nothing was set; if that is meant, say --yes/,
  );
  const done = await set(raw('90d'), ...byKit(), '--yes');
  expect([done.code, done.stdout]).toEqual([
    0,
    expect.stringMatching(/Policy 1 is set.*\nLess \(-\) is kept from 20.*\nA longer lock binds/),
  ]);
  expect(await revision()).toBe(1);
  // What keeps as much as before needs no second look.
  expect((await set(raw('90d'), ...byKit())).code).toBe(0);
});

it('P5: a key that is not for retention signs the rules that are in force, and no others', async () => {
  expect((await set(`${PCS}${raw('90d')}`, ...by('maria'), '--yes')).code).toBe(0);
  expect(await revision()).toBe(3);
  const refused =
    /policy\.yaml says something else of retention than the policy that is set, and the key of maria is for settings; nothing was set; sign with --kit.*\[OPERATOR_PURPOSE\]$/;
  for (const text of [raw('30d'), PCS])
    expect(says(await set(text, ...by('maria'), '--yes'))).toEqual([
      1,
      expect.stringMatching(refused),
    ]);
  expect(says(await set(raw('30d'), ...by('olaf'), '--yes'))).toEqual([
    1,
    expect.stringMatching(/the key of olaf is for retention, not for settings.*OPERATOR_PURPOSE/),
  ]);
  expect(await revision()).toBe(3);
  expect((await set(raw('30d'), ...by('ines'), '--yes')).code).toBe(0);
});

it('folders become ids with the kit; a key signs them again as they are, and no new ones', async () => {
  const text = `${raw('30d')}${FOLDER}`;
  expect(says(await set(text, ...by('ines'), '--yes'))).toEqual([
    2,
    expect.stringMatching(/root folders \("source"\), whose ids only the kit can make.*--kit/),
  ]);
  expect((await set(text, ...byKit(), '--yes')).code).toBe(0);
  const before = await revision();
  expect((await set(`${PCS}${text}`, ...by('maria'), '--yes')).code).toBe(0);
  expect(await revision()).toBe(Number(before) + 1);
  expect((await ok('policy', 'get', ...by('maria'))).stderr).not.toContain('root folders');
  await ok('enroll', 'gc-9', ...byKit(), '--out', at('gc-9.bundle'));
  expect((await ok('policy', 'get', ...by('maria'))).stderr).toContain(
    'were made before gc-9 came: everything there stays until the policy is set again',
  );
  expect((await set(text, ...byKit(), '--yes')).code).toBe(0);
  expect((await ok('policy', 'get', ...by('maria'))).stderr).not.toContain('root folders');
});

it('`policy diff` shows the same, and `policy get` which policies still keep what they kept', async () => {
  await writeFile(at('policy.yaml'), raw('90d'));
  const diff = await ok('policy', 'diff', at('policy.yaml'), ...by('maria'), '--json');
  expect(diff.lines.filter(({ event }) => event === 'retention')).toMatchObject([
    { agents: ['hplc-1'], class: 'raw', source: null, changes: [{ what: 'within' }] },
    { agents: ['hplc-1'], class: null, source: 'D:\\Results', changes: [{ now: 'everything' }] },
    { agents: ['gc-1', 'gc-9'], laterAgents: true, class: 'raw', source: 'D:\\Results' },
    { agents: ['gc-1', 'gc-9'], laterAgents: true, class: null, source: 'D:\\Results' },
  ]);
  const { stderr } = await ok('policy', 'get', ...by('maria'));
  expect(stderr).toMatch(/everything still stays, as before the first policy, until 20/);
  expect(stderr).toMatch(/policy 4 still keeps what it kept, until 20.*set it again/);
});
