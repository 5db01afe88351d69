import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeDisk } from '../derived/node-level.ts';
import { createDataFolder, openDataFolder } from '../folder/data-folder.ts';
import { writeFileDurably } from './durable.ts';
import { windowsAccess } from './windows-access.ts';

/** What a person does who wants to look into a folder. */
async function openToEverybody(path: string): Promise<void> {
  const { default: koffi } = await import('@koromix/koffi-win32-x64');
  const library = koffi.load('advapi32.dll');
  const fromWords = library.func(
    'int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(str16 words, uint32_t revision, _Out_ void **made, void *size)',
  );
  const list: unknown[] = [null];
  fromWords('D:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FR;;;WD)', 1, list, null);
  library.func('int __stdcall SetFileSecurityW(str16 path, uint32_t what, void *from)')(
    path,
    4,
    list[0],
  );
}

describe.runIf(process.platform === 'win32')('on Windows itself', () => {
  let root: string;
  beforeEach(async () => {
    root = temporaryFolder();
    // What ProgramData is: a folder that others may read.
    mkdirSync(join(root, 'shared'));
    await openToEverybody(join(root, 'shared'));
  });

  it('a folder of everybody is known as one, with names and the command that closes it', async () => {
    const access = await windowsAccess();
    const strangers = access.strangers(join(root, 'shared'));
    expect(strangers?.names.join()).toMatch(/^[A-Z][A-Za-z ]+ \(S-1-[0-9-]+\)/);
    expect(strangers?.command).toMatch(
      /^icacls "[A-Z]:.*shared" \/inheritance:r .*\*S-1-5-18:\(OI\)\(CI\)F/,
    );
  });

  it('folders and files are made closed, and an open folder is closed', async () => {
    const access = await windowsAccess();
    access.makePrivateFolder(join(root, 'shared', 'keys'));
    access.makePrivateFile(join(root, 'shared', 'core.kit'));
    expect(access.strangers(join(root, 'shared', 'keys'))).toBeUndefined();
    expect(access.strangers(join(root, 'shared', 'core.kit'))).toBeUndefined();
    access.close(join(root, 'shared'));
    expect(access.strangers(join(root, 'shared'))).toBeUndefined();
    expect(() => access.makePrivateFile(join(root, 'shared', 'core.kit'))).toThrow(/^EEXIST/);
    expect(() => access.makePrivateFolder(join(root, 'shared', 'keys'))).toThrow(/^EEXIST/);
    expect(() => access.makePrivateFolder(join(root, 'nix', 'keys'))).toThrow(/^ENOENT/);
    expect(() => access.strangers(join(root, 'nix'))).toThrow(/^ENOENT/);
  });

  it('a data folder is closed when it is made, and refused when it was opened', async () => {
    const dir = join(root, 'shared', 'agent');
    await (await createDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
    const access = await windowsAccess();
    expect(access.strangers(dir)).toBeUndefined();
    await (await openDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
    await openToEverybody(dir);
    await expect(openDataFolder(nodeDisk, dir, 'aliquot-agent')).rejects.toMatchObject({
      code: 'FOLDER_OPEN_TO_OTHERS',
      message: expect.stringMatching(
        /can be opened by Everyone \(S-1-1-0\), and holds keys; .*icacls .* \/remove:g \*S-1-1-0 /,
      ),
    });
    access.close(dir);
    await (await openDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
  });

  it('a secret is closed, in a path longer than 260 characters, too', async () => {
    const deep = join(root, 'shared', 'd'.repeat(120), 'e'.repeat(120));
    mkdirSync(deep, { recursive: true });
    const kit = join(deep, 'core.kit');
    await writeFileDurably(nodeDisk, kit, Buffer.from('secret'), {
      mode: 0o600,
      createOnly: true,
    });
    expect(existsSync(kit)).toBe(true);
    expect((await windowsAccess()).strangers(kit)).toBeUndefined();
  });

  it('attributes are read and set', async () => {
    const access = await windowsAccess();
    const file = join(root, 'f');
    writeFileSync(file, 'x');
    const [readOnly, hidden] = [0x1, 0x2];
    access.setAttributes(file, access.attributes(file) | readOnly | hidden);
    expect(access.attributes(file) & (readOnly | hidden)).toBe(readOnly | hidden);
    access.setAttributes(file, 0x80);
    expect(access.attributes(file) & (readOnly | hidden)).toBe(0);
    expect(() => access.attributes(join(root, 'nix'))).toThrow(/^ENOENT/);
    expect(access.isNetworkDrive(root.slice(0, 2))).toBe(false);
    expect(access.reparseTag(file)).toBe(0);
    expect(() => access.reparseTag(join(root, 'nix'))).toThrow(/^ENOENT/);
    // Wine has no streams, and says so by an error that means the same.
    expect(access.streams(file)).toEqual([]);
  });
});
