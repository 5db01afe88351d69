import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemError } from '../../testing/faulty-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { readWholeFile, removeDurably, writeFileDurably } from './durable.ts';
import { type FilePort, nodeFiles, patientFiles } from './file-port.ts';

// What Windows adds is tried in a test of its own.
const { access: _access, ...under } = nodeFiles;

/**
 * Files that something holds until so many milliseconds have passed; `passed` counts them, and
 * nobody really waits.
 */
function held(forMs: number, errno: string) {
  let passed = 0;
  const meet = (operation: string, path: unknown): void => {
    if (passed < forMs) throw systemError(errno, operation, String(path));
  };
  const port: FilePort = {
    ...under,
    open: async (path, mode, permissions) => {
      if (mode !== 'createNew') meet('open', path);
      return under.open(path, mode, permissions);
    },
    rename: async (from, to) => {
      meet('rename', to);
      return under.rename(from, to);
    },
    unlink: async (path) => {
      meet('unlink', path);
      return under.unlink(path);
    },
  };
  const wait = async (ms: number): Promise<void> => {
    passed += ms;
  };
  return { port: patientFiles(port, wait), passed: () => passed };
}

const path = () => join(temporaryFolder(), 'trust.json');

describe.each(['EPERM', 'EACCES', 'EBUSY'])('a file that something holds (%s)', (errno) => {
  it('is written, read and removed when it lets go within two seconds', async () => {
    for (const forMs of [1, 1000, 1950]) {
      const file = path();
      await writeFileDurably(held(forMs, errno).port, file, Buffer.from('new'));
      expect((await readWholeFile(held(forMs, errno).port, file, 10)).toString()).toBe('new');
      await removeDurably(held(forMs, errno).port, file);
      await expect(readWholeFile(nodeFiles, file, 10)).rejects.toMatchObject({
        code: 'FILE_MISSING',
      });
    }
  });

  it('fails after two seconds in a way that passes, and nobody is sent to another account', async () => {
    const file = path();
    const { port, passed } = held(60_000, errno);
    const failure = writeFileDurably(port, file, Buffer.from('new'));
    await expect(failure).rejects.toMatchObject({ code: 'FILE_HELD', retryable: true });
    await expect(failure).rejects.toThrow(
      /^cannot write .*trust\.json: another program holds it, or this account may not have it; it is tried again\./,
    );
    await expect(failure).rejects.not.toThrow(/run as another user/);
    // Two seconds for the rename, and as many for the temporary file, which must not stay.
    expect(passed()).toBe(4000);
  });
});

describe('what is not held by anybody', () => {
  it.each(['ENOENT', 'ENOSPC', 'EIO', 'EEXIST'])('fails at once (%s)', async (errno) => {
    const { port, passed } = held(60_000, errno);
    await expect(port.rename('a', 'b')).rejects.toMatchObject({ code: errno });
    expect(passed()).toBe(0);
  });

  it('is a name in a folder that this account may not write in: told at once, and not as passing', async () => {
    const denied: FilePort = {
      ...under,
      open: async (name) => {
        throw systemError('EPERM', 'open', String(name));
      },
    };
    const failure = writeFileDurably(
      patientFiles(denied, async () => expect.fail('it waits')),
      path(),
      Buffer.from('new'),
    );
    await expect(failure).rejects.toMatchObject({ code: 'FILE_DENIED', retryable: false });
  });
});
