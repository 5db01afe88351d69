import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { basename, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../test/ports.ts';
import { type Command, start, stop } from '../measure/command.ts';
import { bytesUnder } from '../measure/disk.ts';
import { probeProgram } from './probe.ts';
import type { BackupSystem, Repository } from './system.ts';

/** rsync to its daemon: no encryption, no compression, one state of every file. */
export const rsync: BackupSystem = {
  name: 'rsync',
  probe: () => probeProgram('rsync', ['--version'], 'rsync'),
  async open(folder): Promise<Repository> {
    const stored = join(folder, 'repository');
    for (const pc of ['pc-1', 'pc-2']) mkdirSync(join(stored, pc), { recursive: true });
    const port = await freePort();
    const settings = [
      'use chroot = no',
      'read only = no',
      `uid = ${process.getuid?.() ?? 0}`,
      `gid = ${process.getgid?.() ?? 0}`,
    ];
    writeFileSync(
      join(folder, 'rsyncd.conf'),
      `${settings.join('\n')}\nlock file = ${join(folder, 'lock')}\n[store]\npath = ${stored}\n`,
    );
    const daemon = start({
      program: 'rsync',
      args: [
        '--daemon',
        '--no-detach',
        '--address=127.0.0.1',
        `--port=${port}`,
        `--config=${join(folder, 'rsyncd.conf')}`,
      ],
    });
    daemon.stdout?.resume();
    daemon.stderr?.resume();
    await listening(port);
    const store = `rsync://127.0.0.1:${port}/store`;
    const command = (from: string, to: string): Command => ({
      program: 'rsync',
      args: ['--archive', '--delete', from, to],
    });
    return {
      servers: [daemon.pid ?? 0],
      backup: (source, pc) => command(source, `${store}/${pc}/`),
      restore: (source, to) => command(`${store}/pc-1/${basename(source)}`, `${to}/`),
      restoreFile: (source, file, to) =>
        command(`${store}/pc-1/${basename(source)}/${relative(source, file)}`, `${to}/`),
      restoredPath: (_source, path, to) => join(to, basename(path)),
      check: () => undefined,
      storedBytes: () => bytesUnder(stored),
      close: () => stop(daemon),
    };
  },
};

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await delay(50);
  }
  throw new Error(`the rsync daemon does not listen on port ${port}`);
}
