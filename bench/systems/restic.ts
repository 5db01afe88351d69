import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, run } from '../measure/command.ts';
import { bytesUnder } from '../measure/disk.ts';
import { probeProgram } from './probe.ts';
import type { BackupSystem, BenchPc, Repository } from './system.ts';

/**
 * restic to a local repository: its REST server is no Debian package. Both sides are then one
 * process, which spares restic the way between them.
 */
export const restic: BackupSystem = {
  name: 'restic',
  probe: () => probeProgram('restic', ['version'], 'restic'),
  async open(folder): Promise<Repository> {
    const repository = join(folder, 'repository');
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, 'correct horse battery staple\n', { mode: 0o600 });
    const command = (...args: readonly string[]): Command => ({
      program: 'restic',
      args: [
        '--repo',
        repository,
        '--password-file',
        passwordFile,
        '--cache-dir',
        join(folder, 'cache'),
        '--quiet',
        ...args,
      ],
    });
    await run(command('init'));
    return {
      servers: [],
      backup: (source, pc) => command('backup', '--host', pc, source),
      restore: (_source, to) =>
        command('restore', 'latest', '--host', 'pc-1' satisfies BenchPc, '--target', to),
      restoreFile: (_source, file, to) =>
        command(
          'restore',
          'latest',
          '--host',
          'pc-1' satisfies BenchPc,
          '--include',
          file,
          '--target',
          to,
        ),
      restoredPath: (_source, path, to) => join(to, path),
      check: () => command('check', '--read-data'),
      storedBytes: () => bytesUnder(repository),
      close: async () => undefined,
    };
  },
};
