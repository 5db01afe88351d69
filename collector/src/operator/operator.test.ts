import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openOperator } from '@aliquot/shared/keys/operator';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { aliquot } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-operator-'));
  await writeWeakKit(join(folder, 'lab.kit'), 'lab', STRONG);
  vi.stubEnv('ALIQUOT_PASSPHRASE', STRONG);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const STRONG = 'correct horse battery staple';
const keyFile = () => join(folder, 'maria.key');
const add = (...more: string[]) =>
  aliquot([
    'operator',
    'add',
    'maria',
    '--kit',
    join(folder, 'lab.kit'),
    '--out',
    keyFile(),
    '--json',
    ...more,
  ]);

describe('operator add', () => {
  it('writes a key file for a year and every purpose but that by which things are thrown away, under the passphrase at hand', async () => {
    const { code, stdout } = await add();
    expect(code).toBe(0);
    const said = JSON.parse(stdout);
    expect(said).toMatchObject({
      event: 'operator',
      operator: 'maria',
      vault: 'lab',
      purposes: ['settings', 'agents', 'diagnose'],
    });
    const open = await openOperator(
      readFileSync(keyFile(), 'utf8'),
      STRONG,
      'agents',
      FIXTURE_TIME_MS,
    );
    expect(open.certificate.expiresAtMs - open.certificate.issuedAtMs).toBe(365 * 86_400_000);
    expect(new Date(said.expires).getTime()).toBe(open.certificate.expiresAtMs);
    if (process.platform !== 'win32') expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
  });

  it('takes a passphrase of its own, and only the purposes that were named', async () => {
    const file = join(folder, 'hers.txt');
    writeFileSync(file, 'seven quiet lamps under water\n');
    expect(
      (
        await add(
          '--purposes',
          'diagnose,retention,settings',
          '--expires',
          '30d',
          '--new-passphrase-file',
          file,
        )
      ).code,
    ).toBe(0);
    const open = await openOperator(
      readFileSync(keyFile(), 'utf8'),
      'seven quiet lamps under water',
      'settings',
      FIXTURE_TIME_MS,
    );
    expect(open.certificate.purposes).toEqual(['settings', 'diagnose', 'retention']);
  });

  it('is shown by its owner, and refused by name when it is no key or does not open', async () => {
    await add('--purposes', 'agents');
    const shown = await aliquot(['operator', 'show', '--by', keyFile(), '--json']);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      event: 'operator',
      operator: 'maria',
      vault: 'lab',
      purposes: ['agents'],
    });
    const kit = await aliquot(['operator', 'show', '--by', join(folder, 'lab.kit')]);
    expect(kit).toMatchObject({ code: 1, stderr: expect.stringContaining('OPERATOR_NOT_A_KEY') });
    vi.stubEnv('ALIQUOT_PASSPHRASE', 'another one altogether');
    const wrong = await aliquot(['operator', 'show', '--by', keyFile()]);
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('OPERATOR_WRONG_PASSPHRASE'),
    });
    expect(await aliquot(['operator', 'show'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--by KEYFILE'),
    });
  });

  it('refuses an unknown purpose, a term that is none, a weak passphrase, a file that is there, and writes nothing', async () => {
    for (const [more, says] of [
      [['--purposes', 'setings'], 'did you mean'],
      [['--expires', '9y'], 'above 5 years'],
      [['--expires', '0d'], 'no time at all'],
    ] as const)
      expect(await add(...more)).toMatchObject({ code: 2, stderr: expect.stringContaining(says) });
    const weak = join(folder, 'weak.txt');
    writeFileSync(weak, 'password1234');
    expect(await add('--new-passphrase-file', weak)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('easy to guess'),
    });
    expect(existsSync(keyFile())).toBe(false);
    writeFileSync(keyFile(), 'mine');
    expect(await add()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('COMMAND_EXISTS'),
    });
    expect(readFileSync(keyFile(), 'utf8')).toBe('mine');
  });
});
