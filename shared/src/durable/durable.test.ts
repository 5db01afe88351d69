import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fate, faultyFiles, type Step } from '../../testing/faulty-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import {
  ensureDirectory,
  eraseDurably,
  joinRaw,
  readFileIfThere,
  readWholeFile,
  removeDurably,
  writeFileDurably,
  writePartsFully,
} from './durable.ts';
import { nodeFiles, type OpenFile, parentOf } from './file-port.ts';

const text = (path: string) => readFileSync(path, 'utf8');

describe('writing a file durably', () => {
  it('D1: puts the bytes under the name, with the mode asked for', async () => {
    const path = join(temporaryFolder(), 'a');
    await writeFileDurably(nodeFiles, path, Buffer.from('one'), { mode: 0o640 });
    expect(text(path)).toBe('one');
    if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  it('is private unless told otherwise', async () => {
    const path = join(temporaryFolder(), 'a');
    await writeFileDurably(nodeFiles, path, Buffer.from('one'));
    if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('D1: flushes the content before the rename and the folder after it', async () => {
    const folder = temporaryFolder();
    const port = faultyFiles(nodeFiles, () => undefined);
    await writeFileDurably(port, join(folder, 'a'), Buffer.from('one'));
    expect(port.steps.map((step) => step.operation)).toEqual([
      'open:createNew',
      'write',
      'sync',
      'rename',
      'syncDirectory',
    ]);
    expect(port.steps.at(-1)?.path).toBe(folder);
  });

  it('D1: however it fails, at every step, the old content stays and no temporary file does', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a');
    writeFileSync(path, 'old');
    const counting = faultyFiles(nodeFiles, () => undefined);
    await writeFileDurably(counting, join(folder, 'counted'), Buffer.from('new'));
    for (const { index, operation } of counting.steps) {
      const port = faultyFiles(nodeFiles, (step) =>
        step.index === index ? { fail: 'EIO' } : undefined,
      );
      await expect(writeFileDurably(port, path, Buffer.from('new'))).rejects.toMatchObject({
        code: 'FILE_IO',
      });
      expect(text(path)).toBe(operation === 'syncDirectory' ? 'new' : 'old');
      expect(readdirSync(folder).sort()).toEqual(['a', 'counted']);
    }
  });

  it('D1: a crash at any step leaves the whole old or the whole new content under the name', async () => {
    const folder = temporaryFolder();
    for (let at = 0; at < 5; at += 1) {
      const path = join(folder, `a${at}`);
      writeFileSync(path, 'old');
      const port = faultyFiles(
        nodeFiles,
        (step): Fate => (step.index === at ? { crash: true } : undefined),
      );
      await expect(writeFileDurably(port, path, Buffer.from('new'))).rejects.toThrow();
      expect(['old', 'new']).toContain(text(path));
    }
  });

  it('goes on after short writes', async () => {
    const path = join(temporaryFolder(), 'a');
    const port = faultyFiles(nodeFiles, (step) =>
      step.operation === 'write' ? { short: 3 } : undefined,
    );
    await writeFileDurably(port, path, Buffer.from('0123456789'));
    expect(text(path)).toBe('0123456789');
  });

  it('names the file and the way out when the disk is full', async () => {
    const path = join(temporaryFolder(), 'a');
    const port = faultyFiles(nodeFiles, (step) =>
      step.operation === 'write' ? { fail: 'ENOSPC' } : undefined,
    );
    const failed = writeFileDurably(port, path, Buffer.from('new'));
    await expect(failed).rejects.toMatchObject({ code: 'FILE_NO_SPACE', retryable: true });
    await expect(failed).rejects.toThrow(
      `cannot write ${path}: the disk is full; free some space and try again`,
    );
  });

  it.each([
    ['with hard links', undefined],
    ['without hard links', 'EPERM'],
  ])(
    'does not replace an existing file when asked not to, on file systems %s',
    async (_, linkFails) => {
      const folder = temporaryFolder();
      const path = join(folder, 'a');
      const fate = (step: Step): Fate =>
        step.operation === 'link' && linkFails !== undefined ? { fail: linkFails } : undefined;
      await writeFileDurably(faultyFiles(nodeFiles, fate), path, Buffer.from('one'), {
        createOnly: true,
      });
      const second = writeFileDurably(faultyFiles(nodeFiles, fate), path, Buffer.from('two'), {
        createOnly: true,
      });
      await expect(second).rejects.toMatchObject({ code: 'FILE_EXISTS' });
      expect(text(path)).toBe('one');
      expect(readdirSync(folder)).toEqual(['a']);
    },
  );

  it('takes names of 255 bytes and names that are no text', async () => {
    const folder = temporaryFolder();
    const long = 'n'.repeat(255);
    await writeFileDurably(nodeFiles, join(folder, long), Buffer.from('one'));
    expect(readdirSync(folder)).toEqual([long]);
    if (process.platform !== 'linux') return; // others refuse such names
    const raw = Buffer.concat([Buffer.from(`${folder}/x`), Buffer.from([0xff, 0xfe])]);
    await writeFileDurably(nodeFiles, raw, Buffer.from('two'));
    expect(readFileSync(raw, 'utf8')).toBe('two');
  });
});

describe('reading a whole file', () => {
  it('refuses what is larger than the limit', async () => {
    const path = join(temporaryFolder(), 'a');
    writeFileSync(path, '12345');
    expect((await readWholeFile(nodeFiles, path, 5)).toString()).toBe('12345');
    await expect(readWholeFile(nodeFiles, path, 4)).rejects.toMatchObject({
      code: 'FILE_TOO_LARGE',
    });
  });

  it('tells a missing file from one that cannot be read', async () => {
    const folder = temporaryFolder();
    expect(await readFileIfThere(nodeFiles, join(folder, 'none'), 10)).toBeUndefined();
    await expect(readWholeFile(nodeFiles, join(folder, 'none'), 10)).rejects.toMatchObject({
      code: 'FILE_MISSING',
    });
    const denied = faultyFiles(nodeFiles, () => ({ fail: 'EACCES' }));
    await expect(readFileIfThere(denied, join(folder, 'a'), 10)).rejects.toMatchObject({
      code: 'FILE_DENIED',
    });
  });
});

describe('removing', () => {
  it('D2: makes the removal durable, and does not mind a name that is gone', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a'), 'x');
    const port = faultyFiles(nodeFiles, () => undefined);
    await removeDurably(port, join(folder, 'a'));
    await removeDurably(port, join(folder, 'a'));
    expect(port.steps.map((step) => step.operation)).toEqual([
      'unlink',
      'syncDirectory',
      'unlink',
      'syncDirectory',
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('D2: overwrites a key and flushes before it takes the name away', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'key');
    writeFileSync(path, 'secret');
    let seen = '';
    const port = faultyFiles(nodeFiles, (step) => {
      if (step.operation === 'unlink') seen = text(path);
      return undefined;
    });
    await eraseDurably(port, path);
    expect(seen).toBe('\0\0\0\0\0\0');
    expect(port.steps.map((step) => step.operation)).toEqual([
      'open:update',
      'facts',
      'write',
      'sync',
      'unlink',
      'syncDirectory',
    ]);
    await eraseDurably(port, path);
  });
});

describe('folders', () => {
  it('are made with those above them, each durable in its parent', async () => {
    const folder = temporaryFolder();
    const port = faultyFiles(nodeFiles, () => undefined);
    await ensureDirectory(port, join(folder, 'a', 'b'));
    const flushed = port.steps
      .filter((step) => step.operation === 'syncDirectory')
      .map((step) => step.path);
    expect(flushed).toEqual(expect.arrayContaining([folder, join(folder, 'a')]));
    await ensureDirectory(port, join(folder, 'a', 'b'));
  });

  it('may be reached through a symbolic link, but a file is none', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    symlinkSync(join(folder, 'real'), join(folder, 'link'));
    await ensureDirectory(nodeFiles, join(folder, 'link'));
    writeFileSync(join(folder, 'file'), '');
    await expect(ensureDirectory(nodeFiles, join(folder, 'file'))).rejects.toMatchObject({
      code: 'FILE_MISSING',
    });
  });
});

describe.runIf(process.platform !== 'win32')('paths as bytes', () => {
  it.each([
    ['/a/b', '/a'],
    ['/a', '/'],
    ['a', '.'],
    ['/', '/'],
  ])('%s lies in %s', (path, parent) => {
    expect(parentOf(path)).toBe(parent);
    expect(parentOf(Buffer.from(path)).toString()).toBe(parent);
  });

  it('are joined by one slash', () => {
    expect(joinRaw('/', 'a')).toBe('/a');
    expect(joinRaw(Buffer.from('/'), Buffer.from('a')).toString()).toBe('/a');
    expect(joinRaw('/b', Buffer.from('a')).toString()).toBe('/b/a');
  });
});

describe('writing many parts', () => {
  const parts = [0, 3, 40_000, 5, 5, 0, 17_000, 1_500_000, 9].map((size, at) =>
    Buffer.alloc(size, at + 1),
  );

  it.each([1, 2, 39_999, 40_000, 40_004, 57_013, 1_000_000, Number.POSITIVE_INFINITY])(
    'puts them one behind the other where the system takes %d bytes at once',
    async (atOnce) => {
      const path = join(temporaryFolder(), 'a');
      const file = await nodeFiles.open(path, 'createNew');
      let steps = 0;
      // What a small write leaves is written again and again: enough of that shows the rest.
      const most = () => (++steps > 20 ? Number.POSITIVE_INFINITY : atOnce);
      const short = {
        ...file,
        write: (bytes: Uint8Array, position: number) =>
          file.write(bytes.subarray(0, Math.min(bytes.length, most())), position),
        writev: (all: readonly Uint8Array[], position: number) =>
          file.write(Buffer.concat(all).subarray(0, most()), position),
      } as typeof file;
      await writePartsFully(short, parts, 7);
      await file.close();
      expect(readFileSync(path).subarray(7).equals(Buffer.concat(parts))).toBe(true);
    },
  );

  it('joins them into few writes where single ones are all there is, and copies no large ones where not', async () => {
    const sizes: number[] = [];
    const single = {
      write: async (bytes: Uint8Array) => sizes.push(bytes.length) && bytes.length,
    } as unknown as OpenFile;
    await writePartsFully(
      single,
      Array.from({ length: 3000 }, () => new Uint8Array(1000)),
      0,
    );
    expect(sizes.length).toBe(3);
    const seen: (readonly Uint8Array[])[] = [];
    const many = {
      writev: async (all: readonly Uint8Array[]) =>
        seen.push(all) && all.reduce((sum, one) => sum + one.length, 0),
    };
    const large = new Uint8Array(300_000);
    await writePartsFully(
      many as unknown as OpenFile,
      [new Uint8Array(52), large, new Uint8Array(52), large],
      0,
    );
    expect(seen.length).toBe(1);
    expect(seen[0]?.filter((one) => one === large).length).toBe(2);
  });
});
