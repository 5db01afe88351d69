import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LinuxTarget } from './deb.ts';
import { run } from './run.ts';

/** Static, so that it needs no library of the machine that it runs on. */
const compilers: Record<LinuxTarget, string> = {
  'linux-x64': 'musl-gcc',
  'linux-arm64': 'aarch64-linux-gnu-gcc',
};

/**
 * The service host of a folder install on Linux (`deploy/host/posix.c`). The same sources and
 * compiler give the same bytes.
 */
export function buildPosixHost(target: LinuxTarget): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-host-'));
  try {
    const sources = ['switch.c', 'files.c', 'posix.c'].map((name) => join('deploy/host', name));
    const flags = [
      '-std=gnu17',
      '-Os',
      '-s',
      '-static',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-Wl,--build-id=none',
    ];
    run(compilers[target], [...flags, ...sources, '-o', join(folder, 'host')]);
    return readFileSync(join(folder, 'host'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
