import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles, type Step } from '../../testing/faulty-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { Flusher, newFiles } from './blocking-files.ts';
import { type NewFiles, nodeFiles } from './file-port.ts';
import { type WholeFile, writeWhole } from './new-file.ts';
import { inSteps } from './soon.ts';

const onPosix = process.platform !== 'win32';
const MTIME_NS = 1_700_000_000_123_000_000n;

function wholeIn(folder: string, more: Partial<WholeFile> = {}): WholeFile {
  return {
    temporary: Buffer.from(join(folder, '.part')),
    final: Buffer.from(join(folder, 'x')),
    bytes: Buffer.from('content'),
    mode: 0o640,
    mtimeNs: MTIME_NS,
    ...more,
  };
}

describe.each([
  ['in calls that are done when they return', newFiles],
  ['by promises', nodeFiles],
] as const)('a whole new file, %s', (_, files) => {
  it('P2: has bytes, time and mode, and nothing else is left', async () => {
    const folder = temporaryFolder();
    expect(await inSteps(writeWhole(files, wholeIn(folder)))).toBe(MTIME_NS);
    expect(readdirSync(folder)).toEqual(['x']);
    expect(readFileSync(join(folder, 'x'), 'utf8')).toBe('content');
    const { mode, mtimeNs } = statSync(join(folder, 'x'), { bigint: true });
    expect(mtimeNs).toBe(MTIME_NS);
    if (onPosix) expect(Number(mode) & 0o7777).toBe(0o640);
  });

  it.runIf(onPosix).each([0o000, 0o444, 0o666, 0o777, 0o1755])(
    'has mode %i, whatever this process masks',
    async (mode) => {
      const folder = temporaryFolder();
      await inSteps(writeWhole(files, wholeIn(folder, { mode })));
      expect(statSync(join(folder, 'x')).mode & 0o7777).toBe(mode);
    },
  );

  it('P2: does not touch what has one of its names', async () => {
    for (const taken of ['.part', 'x']) {
      const folder = temporaryFolder();
      const other = wholeIn(folder, {
        temporary: Buffer.from(join(folder, 'other')),
        final: Buffer.from(join(folder, taken)),
        bytes: Buffer.from('theirs'),
      });
      await inSteps(writeWhole(files, other));
      expect(await inSteps(writeWhole(files, wholeIn(folder)))).toBeUndefined();
      expect(readdirSync(folder)).toEqual([taken]);
      expect(readFileSync(join(folder, taken), 'utf8')).toBe('theirs');
    }
  });
});

describe.runIf(onPosix)('a whole new file of which a step fails', () => {
  const stepsOf = async (files: NewFiles & { readonly steps: readonly Step[] }, folder: string) => {
    await inSteps(writeWhole(files, wholeIn(folder)));
    return files.steps;
  };

  it('P2: is written, flushed and named in this order', async () => {
    const steps = await stepsOf(
      faultyFiles(nodeFiles, () => undefined),
      temporaryFolder(),
    );
    expect(steps.map(({ operation }) => operation)).toEqual([
      'open:createNew',
      'write',
      'setTimes',
      'facts',
      'sync',
      'link',
      'unlink',
    ]);
  });

  it('P2: leaves nothing behind, whichever it is', async () => {
    const all = await stepsOf(
      faultyFiles(nodeFiles, () => undefined),
      temporaryFolder(),
    );
    for (const { index, operation } of all) {
      const folder = temporaryFolder();
      const fate = (step: Step): Fate => (step.index === index ? { fail: 'EIO' } : undefined);
      await expect(stepsOf(faultyFiles(nodeFiles, fate), folder)).rejects.toMatchObject({
        code: 'EIO',
      });
      // The name is there already when the other one cannot be taken away.
      expect(readdirSync(folder), operation).toEqual(operation === 'unlink' ? ['x'] : []);
    }
  });

  it('P2: has no name while its flush is under way', async () => {
    const folder = temporaryFolder();
    const flushing = Promise.withResolvers<void>();
    const files: NewFiles = {
      ...newFiles,
      open: async (path, mode, permissions) => {
        const file = await newFiles.open(path, mode, permissions);
        return {
          write: (bytes, position) => file.write(bytes, position),
          facts: () => file.facts(),
          chmod: (bits) => file.chmod(bits),
          setTimes: (atimeNs, mtimeNs) => file.setTimes(atimeNs, mtimeNs),
          close: () => file.close(),
          sync: () => flushing.promise,
        };
      },
    };
    const done = inSteps(writeWhole(files, wholeIn(folder)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(readdirSync(folder)).toEqual(['.part']);
    flushing.resolve();
    await done;
    expect(readdirSync(folder)).toEqual(['x']);
  });
});

describe('flushing', () => {
  it('is done here while the disk is quick, elsewhere once three in a row were slow, and tried here again after a while', async () => {
    const file = openSync(join(temporaryFolder(), 'x'), 'w');
    let [now, takes] = [0, 0.01];
    const flusher = new Flusher(() => {
      now += takes;
      return now;
    });
    const isElsewhere = async (): Promise<boolean> => {
      const flushed = flusher.flush(file);
      await flushed;
      return flushed !== undefined;
    };
    const elsewhere = async (): Promise<number> => {
      for (let count = 0; ; count += 1) if (!(await isElsewhere())) return count;
    };
    try {
      for (let at = 0; at < 10; at += 1) expect(await isElsewhere()).toBe(false);
      takes = 5;
      expect([await isElsewhere(), await isElsewhere()]).toEqual([false, false]);
      takes = 0.01;
      expect(await isElsewhere()).toBe(false);
      takes = 5;
      for (let at = 0; at < 3; at += 1) expect(await isElsewhere()).toBe(false);
      expect(await elsewhere()).toBe(64);
      for (let at = 0; at < 2; at += 1) expect(await isElsewhere()).toBe(false);
      expect(await elsewhere()).toBe(256);
    } finally {
      closeSync(file);
    }
  });

  it('fails with what the disk says', () => {
    const flusher = new Flusher(() => 0);
    expect(() => flusher.flush(2 ** 30)).toThrow('EBADF');
  });
});
