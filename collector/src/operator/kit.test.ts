import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_LINKS, posixOnly } from '@aliquot/shared/testing/platform';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { aliquot } from '../../testing/cli.ts';
import { writeWeakKit } from '../../testing/kits.ts';
import { refuseWeak } from './weak-passphrase.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'aliquot-kit-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const STRONG = 'correct horse battery staple';
const kit = () => join(folder, 'lab.kit');
const create = (passphrase: string | undefined, ...more: string[]) => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', passphrase);
  return aliquot(['kit', 'create', '--out', kit(), ...more]);
};
const verify = (passphrase: string | undefined, ...more: string[]) => {
  vi.stubEnv('ALIQUOT_PASSPHRASE', passphrase);
  return aliquot(['kit', 'verify', '--kit', kit(), ...more]);
};
const file = (content: string | Uint8Array) => {
  const path = join(folder, 'passphrase.txt');
  writeFileSync(path, content);
  return ['--passphrase-file', path];
};

describe('the passphrase of a kit', () => {
  it('is the same from the environment, from a file and with any line end', async () => {
    expect((await create(`${STRONG}\n`)).code).toBe(0);
    expect((await verify(STRONG)).code).toBe(0);
    expect((await verify(undefined, ...file(`${STRONG}\r\n`))).code).toBe(0);
    // the file that was named goes first
    expect((await verify('wrong', ...file(STRONG))).code).toBe(0);
  });

  it('may come through a pipe, and what is no file of a passphrase is named', async () => {
    await writeWeakKit(kit(), 'lab', STRONG);
    const pipe = join(folder, 'pipe');
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [pipe]);
      const verified = verify(undefined, '--passphrase-file', pipe);
      await writeFile(pipe, `${STRONG}\n`);
      expect((await verified).code).toBe(0);
    }
    for (const [given, says] of [
      [() => ['--passphrase-file', folder], 'is a folder; name the file in it'],
      [() => ['--passphrase-file', join(folder, 'none')], 'is not there; check the path'],
      [() => file(Buffer.alloc(5000, 'x')), 'is too large'],
      [() => file(''), 'is empty'],
    ] as const) {
      expect(await verify(undefined, ...given())).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(says),
      });
    }
  });

  it('that nobody could type again makes no kit', async () => {
    for (const bad of [
      '   ',
      `${STRONG} `,
      'caf\ufffd horse battery staple',
      'correct\thorse battery staple',
    ]) {
      expect(await create(bad)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('ALIQUOT_PASSPHRASE'),
      });
    }
    const utf16 = Buffer.from(`\ufeff${STRONG}`, 'utf16le');
    expect(await create(undefined, ...file(utf16))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('UTF-16'),
    });
    expect((await verify(STRONG)).stderr).toContain('is not there');
  });

  it.each([
    'password',
    'Password123!',
    'aaaaaaaaaaaaaaaa',
    'qwertyuiopasdf',
    'horse horse horse horse',
    '0123456789abcdef',
    'aliquot aliquot',
    'short one',
  ])('that is weak makes none: %s', async (weak) => {
    const refused = await create(weak);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--weak-passphrase'),
    });
    expect(refused.stderr).not.toContain(weak);
  });

  it('that is weak is taken where somebody says so', async () => {
    expect((await create('password', '--weak-passphrase')).code).toBe(0);
    expect((await verify('password')).code).toBe(0);
  });

  it.each([
    STRONG,
    'field correct horse 42',
    'a passphrase for the README',
    'schön gelbe kanne tafel',
    'f3a9c2d17b60e85411aa90cd37fe2b64',
  ])('that is strong is taken: %s', async (strong) => {
    await expect(refuseWeak(strong, 'lab')).resolves.toBeUndefined();
  });

  it('made of the vault’s own name is weak', async () => {
    await expect(
      refuseWeak('zyklotron-unterwellenborn', 'unterwellenborn zyklotron-'),
    ).rejects.toMatchObject({ code: 'USAGE_INVALID' });
    await expect(refuseWeak('zyklotron-unterwellenborn', 'lab')).resolves.toBeUndefined();
  });
});

describe('a kit', () => {
  it.runIf(posixOnly(NO_LINKS))(
    'is not written into a work tree of git, nor through a link into one',
    async () => {
      const tree = join(folder, 'clone');
      mkdirSync(join(tree, 'sub'), { recursive: true });
      symlinkSync(join(tree, 'sub'), join(folder, 'link'));
      // as in a submodule or a second work tree
      writeFileSync(join(tree, '.git'), 'gitdir: elsewhere\n');
      vi.stubEnv('ALIQUOT_PASSPHRASE', STRONG);
      for (const place of ['clone/lab.kit', 'clone/sub/lab.kit', 'link/lab.kit']) {
        const refused = await aliquot(['kit', 'create', '--out', join(folder, place)]);
        expect(refused).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('work tree of git'),
        });
      }
      expect((await aliquot(['kit', 'create', '--out', join(folder, 'lab.kit')])).code).toBe(0);
    },
  );
});
