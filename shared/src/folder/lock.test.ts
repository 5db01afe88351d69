import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import type { LevelPort } from '../derived/level-port.ts';
import { nodeDisk, patientLevel } from '../derived/node-level.ts';
import { lockDirectory } from './lock.ts';

const options = { createIfMissing: true, cacheSize: 0, writeBufferSize: 64 * 1024 };

describe('LevelDB', () => {
  const failing = (times: number, code: string, says: string) => {
    let left = times;
    let waits = 0;
    const level: LevelPort = {
      ...nodeDisk.level,
      open: (folder, options) => {
        left -= 1;
        if (left >= 0)
          return Promise.reject(
            Object.assign(
              new Error('not open', { cause: Object.assign(new Error(says), { code }) }),
              { code: 'LEVEL_DATABASE_NOT_OPEN' },
            ),
          );
        return nodeDisk.level.open(folder, options);
      },
    };
    const wait = async (): Promise<void> => {
      waits += 1;
    };
    return { port: { ...nodeDisk, level: patientLevel(level, wait) }, waits: () => waits };
  };

  it('is opened when something lets go of one of its files', async () => {
    const { port, waits } = failing(
      3,
      'LEVEL_IO_ERROR',
      'IO error: CURRENT: Der Prozess kann nicht auf die Datei zugreifen',
    );
    await (await port.level.open(join(temporaryFolder(), 'db'), options)).close();
    expect(waits()).toBe(3);
  });

  it('is claimed when what held its lock was no process of ours', async () => {
    const { port, waits } = failing(3, 'LEVEL_LOCKED', 'IO error: lock LOCK');
    await (await lockDirectory(port, temporaryFolder(), 'the folder')).release();
    expect(waits()).toBe(3);
  });

  it('is not waited for while a living process has it, which is named', async () => {
    const dir = temporaryFolder();
    const lock = await lockDirectory(nodeDisk, dir, 'the folder');
    const level = patientLevel(nodeDisk.level, async () => expect.fail('it waits'));
    const patient = { ...nodeDisk, level };
    await expect(lockDirectory(patient, dir, 'the folder')).rejects.toMatchObject({
      code: 'FOLDER_IN_USE',
      message: expect.stringContaining(`pid ${process.pid}`),
    });
    await lock.release();
  });
});
