import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { World } from './world.ts';

const project = join(import.meta.dirname, '..');
const git = (...args: readonly string[]) =>
  execFileSync('git', args, { cwd: project, encoding: 'utf8' }).trim();

/** The newest release that was tagged; undefined while there is none, or where this is no clone. */
function lastTag(): string | undefined {
  try {
    return git('tag', '--list', 'v*', '--sort=-v:refname')
      .split('\n')
      .find((tag) => tag !== '');
  } catch {
    return undefined;
  }
}

const tag = lastTag();
const why =
  tag === undefined
    ? ' (skipped: no release was tagged yet, so there is no neighbour)'
    : ` and ${tag}`;

/**
 * Collector first, then the PCs, over days: for as long an agent of the release before works with a
 * collector of this one. The other way round happens where a PC was installed again from a newer
 * package.
 */
describe.skipIf(tag === undefined)(`neighbouring releases: this one${why}`, () => {
  let clone: string;
  let world: World;
  beforeAll(async () => {
    clone = join(mkdtempSync(join(tmpdir(), 'aliquot-neighbour-')), 'clone');
    git('worktree', 'add', '--detach', clone, tag ?? '');
    for (const args of [
      ['ci', '--no-audit', '--no-fund'],
      ['run', 'build'],
    ])
      execFileSync('npm', args, { cwd: clone, stdio: 'ignore' });
    world = await World.open();
  }, 900_000);
  afterAll(async () => {
    await world?.close();
    git('worktree', 'remove', '--force', clone);
    rmSync(join(clone, '..'), { recursive: true, force: true });
  });

  const before = (program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) =>
    execFileSync(join(clone, 'bin', program), args, {
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });

  it('an agent of the release before enrols, backs up and restores with this collector', async () => {
    const results = await world.place('results');
    writeFileSync(join(results, 'run.csv'), 'one\n');
    const [bundle, data] = [await world.bundle('older'), join(world.folder, 'older')];
    before('aliquot-agent', ['enroll', bundle, '--data', data]);
    before('aliquot-agent', ['backup', results, '--data', data]);
    const back = join(world.folder, 'back-older');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'older', '--to', back]);
    expect(execFileSync('find', [back, '-name', 'run.csv'], { encoding: 'utf8' })).not.toBe('');
  });

  it('its folder goes on under an agent of this release', async () => {
    const agent = { name: 'older', data: join(world.folder, 'older'), bundle: '' };
    writeFileSync(join(world.folder, 'results', 'run-2.csv'), 'two\n');
    await world.backup(agent, [join(world.folder, 'results')]);
    const back = join(world.folder, 'back-both');
    await world.aliquot(['restore', '--kit', world.kit, '--agent', 'older', '--to', back]);
    const [found = ''] = execFileSync('find', [back, '-name', 'run-2.csv'], {
      encoding: 'utf8',
    }).split('\n');
    expect(readFileSync(found, 'utf8')).toBe('two\n');
  });

  it('the operator’s command of the release before reads this collector', () => {
    const token = ['--token-file', join(world.collectorData, 'admin.token')];
    expect(before('aliquot', ['agents', ...token], world.environment())).toContain('older');
  });
});
