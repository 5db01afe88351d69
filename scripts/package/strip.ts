import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LinuxTarget } from './deb.ts';
import { run } from './run.ts';

/** Each knows one processor only, as Debian's binutils are built. */
const strippers: Record<LinuxTarget, string> = {
  'linux-x64': 'x86_64-linux-gnu-strip',
  'linux-arm64': 'aarch64-linux-gnu-strip',
};

/**
 * A Linux program without its table of symbols, a seventh of Node's file, which only debuggers
 * read: what addons link to stays, and the code is the same. The same bytes and binutils give the
 * same bytes.
 */
export function stripped(program: Buffer, target: LinuxTarget): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-strip-'));
  try {
    const path = join(folder, 'program');
    writeFileSync(path, program);
    run(strippers[target], ['--strip-all', path]);
    return readFileSync(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
