import { mkdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { bytesUnder } from '../measure/disk.ts';
import { probeProgram } from './probe.ts';
import type { BackupSystem, Repository } from './system.ts';

/** `cp`: neither encryption nor history. What the disk and the kernel alone take. */
export const copy: BackupSystem = {
  name: 'copy',
  probe: () => probeProgram('cp', ['--version'], 'coreutils'),
  async open(folder): Promise<Repository> {
    const stored = join(folder, 'repository');
    const kept = (source: string): string => join(stored, 'pc-1', basename(source));
    const cp = (...args: readonly string[]) => ({
      program: 'cp',
      args: ['--archive', '--update', ...args],
    });
    return {
      servers: [],
      backup(source, pc) {
        mkdirSync(join(stored, pc), { recursive: true });
        return cp(source, join(stored, pc));
      },
      restore(source, to) {
        mkdirSync(to, { recursive: true });
        return cp(kept(source), to);
      },
      restoreFile(source, file, to) {
        mkdirSync(to, { recursive: true });
        return cp(join(kept(source), relative(source, file)), to);
      },
      restoredPath: (source, path, to) =>
        path === source ? join(to, basename(source)) : join(to, basename(path)),
      check: () => undefined,
      storedBytes: () => bytesUnder(stored),
      close: async () => undefined,
    };
  },
};
