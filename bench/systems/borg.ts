import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, run } from '../measure/command.ts';
import { bytesUnder } from '../measure/disk.ts';
import { probeProgram } from './probe.ts';
import type { BackupSystem, Repository } from './system.ts';

/**
 * borg with zstd level 1, over its own protocol to `borg serve`: the remote shell is a script that
 * starts it here.
 */
export const borg: BackupSystem = {
  name: 'borg',
  probe: () => probeProgram('borg', ['--version'], 'borgbackup'),
  async open(folder): Promise<Repository> {
    const shell = join(folder, 'remote-shell');
    // ssh would get options and a host before the command; all of it up to the word `borg` is
    // dropped.
    writeFileSync(
      shell,
      '#!/bin/sh\nwhile [ "$1" != borg ] && [ $# -gt 0 ]; do shift; done\nexec "$@"\n',
      { mode: 0o700 },
    );
    const stored = join(folder, 'repository');
    const repository = `ssh://localhost${stored}`;
    let archives = 0;
    const newest = new Map<string, string>();
    const command = (args: readonly string[], cwd?: string): Command => ({
      program: 'borg',
      args: ['--rsh', shell, ...args],
      ...(cwd === undefined ? {} : { cwd }),
      environment: {
        BORG_PASSPHRASE: 'correct horse battery staple',
        BORG_BASE_DIR: join(folder, 'base'),
        BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
        BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
      },
    });
    const extract = (path: string, to: string): Command => {
      mkdirSync(to, { recursive: true });
      return command(
        ['extract', `${repository}::${newest.get('pc-1')}`, path.replace(/^\//, '')],
        to,
      );
    };
    await run(command(['init', '--encryption', 'repokey', repository]));
    return {
      servers: [],
      isServer: (commandLine) => /\bborg\b.* serve\b/.test(commandLine),
      backup(source, pc) {
        archives += 1;
        newest.set(pc, `${pc}-${archives}`);
        return command([
          'create',
          '--compression',
          'zstd,1',
          `${repository}::${newest.get(pc)}`,
          source,
        ]);
      },
      restore: (source, to) => extract(source, to),
      restoreFile: (_source, file, to) => extract(file, to),
      restoredPath: (_source, path, to) => join(to, path),
      check: () => command(['check', '--verify-data', repository]),
      storedBytes: () => bytesUnder(stored),
      close: async () => undefined,
    };
  },
};
