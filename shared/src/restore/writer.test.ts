import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { caseBlindFiles } from '../../testing/case-blind-files.ts';
import { type Fate, faultyFiles } from '../../testing/faulty-files.ts';
import { temporaryFolder } from '../../testing/temp.ts';
import { type FilePort, nodeFiles } from '../durable/file-port.ts';
import type { WindowsAccess } from '../durable/windows-access.ts';
import { systemRandom } from '../ports.ts';
import type { FileSpec } from './restore-target.ts';
import type { Outcome } from './sink.ts';
import { folderIds } from './target-files.ts';
import { RestoreWriter, type WriterOptions } from './writer.ts';

const MTIME = 1_700_000_000_123_000_000n;

function spec(path: string | Buffer, content: string, more: Partial<FileSpec> = {}): FileSpec {
  const sha256 = createHash('sha256').update(content).digest();
  return {
    platform: 'posix',
    path: Buffer.from(path),
    mtimeNs: MTIME,
    mode: 0o644,
    size: Buffer.byteLength(content),
    sha256,
    ...more,
  };
}

const open = (root: string, more: Partial<WriterOptions> = {}) =>
  RestoreWriter.open({ port: nodeFiles, random: systemRandom, root, ...more });

async function put(
  writer: RestoreWriter,
  path: string | Buffer,
  content: string,
  more: Partial<FileSpec> = {},
): Promise<Outcome> {
  const sink = await writer.file(spec(path, content, more));
  await sink.write(Buffer.from(content));
  return sink.finish();
}

