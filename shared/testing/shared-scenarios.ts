import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { MAX_PIECE_PLAIN_BYTES } from '@aliquot/proto';
import type { DiskPort } from '../src/derived/level-port.ts';
import { readFileIfThere, writeFileDurably } from '../src/durable/durable.ts';
import { FileError } from '../src/durable/errors.ts';
import { type FilePort, nodeFiles } from '../src/durable/file-port.ts';
import { createDataFolder, openDataFolder } from '../src/folder/data-folder.ts';
import { createKit, openKit, sealKit } from '../src/keys/kit.ts';
import { RestoreWriter } from '../src/restore/writer.ts';
import { type CrashScenario, type Life, tortureOf } from './enumerate.ts';
import type { TortureScenario } from './scenario.ts';
import { restoreWhole } from './whole-folder-scenario.ts';

const MTIME_NS = 1_700_000_000_123_000_000n;

/** A restore of a small tree that is run again until it ends well. */
export const restoreTarget: CrashScenario = {
  name: 'restore-target',
  about:
    'every file call of a restore fails, is cut short or is the last: no file stands under its final name but whole, and what a finished restore wrote survives a power failure with bytes, times and modes',
  proves: ['P2'],
  begin: async (root, random): Promise<Life<FilePort>> => {
    const target = join(root, 'above', 'out');
    const contents = new Map(
      [
        ['/data/run1/a.raw', 5000],
        ['/data/run1/b.txt', 0],
        ['/data/notes/c.csv', 70_000],
        ['/data/notes/d.csv', 100],
      ].map(([path, size]) => [String(path), Buffer.from(random.bytes(Number(size)))]),
    );
    let finished = false;
    const restore = async (files: FilePort) => {
      const writer = await RestoreWriter.open({ port: files, random, root: target });
      await writer.directory({
        platform: 'posix',
        path: Buffer.from('/data/empty'),
        mode: 0o750,
        mtimeNs: MTIME_NS,
      });
      for (const [path, bytes] of contents) {
        const sha256 = createHash('sha256').update(bytes).digest();
        const spec = {
          platform: 'posix' as const,
          path: Buffer.from(path),
          mtimeNs: MTIME_NS,
          mode: 0o640,
          size: bytes.length,
          sha256,
        };
        if (bytes.length <= MAX_PIECE_PLAIN_BYTES) {
          await writer.whole(spec, await writer.place(spec), bytes);
          continue;
        }
        const sink = await writer.file(spec);
        for (let at = 0; at < bytes.length; at += 40_000)
          await sink.write(bytes.subarray(at, at + 40_000));
        await sink.finish();
      }
      await writer.symlink({
        platform: 'posix',
        path: Buffer.from('/data/link'),
        mtimeNs: MTIME_NS,
        linkTarget: Buffer.from('run1'),
      });
      const [failure] = await writer.finish();
      if (failure !== undefined) throw failure.error;
      finished = true;
    };
    return {
      open: async (files) => files,
      steps: [{ name: 'restore', run: restore }],
      close: async () => undefined,
      judge: async (files) => {
        for (const [path, bytes] of contents) {
          const found = await readFileIfThere(files, join(target, path), 1 << 20);
          if (found === undefined && !finished) continue;
          if (found === undefined || !found.equals(bytes))
            throw new Error(`P2: ${path} is ${found === undefined ? 'gone' : 'not whole'}`);
          if (!finished) continue;
          const { mtimeNs, mode } = await files.stat(join(target, path));
          if (mtimeNs / 1000n !== MTIME_NS / 1000n || mode !== 0o640)
            throw new Error(`P2: ${path} has another time or mode (${mtimeNs}, ${mode})`);
        }
        if (!finished) return;
        const link = await files.readlink(join(target, 'data/link'));
        if (link.toString() !== 'run1') throw new Error('P2: the link is not there');
        await files.stat(join(target, 'data/empty'));
      },
    };
  },
};

/**
 * A kit that is made once, whatever happens on the way: as `aliquot kit create` and `aliquot
 * enroll` write.
 */
