import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles, type Step } from '../../testing/faulty-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { AppendFile } from './append-file.ts';
import { nodeFiles } from './file-port.ts';

const bytes = (text: string) => Buffer.from(text);
const once = (operation: string, fate: Fate) => {
  let done = false;
  return (step: Step): Fate => {
    if (done || step.operation !== operation) return undefined;
    done = true;
    return fate;
  };
};

describe('an append file', () => {
  it('answers with the offset of each append, in the order of the calls', async () => {
    const path = join(temporaryFolder(), 'log');
    const file = await AppendFile.open(nodeFiles, path);
    expect(
      await Promise.all([
        file.append(bytes('one')),
        file.append(bytes('tw'), bytes('o')),
        file.append(bytes('three')),
      ]),
    ).toEqual([0, 3, 6]);
    expect(file.size).toBe(11);
    expect((await file.read(3, 3)).toString()).toBe('two');
    expect((await file.read(9, 100)).toString()).toBe('ee');
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('onetwothree');
  });

  it('goes on at the end of what is there', async () => {
    const path = join(temporaryFolder(), 'log');
    writeFileSync(path, 'old');
    const file = await AppendFile.open(nodeFiles, path);
    expect(await file.append(bytes('new'))).toBe(3);
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('oldnew');
  });

  it('makes a new file durable in its folder', async () => {
    const folder = temporaryFolder();
    const port = faultyFiles(nodeFiles, () => undefined);
    await (await AppendFile.open(port, join(folder, 'log'))).close();
    expect(port.steps.at(-1)).toMatchObject({ operation: 'syncDirectory', path: folder });
  });

  it('P1: says how far it is flushed, and flushes only when there is something new', async () => {
    const port = faultyFiles(nodeFiles, () => undefined);
    const file = await AppendFile.open(port, join(temporaryFolder(), 'log'));
    await file.append(bytes('one'));
    expect(file.syncedSize).toBe(0);
    await file.sync();
    await file.sync();
    expect(file.syncedSize).toBe(3);
    expect(port.steps.filter((step) => step.operation === 'datasync')).toHaveLength(1);
    await file.close();
  });

  it('P1: flushes after the appends that were called before', async () => {
    const file = await AppendFile.open(nodeFiles, join(temporaryFolder(), 'log'));
    const appended = file.append(bytes('one'));
    await file.sync();
    expect(file.syncedSize).toBe(3);
    await appended;
    await file.close();
  });

  it('writes all of an append although the system takes it in short pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 7 }),
        async (parts, short) => {
          const path = join(temporaryFolder(), 'log');
          const port = faultyFiles(nodeFiles, (step) =>
            step.operation === 'write' ? { short } : undefined,
          );
          const file = await AppendFile.open(port, path);
          for (const part of parts) await file.append(part);
          await file.close();
          expect(readFileSync(path)).toEqual(Buffer.concat(parts));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('cuts a failed append off again and goes on: a full disk that is freed costs nothing', async () => {
    const path = join(temporaryFolder(), 'log');
    let writes = 0;
    const port = faultyFiles(nodeFiles, (step): Fate => {
      if (step.operation !== 'write') return undefined;
      writes += 1;
      return writes === 2 ? { short: 2 } : writes === 3 ? { fail: 'ENOSPC' } : undefined;
    });
    const file = await AppendFile.open(port, path);
    await file.append(bytes('one'));
    await expect(file.append(bytes('lost'))).rejects.toMatchObject({
      code: 'FILE_NO_SPACE',
      retryable: true,
    });
    expect(await file.append(bytes('two'))).toBe(3);
    await file.sync();
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('onetwo');
  });

  it('P1: is poisoned by a failed flush: a second one would only seem to succeed', async () => {
    const port = faultyFiles(nodeFiles, once('datasync', { fail: 'EIO' }));
    const file = await AppendFile.open(port, join(temporaryFolder(), 'log'));
    await file.append(bytes('one'));
    await expect(file.sync()).rejects.toMatchObject({ code: 'FILE_IO' });
    expect(file.poisoned).toBe(true);
    await expect(file.sync()).rejects.toMatchObject({ code: 'FILE_POISONED' });
    await expect(file.append(bytes('two'))).rejects.toMatchObject({ code: 'FILE_POISONED' });
    expect(file.syncedSize).toBe(0);
    expect(port.steps.filter((step) => step.operation === 'datasync')).toHaveLength(1);
    await file.close();
  });

  it('is poisoned when a failed append cannot be cut off', async () => {
    const port = faultyFiles(nodeFiles, (step) =>
      /^(write|truncate)$/.test(step.operation) ? { fail: 'EIO' } : undefined,
    );
    const file = await AppendFile.open(port, join(temporaryFolder(), 'log'));
    await expect(file.append(bytes('one'))).rejects.toMatchObject({ code: 'FILE_IO' });
    await expect(file.append(bytes('one'))).rejects.toMatchObject({ code: 'FILE_POISONED' });
    await file.close();
  });

  it('cuts a torn tail, durably, and never grows a file that way', async () => {
    const path = join(temporaryFolder(), 'log');
    writeFileSync(path, 'goodtorn');
    const port = faultyFiles(nodeFiles, () => undefined);
    const file = await AppendFile.open(port, path);
    await file.truncateTo(4);
    expect(port.steps.slice(-2).map((step) => step.operation)).toEqual(['truncate', 'sync']);
    await expect(file.truncateTo(5)).rejects.toMatchObject({ code: 'FILE_IO' });
    expect(await file.append(bytes('!'))).toBe(4);
    await file.close();
    await expect(file.append(bytes('late'))).rejects.toMatchObject({ code: 'FILE_POISONED' });
    expect(readFileSync(path, 'utf8')).toBe('good!');
  });
});
