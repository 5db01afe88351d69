import {
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { notUnderWine } from '../../testing/platform.ts';
import { type FilePort, nodeFiles } from '../durable/file-port.ts';
import { LineWriter } from './line-writer.ts';
import { LogFile } from './log-file.ts';

const MEBIBYTE = 1 << 20;

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aliquot-log-file-'));
  path = join(folder, 'logs', 'agent.log');
});
afterEach(() => rm(folder, { recursive: true }));

const lostLine = (count: number) => `[${count} lost]\n`;
const names = async () => (await readdir(join(folder, 'logs'))).sort();

function failing(
  calls: Partial<Record<'open' | 'write' | 'rename', () => string | undefined>>,
): FilePort {
  const fail = (code: string | undefined) => {
    if (code !== undefined) throw Object.assign(new Error(code), { code, syscall: 'test' });
  };
  return {
    ...nodeFiles,
    rename: async (from, to) => {
      fail(calls.rename?.());
      await nodeFiles.rename(from, to);
    },
    open: async (...args) => {
      fail(calls.open?.());
      const file = await nodeFiles.open(...args);
      return new Proxy(file, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name);
          if (typeof value !== 'function') return value;
          return async (...given: unknown[]) => {
            if (name === 'write') fail(calls.write?.());
            return (value as (...given: unknown[]) => unknown).apply(target, given);
          };
        },
      });
    },
  };
}

describe.runIf(notUnderWine('a name that was removed while it is open stays until it is closed'))(
  'a log in a file',
  () => {
    it('goes on behind what is there, in a folder that it makes; only its owner may read it', async () => {
      for (const line of ['first\n', 'second\n']) {
        const writer = new LineWriter(await LogFile.open(nodeFiles, path), lostLine);
        writer.write(line);
        await writer.end();
      }
      expect(await readFile(path, 'utf8')).toBe('first\nsecond\n');
      if (process.platform !== 'win32') expect((await stat(path)).mode & 0o777).toBe(0o600);
    });

    it('keeps five files of ten mebibytes, the newest lines in the first', async () => {
      const log = await LogFile.open(nodeFiles, path);
      const write = (bytes: Buffer) =>
        new Promise<void>((resolve, reject) =>
          log.write(bytes, (error) => (error ? reject(error) : resolve())),
        );
      for (let part = 0; part < 70; part += 1)
        await write(Buffer.alloc(MEBIBYTE, String.fromCharCode(65 + Math.floor(part / 10))));
      expect(await names()).toEqual([
        'agent.log',
        'agent.log.1',
        'agent.log.2',
        'agent.log.3',
        'agent.log.4',
      ]);
      const first = async (name: string) =>
        (await readFile(join(folder, 'logs', name), 'utf8')).slice(0, 1);
      expect(await Promise.all((await names()).map(first))).toEqual(['G', 'F', 'E', 'D', 'C']);
      for (const name of await names())
        expect((await stat(join(folder, 'logs', name))).size).toBe(10 * MEBIBYTE);
    });

    it('goes on in the same file while the names cannot be changed, and changes them later', async () => {
      let held = true;
      const log = await LogFile.open(failing({ rename: () => (held ? 'EBUSY' : undefined) }), path);
      const write = (bytes: Buffer) =>
        new Promise<void>((resolve, reject) =>
          log.write(bytes, (error) => (error ? reject(error) : resolve())),
        );
      for (let part = 0; part < 11; part += 1) await write(Buffer.alloc(MEBIBYTE, 'x'));
      expect(await names()).toEqual(['agent.log']);
      held = false;
      for (let part = 0; part < 2; part += 1) await write(Buffer.alloc(MEBIBYTE, 'y'));
      expect(await names()).toEqual(['agent.log', 'agent.log.1']);
      expect((await stat(path)).size).toBeLessThanOrEqual(2 * MEBIBYTE);
    });

    it('costs lines, which are counted, while the disk is full, also at the start; and goes on when there is room', async () => {
      let full = true;
      const port = failing({
        open: () => (full ? 'ENOSPC' : undefined),
        write: () => (full ? 'ENOSPC' : undefined),
      });
      const writer = new LineWriter(await LogFile.open(port, path), lostLine);
      for (const line of ['a\n', 'b\n']) {
        writer.write(line);
        await writer.end();
      }
      full = false;
      writer.write('c\n');
      await writer.end();
      expect(await readFile(path, 'utf8')).toBe('[2 lost]\nc\n');
    });

    it('is made anew when somebody removed it, and goes on at the front when somebody emptied it', async () => {
      const writer = new LineWriter(await LogFile.open(nodeFiles, path), lostLine);
      const say = async (line: string) => {
        writer.write(line);
        await writer.end();
      };
      await say('one\n');
      await truncate(path);
      await say('two\n');
      expect(await readFile(path, 'utf8')).toBe('two\n');
      // there an open file keeps its name until it is closed
      if (process.platform === 'win32') return;
      await unlink(path);
      await say('three\n');
      expect(await readFile(path, 'utf8')).toBe('three\n');
    });

    it('is refused where there can be none', async () => {
      await writeFile(join(folder, 'file'), '');
      await expect(
        LogFile.open(nodeFiles, join(folder, 'file', 'agent.log')),
      ).rejects.toMatchObject({
        code: expect.stringMatching(/^FILE_/),
      });
      await expect(LogFile.open(nodeFiles, folder)).rejects.toMatchObject({
        code: expect.stringMatching(/^FILE_/),
      });
    });
  },
);