export const kitCreate: CrashScenario = {
  name: 'kit-create',
  about:
    'every file call of writing a recovery kit fails, is cut short or is the last: there is no file, or one that opens; never another in its place',
  proves: ['P1', 'P2'],
  begin: async (root, random): Promise<Life<FilePort>> => {
    const path = join(root, 'lab.kit');
    const kit = createKit({ name: 'Lab', blind: true, nowMs: 1_767_323_045_678 }, random);
    // The cheapest cost: what is tried here is the disk.
    const text = sealKit(kit, 'correct horse battery', random, { logN: 1, r: 1, p: 1 });
    let written = false;
    return {
      open: async (files) => files,
      steps: [
        {
          name: 'kit create',
          run: async (files) => {
            try {
              await writeFileDurably(files, path, Buffer.from(text), {
                mode: 0o600,
                createOnly: true,
                random,
              });
              written = true;
            } catch (error) {
              // As the command does: what is there already stays, and is looked at.
              if (!(error instanceof FileError) || error.code !== 'FILE_EXISTS') throw error;
            }
          },
        },
      ],
      close: async () => undefined,
      judge: async (files, { whole }) => {
        const found = await readFileIfThere(files, path, 1 << 20);
        if (found === undefined && written) throw new Error('P1: the kit is gone');
        if (found !== undefined && found.toString() !== text)
          throw new Error('P2: the kit is not whole');
        if (found !== undefined && whole) openKit(found.toString(), 'correct horse battery');
      },
    };
  },
};

/**
 * A kit that is put under another passphrase in its place, where it may be the only copy: as
 * `aliquot kit passphrase` writes.
 */
export const kitPassphrase: CrashScenario = {
  name: 'kit-passphrase',
  about:
    'every file call of putting a recovery kit under another passphrase fails, is cut short or is the last: the kit opens with the old one or with the new one at any time, and with the new one once that was reported',
  proves: ['P1', 'P2'],
  begin: async (root, random): Promise<Life<FilePort>> => {
    const path = join(root, 'lab.kit');
    const kit = createKit({ name: 'Lab', blind: true, nowMs: 1_767_323_045_678 }, random);
    const [old, next] = ['correct horse battery', 'staple correct horse'].map((words) =>
      sealKit(kit, words, random, { logN: 1, r: 1, p: 1 }),
    );
    if (old === undefined || next === undefined) throw new Error('no kit');
    await writeFileDurably(nodeFiles, path, Buffer.from(old), { mode: 0o600 });
    let changed = false;
    return {
      open: async (files) => files,
      steps: [
        {
          name: 'kit passphrase',
          run: async (files) => {
            await writeFileDurably(files, path, Buffer.from(next), { mode: 0o600 });
            changed = true;
          },
        },
      ],
      close: async () => undefined,
      judge: async (files) => {
        const found = (await readFileIfThere(files, path, 1 << 20))?.toString();
        if (found === next) return;
        if (changed || found !== old)
          throw new Error(
            `P1: the kit is ${found === undefined ? 'gone' : 'not the one that was told'}`,
          );
      },
    };
  },
};

/** The data folder of either program: made once, then claimed again and again. */
export const dataFolder: CrashScenario = {
  name: 'data-folder',
  about:
    'every file and LevelDB call of making a data folder and taking its lock fails, is cut short or is the last: the next start makes or opens it',
  proves: ['P1'],
  begin: async (root): Promise<Life<DiskPort>> => {
    const dir = join(root, 'data');
    let made = false;
    const claim = async (files: DiskPort) => {
      const there = (await readFileIfThere(files, join(dir, 'format.json'), 4096)) !== undefined;
      if (made && !there) throw new Error('P1: the folder is gone');
      const folder = there
        ? await openDataFolder(files, dir, 'aliquot-agent')
        : await createDataFolder(files, dir, 'aliquot-agent');
      made = true;
      await folder.release();
    };
    return {
      open: async (files) => files,
      steps: [
        { name: 'make', run: claim },
        { name: 'open', run: claim },
      ],
      close: async () => undefined,
      judge: async (files, { whole }) => {
        if (made || whole) await claim(files);
      },
    };
  },
};

export const sharedScenarios: readonly TortureScenario[] = [
  restoreTarget,
  restoreWhole,
  kitCreate,
  kitPassphrase,
  dataFolder,
].map(tortureOf);
