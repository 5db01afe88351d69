import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import type { DiskPort } from '../derived/level-port.ts';
import { nodeDisk } from '../derived/node-level.ts';
import { createDataFolder, openDataFolder } from '../folder/data-folder.ts';
import { ensureDirectory, writeFileDurably } from './durable.ts';
import type { WindowsAccess } from './windows-access.ts';

/**
 * A Windows where each name without a list of its own has that of its folder, and the topmost one
 * lets Users in.
 */
function windows(root: string, owners: Readonly<Record<string, string>> = {}) {
  const closed = new Set<string>();
  const isClosed = (path: string): boolean =>
    closed.has(path) || (path !== root && path !== dirname(path) && isClosed(dirname(path)));
  const access: WindowsAccess = {
    makePrivateFile(path) {
      writeFileSync(path, '', { flag: 'wx' });
      closed.add(path);
    },
    makePrivateFolder(path) {
      mkdirSync(path);
      closed.add(path);
    },
    close: (path) => void closed.add(path),
    strangers(path) {
      if (owners[path] !== undefined)
        return { names: [owners[path]], owned: true, command: `icacls "${path}" /setowner …` };
      return isClosed(path)
        ? undefined
        : {
            names: ['Users (S-1-5-32-545)'],
            owned: false,
            command: `icacls "${path}" /inheritance:r …`,
          };
    },
    nameOnDisk: async (path) => path.split('/').at(-1),
    attributes: () => 0x20,
    reparseTag: () => 0,
    isNetworkDrive: () => false,
    streams: () => [],
    setAttributes: () => undefined,
  };
  const port: DiskPort = { ...nodeDisk, access: async () => access };
  return { port, closed, isClosed };
}

describe('where modes mean nothing', () => {
  let root: string;
  beforeEach(() => {
    root = temporaryFolder();
  });

  it('a data folder is closed when it is made, and all in it by that alone', async () => {
    const { port, closed } = windows(root);
    const dir = join(root, 'Aliquot', 'agent');
    const folder = await createDataFolder(port, dir, 'aliquot-agent');
    await ensureDirectory(port, join(dir, 'identity'));
    await writeFileDurably(port, join(dir, 'identity', 'key'), Buffer.from('k'));
    await folder.release();
    expect([...closed]).toEqual([join(root, 'Aliquot'), dir]);
  });

  it('an empty folder that somebody made before is closed, too', async () => {
    const { port, isClosed } = windows(root);
    mkdirSync(join(root, 'agent'));
    await (await createDataFolder(port, join(root, 'agent'), 'aliquot-agent')).release();
    expect(isClosed(join(root, 'agent'))).toBe(true);
  });

  it('a folder of somebody who could open it again is refused when it is made', async () => {
    const dir = join(root, 'agent');
    mkdirSync(dir);
    const { port } = windows(root, { [dir]: 'S-1-5-21-1-2-3-1002' });
    await expect(createDataFolder(port, dir, 'aliquot-agent')).rejects.toMatchObject({
      code: 'FOLDER_OPEN_TO_OTHERS',
      message: `${dir} belongs to another account, or is open to others (S-1-5-21-1-2-3-1002), and holds keys; close it, then run this again: icacls "${dir}" /setowner …`,
    });
  });

  it('a data folder that was opened to others is refused, with the command that closes it', async () => {
    const { port, closed } = windows(root);
    const dir = join(root, 'agent');
    await (await createDataFolder(port, dir, 'aliquot-agent')).release();
    closed.clear();
    await expect(openDataFolder(port, dir, 'aliquot-agent')).rejects.toMatchObject({
      code: 'FOLDER_OPEN_TO_OTHERS',
      message: `${dir} can be opened by Users (S-1-5-32-545), and holds keys; close it, then run this again: icacls "${dir}" /inheritance:r …`,
    });
    closed.add(dir);
    await (await openDataFolder(port, dir, 'aliquot-agent')).release();
  });

  it('a secret written beside other files is closed from its first moment on, what others may read is not', async () => {
    const { port, closed } = windows(root);
    await writeFileDurably(port, join(root, 'core.kit'), Buffer.from('secret'), {
      mode: 0o600,
      createOnly: true,
    });
    expect([...closed].map((path) => dirname(path))).toEqual([root]);
    closed.clear();
    await writeFileDurably(port, join(root, 'report.txt'), Buffer.from('for all'), { mode: 0o644 });
    expect([...closed]).toEqual([]);
  });
});
