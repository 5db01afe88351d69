import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKit } from '@aliquot/shared/keys/kit';
import { NO_LINKS, posixOnly, privateMode } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { aliquot } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';

const OLD = 'spectral vineyard quorum 17';
const NEW = 'lantern gravel sonata 48';
let folder: string;
let kit: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-kit-'));
  kit = join(folder, 'lab.kit');
  vi.stubEnv('ALIQUOT_PASSPHRASE', OLD);
  await writeWeakKit(kit, 'lab', OLD);
  writeFileSync(join(folder, 'new'), `${NEW}\n`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const change = (...more: string[]) =>
  aliquot([
    'kit',
    'passphrase',
    '--kit',
    kit,
    '--new-passphrase-file',
    join(folder, 'new'),
    ...more,
  ]);
const opens = (passphrase: string) =>
  openKit(readFileSync(kit, 'utf8'), passphrase).then(
    ({ descriptor }) => Buffer.from(descriptor.vaultId).toString('hex'),
    (error: { code: string }) => error.code,
  );

describe('kit passphrase', () => {
  it('leaves the same keys under the new passphrase, and only under that', async () => {
    const before = await opens(OLD);
    expect(await change()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Other copies'),
    });
    expect(await opens(NEW)).toBe(before);
    expect(await opens(OLD)).toBe('KIT_WRONG_PASSPHRASE');
    expect(statSync(kit).mode & 0o777).toBe(privateMode);
  });

  it.runIf(posixOnly(NO_LINKS))(
    'changes the kit that a link leads to, and leaves the link',
    async () => {
      const link = join(folder, 'link.kit');
      symlinkSync(kit, link);
      expect(
        (
          await aliquot([
            'kit',
            'passphrase',
            '--kit',
            link,
            '--new-passphrase-file',
            join(folder, 'new'),
          ])
        ).code,
      ).toBe(0);
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(await opens(NEW)).toMatch(/^[0-9a-f]{32}$/);
    },
  );

  it.each([
    ['a weak new passphrase', 'password1', 2, /--weak-passphrase/],
    ['an empty one', '', 2, /new passphrase/],
  ])('%s is refused, and the kit stays as it was', async (_, text, code, says) => {
    const before = readFileSync(kit, 'utf8');
    writeFileSync(join(folder, 'new'), text);
    const refused = await change();
    expect(refused).toMatchObject({ code, stderr: expect.stringMatching(says) });
    expect(readFileSync(kit, 'utf8')).toBe(before);
  });

  it('needs the old passphrase', async () => {
    vi.stubEnv('ALIQUOT_PASSPHRASE', 'spectral vineyard quorum 18');
    const before = readFileSync(kit, 'utf8');
    expect(await change()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('KIT_WRONG_PASSPHRASE'),
    });
    expect(readFileSync(kit, 'utf8')).toBe(before);
  });

  it('does not take the old passphrase of the environment for the new one', async () => {
    const before = readFileSync(kit, 'utf8');
    const asked = await aliquot(['kit', 'passphrase', '--kit', kit]);
    expect(asked).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('run this on a terminal'),
    });
    expect(readFileSync(kit, 'utf8')).toBe(before);
  });
});