describe.runIf(process.platform !== 'win32')('the restore writer', () => {
  it('P2: gives back bytes, name, time and mode, and nothing else is left', async () => {
    const root = join(temporaryFolder(), 'out');
    const writer = await open(root);
    expect(await put(writer, '/data/run1/x', 'hello', { mode: 0o640 })).toBe('written');
    expect(await writer.finish()).toEqual([]);
    const path = join(root, 'data/run1/x');
    expect(readFileSync(path, 'utf8')).toBe('hello');
    expect(statSync(path, { bigint: true }).mtimeNs / 1000n).toBe(MTIME / 1000n);
    expect(statSync(path).mode & 0o7777).toBe(0o640);
    expect(readdirSync(join(root, 'data/run1'))).toEqual(['x']);
  });

  it.each([0o000, 0o200, 0o444, 0o555, 0o1755])(
    'P2: a second restore over a file and folder of mode %i finds the same',
    async (mode) => {
      const root = join(temporaryFolder(), 'out');
      // As for a user who is not root.
      const port: FilePort = {
        ...nodeFiles,
        open: async (path, how, permissions) => {
          if (how === 'readNoFollow' && (statSync(path).mode & 0o400) === 0) {
            throw Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'open' });
          }
          return nodeFiles.open(path, how, permissions);
        },
      };
      const outcomes: Outcome[] = [];
      for (let time = 0; time < 2; time += 1) {
        const writer = await open(root, { port });
        outcomes.push(await put(writer, '/d/x', 'hello', { mode }));
        await writer.directory({
          platform: 'posix',
          path: Buffer.from('/d'),
          mode,
          mtimeNs: MTIME,
        });
        expect(await writer.finish()).toEqual([]);
        expect(statSync(join(root, 'd')).mode & 0o7777).toBe(mode);
      }
      expect(outcomes).toEqual(['written', 'same']);
      chmodSync(join(root, 'd'), 0o700);
      expect(statSync(join(root, 'd/x')).mode & 0o7777).toBe(mode);
    },
  );

  it('P2: on Windows a file and a folder of Windows get their attributes back, also when the bytes were there', async () => {
    const root = temporaryFolder();
    const set: [string, number][] = [];
    const access = {
      setAttributes: (path: string, attributes: number) => void set.push([path, attributes]),
    } as WindowsAccess;
    const options: Partial<WriterOptions> = {
      port: { ...nodeFiles, access: async () => access },
      host: 'windows',
    };
    const more = { platform: 'windows', mode: 0, attributes: 0x3 } as const;
    for (let time = 0; time < 2; time += 1) {
      const writer = await open(root, options);
      await put(writer, 'C:\\d\\x', 'hello', more);
      await put(writer, '/d/y', 'of another system');
      await writer.directory({
        path: Buffer.from('C:\\d'),
        mtimeNs: MTIME,
        ...more,
        attributes: 0,
      });
      expect(await writer.finish()).toEqual([]);
    }
    // None is said by a word of its own: 0 would mean to leave them as they are.
    expect(set).toEqual([
      [join(root, 'C/d/x'), 0x3],
      [join(root, 'C/d'), 0x80],
      [join(root, 'C/d/x'), 0x3],
      [join(root, 'C/d'), 0x80],
    ]);
  });

  it('P2: gives nothing the final name before the bytes are whole, proved and flushed', async () => {
    const root = temporaryFolder();
    const port = faultyFiles(nodeFiles, () => undefined);
    const writer = await open(root, { port });
    const sink = await writer.file(spec('/x', 'hello'));
    await sink.write(Buffer.from('hello'));
    expect(readdirSync(root)).toEqual([
      expect.stringMatching(/^\.aq-[0-9a-f]{8}-[0-9]+-[0-9a-f]{12}\.part$/),
    ]);
    const before = port.steps.length;
    await sink.finish();
    expect(port.steps.slice(before).map((step) => step.operation)).toEqual([
      'lstat',
      'fchmod',
      'setTimes',
      'sync',
      'lstat',
      'link',
      'unlink',
    ]);
    expect(readdirSync(root)).toEqual(['x']);
  });

  it.each([
    ['other bytes of the same length', 'HELLO'],
    ['too few bytes', 'hell'],
    ['too many bytes', 'hello!'],
  ])('P2: refuses %s and leaves nothing behind', async (_, content) => {
    const root = temporaryFolder();
    const writer = await open(root);
    const sink = await writer.file(spec('/x', 'hello'));
    await sink.write(Buffer.from(content));
    await expect(sink.finish()).rejects.toMatchObject({ code: 'RESTORE_DAMAGED' });
    await sink.abort();
    expect(readdirSync(root)).toEqual([]);
  });

  it('P2: however it fails, at every step, no partial stands under the final name and none beside it', async () => {
    const root = temporaryFolder();
    const counting = faultyFiles(nodeFiles, () => undefined);
    await put(await open(join(root, 'counted'), { port: counting }), '/a/x', 'hello');
    for (const { index, operation } of counting.steps) {
      const target = join(root, `at${index}`);
      const port = faultyFiles(nodeFiles, (step) =>
        step.index === index ? { fail: 'EIO' } : undefined,
      );
      const run = async () => put(await open(target, { port }), '/a/x', 'hello');
      // Tidying up after an earlier restore is not worth failing for.
      if (operation === 'list') await expect(run(), operation).resolves.toBe('written');
      else await expect(run(), operation).rejects.toMatchObject({ code: 'RESTORE_TARGET' });
      const there = safeList(join(target, 'a'));
      // The unlink after the link fails last: then the whole file has its name.
      if (there.includes('x')) expect(readFileSync(join(target, 'a/x'), 'utf8')).toBe('hello');
      else expect(there).toEqual([]);
    }
  });

  it('P2: says so when the disk is full, and leaves no partial', async () => {
    const root = temporaryFolder();
    const port = faultyFiles(
      nodeFiles,
      (step): Fate => (step.operation === 'write' ? { fail: 'ENOSPC' } : undefined),
    );
    const writer = await open(root, { port });
    const sink = await writer.file(spec('/x', 'hello'));
    await expect(sink.write(Buffer.from('hello'))).rejects.toMatchObject({
      code: 'RESTORE_NO_SPACE',
      message: expect.stringContaining('the disk is full'),
    });
    expect(readdirSync(root)).toEqual([]);
  });

  it('P2: takes any name: raw bytes, any Unicode, 255 bytes, names that differ only in case or in spelling', async () => {
    const root = temporaryFolder();
    const writer = await open(root);
    const all = [
      '/n\u0303',
      '/\u00f1',
      '/Case',
      '/case',
      `/${'l'.repeat(255)}`,
      '/new\nline',
      '/ ',
      '/日本語',
    ].map((name) => Buffer.from(name));
    if (process.platform === 'linux') all.push(Buffer.from([0x2f, 0xff, 0xfe, 0x80]));
    for (const path of all) expect(await put(writer, path, path.toString('hex'))).toBe('written');
    for (const path of all)
      expect(readFileSync(Buffer.concat([Buffer.from(root), path]), 'utf8')).toBe(
        path.toString('hex'),
      );
    expect(readdirSync(root)).toHaveLength(all.length);
  });

  it('P2: names the conflict where the target does not tell upper from lower case, and overwrites nothing', async () => {
    const root = temporaryFolder();
    const port: FilePort = caseBlindFiles(nodeFiles);
    const writer = await open(root, { port, overwrite: true });
    await put(writer, '/Data/Case', 'one');
    await expect(put(writer, '/Data/case', 'two')).rejects.toMatchObject({
      code: 'RESTORE_NAME_CLASH',
    });
    await expect(put(writer, '/Data/CASE', 'one')).rejects.toMatchObject({
      code: 'RESTORE_NAME_CLASH',
    });
    await expect(put(await open(root, { port }), '/data/other', 'x')).rejects.toMatchObject({
      code: 'RESTORE_NAME_CLASH',
    });
    expect(readdirSync(join(root, 'Data'))).toEqual(['Case']);
    expect(readFileSync(join(root, 'Data/Case'), 'utf8')).toBe('one');
  });

  it('leaves another file of that name alone, unless told to overwrite', async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'x'), 'mine');
    await expect(put(await open(root), '/x', 'hello')).rejects.toMatchObject({
      code: 'RESTORE_EXISTS',
    });
    expect(readFileSync(join(root, 'x'), 'utf8')).toBe('mine');
    expect(await put(await open(root, { overwrite: true }), '/x', 'hello')).toBe('written');
    expect(readFileSync(join(root, 'x'), 'utf8')).toBe('hello');
    mkdirSync(join(root, 'folder'));
    await expect(
      put(await open(root, { overwrite: true }), '/folder', 'hello'),
    ).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
    expect(readdirSync(root).sort()).toEqual(['folder', 'x']);
  });

  it('finds its own work again: a second run into the same target changes only time and mode', async () => {
    const root = temporaryFolder();
    await put(await open(root), '/x', 'hello');
    chmodSync(join(root, 'x'), 0o600);
    const { ino } = statSync(join(root, 'x'));
    expect(await put(await open(root), '/x', 'hello')).toBe('same');
    expect(statSync(join(root, 'x')).ino).toBe(ino);
    expect(statSync(join(root, 'x'), { bigint: true }).mtimeNs / 1000n).toBe(MTIME / 1000n);
    expect(statSync(join(root, 'x')).mode & 0o777).toBe(0o644);
  });

  it('does not hand out setuid, setgid', async () => {
    const root = temporaryFolder();
    await put(await open(root), '/x', 'hello', { mode: 0o6755 });
    expect(statSync(join(root, 'x')).mode & 0o7777).toBe(0o755);
  });
});

