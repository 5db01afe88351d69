import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { exists, readFileIfThere } from '../src/durable/durable.ts';
import type { FilePort } from '../src/durable/file-port.ts';
import { RestoreError } from '../src/restore/errors.ts';
import { WholeFolder } from '../src/restore/whole-folder.ts';
import type { CrashScenario, Life } from './enumerate.ts';

const MTIME_NS = 1_700_000_000_123_000_000n;
const FOLDER_MODE = 0o550;

/** A folder that is restored whole, again until it ends well. */
export const restoreWhole: CrashScenario = {
  name: 'restore-whole',
  about:
    'every file call of a folder that is restored whole or not at all fails, is cut short or is the last: it has its name with every file, its mode and time, or no name; what a finished restore named survives a power failure',
  proves: ['P2'],
  begin: async (root, random): Promise<Life<FilePort>> => {
    const target = join(root, 'out');
    const final = join(target, 'data/run.D');
    const contents = new Map(
      [
        ['method.txt', 300],
        ['acq/scan.bin', 70_000],
        ['acq/empty', 0],
      ].map(([name, size]) => [String(name), Buffer.from(random.bytes(Number(size)))]),
    );
    const spec = { platform: 'posix', path: Buffer.from('/data/run.D') } as const;
    let finished = false;
    const restore = async (port: FilePort): Promise<void> => {
      try {
        const whole = await WholeFolder.open({ port, random, root: target }, spec, 'version');
        await whole.writer.directory({ ...spec, mtimeNs: MTIME_NS, mode: FOLDER_MODE });
        for (const [name, bytes] of contents) {
          const sha256 = createHash('sha256').update(bytes).digest();
          const path = Buffer.from(`/data/run.D/${name}`);
          const of = { platform: 'posix', path, mtimeNs: MTIME_NS, mode: 0o640 } as const;
          const sink = await whole.writer.file({ ...of, size: bytes.length, sha256 });
          await sink.write(bytes);
          await sink.finish();
        }
        const [failure] = await whole.writer.finish();
        if (failure !== undefined) throw failure.error;
        await whole.keep();
      } catch (error) {
        // One that was cut behind its rename.
        if (!(error instanceof RestoreError) || error.code !== 'RESTORE_EXISTS') throw error;
      }
      finished = true;
    };
    return {
      open: async (files) => files,
      steps: [{ name: 'restore', run: restore }],
      close: async () => undefined,
      judge: async (files) => {
        if (!(await exists(files, final))) {
          if (finished) throw new Error('P2: the folder is gone');
          return;
        }
        for (const [name, bytes] of contents) {
          const found = await readFileIfThere(files, join(final, name), 1 << 20);
          if (found?.equals(bytes) !== true) throw new Error(`P2: ${name} is not whole`);
          const { mtimeNs, mode } = await files.stat(join(final, name));
          if (mtimeNs !== MTIME_NS || mode !== 0o640)
            throw new Error(`P2: ${name} has another time or mode`);
        }
      },
    };
  },
};