describe.runIf(process.platform !== 'win32')('folders and links', () => {
  it('P2: come back with their times and modes, read-only ones and empty ones too', async () => {
    const root = temporaryFolder();
    const writer = await open(root);
    const folder = (path: string, mode: number) =>
      writer.directory({ platform: 'posix', path: Buffer.from(path), mode, mtimeNs: MTIME });
    await put(writer, '/a/b/x', 'hello');
    await folder('/a', 0o555);
    await folder('/a/b', 0o500);
    await folder('/a/empty', 0o755);
    await put(writer, '/a/b/y', 'late');
    expect(await writer.finish()).toEqual([]);
    for (const [path, mode] of [
      ['a', 0o555],
      ['a/b', 0o500],
      ['a/empty', 0o755],
    ] as const) {
      const stat = statSync(join(root, path), { bigint: true });
      expect([path, Number(stat.mode) & 0o777, stat.mtimeNs / 1000n]).toEqual([
        path,
        mode,
        MTIME / 1000n,
      ]);
    }
    const again = await open(root);
    expect(await put(again, '/a/b/z', 'more')).toBe('written');
    await again.finish();
    expect(statSync(join(root, 'a/b')).mode & 0o777).toBe(0o500);
  });

  it('without a record of their own get the usual mode', async () => {
    const root = temporaryFolder();
    const writer = await open(root);
    await put(writer, '/a/x', 'hello');
    expect(statSync(join(root, 'a')).mode & 0o777).toBe(0o700);
    await writer.finish();
    expect(statSync(join(root, 'a')).mode & 0o777).toBe(0o777 & ~process.umask());
  });

  it('P2: links come back as links, wherever they lead, and are never followed', async () => {
    const outside = temporaryFolder();
    const root = temporaryFolder();
    const writer = await open(root);
    const link = (path: string, to: string) =>
      writer.symlink({
        platform: 'posix',
        path: Buffer.from(path),
        linkTarget: Buffer.from(to),
        mtimeNs: MTIME,
      });
    expect(await link('/out', outside)).toBe('written');
    expect(await link('/out', outside)).toBe('same');
    expect(await link('/dangling', '../nowhere')).toBe('written');
    expect(readlinkSync(join(root, 'dangling'))).toBe('../nowhere');
    expect(lstatSync(join(root, 'out'), { bigint: true }).mtimeNs / 1000n).toBe(MTIME / 1000n);
    await expect(put(writer, '/out/x', 'hello')).rejects.toMatchObject({
      code: 'RESTORE_THROUGH_LINK',
    });
    await expect(
      writer.directory({
        platform: 'posix',
        path: Buffer.from('/out'),
        mode: 0o755,
        mtimeNs: MTIME,
      }),
    ).rejects.toMatchObject({
      code: 'RESTORE_THROUGH_LINK',
    });
    await expect(put(writer, '/out', 'hello')).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
    await expect(link('/out', '/elsewhere')).rejects.toMatchObject({ code: 'RESTORE_EXISTS' });
    expect(readdirSync(outside)).toEqual([]);
    const overwriting = await open(root, { overwrite: true });
    await put(overwriting, '/out', 'a file now');
    expect(readdirSync(outside)).toEqual([]);
    expect(lstatSync(join(root, 'out')).isFile()).toBe(true);
  });

  it('P2: a link that was in the target before is not followed either', async () => {
    const outside = temporaryFolder();
    const root = temporaryFolder();
    symlinkSync(outside, join(root, 'data'));
    await expect(put(await open(root), '/data/x', 'hello')).rejects.toMatchObject({
      code: 'RESTORE_THROUGH_LINK',
    });
    expect(readdirSync(outside)).toEqual([]);
  });

  it('a target that is a file is refused at once, and stays as it is', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, 'mine');
    for (const target of [file, join(file, 'below')])
      await expect(open(target)).rejects.toMatchObject({ code: 'RESTORE_TARGET' });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('the target itself may be reached through a link', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    symlinkSync('real', join(folder, 'link'));
    await put(await open(join(folder, 'link')), '/x', 'hello');
    expect(readdirSync(join(folder, 'real'))).toEqual(['x']);
  });

  it("nothing is restored into the agent's own folder, on whatever way it is reached", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'agent'));
    symlinkSync('agent', join(folder, 'link'));
    const own = [join(folder, 'agent'), join(folder, 'not there')];
    const forbidden = await folderIds(nodeFiles, own);
    for (const root of ['agent', 'agent/below/it', 'link', 'link/below']) {
      await expect(open(join(folder, root), { forbidden })).rejects.toMatchObject({
        code: 'RESTORE_FORBIDDEN_TARGET',
      });
    }
    const above = await open(folder, { forbidden });
    await expect(put(above, '/agent/queue/x', 'hello')).rejects.toMatchObject({
      code: 'RESTORE_FORBIDDEN_TARGET',
    });
    expect(await put(above, '/agent2/x', 'hello')).toBe('written');
    expect(readdirSync(join(folder, 'agent'))).toEqual([]);
  });
});

function safeList(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
