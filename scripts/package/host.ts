/**
 * `node scripts/package/host.ts FILE [--second-ms N]`: the Windows service host, made of
 * `deploy/host` by mingw. The same sources give the same bytes: no times, no paths of this machine.
 * A test build may let a second be shorter.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const sources = join(root, 'deploy/host');
const COMPILER = 'x86_64-w64-mingw32';

/**
 * The host's bytes. Throws with the compiler's words, or, where there is no compiler, with the
 * Debian package to install.
 */
export function buildHost(version: string, secondMs = 1000): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-host-'));
  const made = (name: string) => join(folder, name);
  const numbers = version.split(/[.+-]/).slice(0, 3).map(Number);
  try {
    run('windmc', ['-h', folder, '-r', folder, 'messages.mc']);
    const defines = [`-DVERSION_NUMBERS=${numbers.join(',')},0`, `-DVERSION_TEXT=\\"${version}\\"`];
    run('windres', [
      '-I',
      folder,
      '-I',
      '.',
      ...defines,
      'host.rc',
      '-O',
      'coff',
      '-o',
      made('resources.o'),
    ]);
    const strict = [
      '-std=gnu17',
      '-Os',
      '-s',
      '-municode',
      '-DUNICODE',
      '-D_UNICODE',
      '-Wall',
      '-Wextra',
      '-Werror',
    ];
    const parts = ['main.c', 'service.c', 'agent-process.c', 'register.c', 'switch.c', 'files.c'];
    const linked = ['-Wl,--no-insert-timestamp', '-lshell32', '-ladvapi32', '-o', made('host.exe')];
    const waits = [
      `-DSECOND_MS=${secondMs}`,
      '-DSWITCH_TRIAL_MS=(600LL*SECOND_MS)',
      '-DSWITCH_WAITS_MS={5*SECOND_MS,30*SECOND_MS,300*SECOND_MS}',
    ];
    run('gcc', [...strict, ...waits, '-I', folder, ...parts, made('resources.o'), ...linked]);
    return readFileSync(made('host.exe'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(tool: string, args: readonly string[]): void {
  const program = `${COMPILER}-${tool}`;
  const { error, status, stderr } = spawnSync(program, args, { cwd: sources, encoding: 'utf8' });
  if (error !== undefined)
    throw new Error(
      `there is no ${program}; install Debian's mingw-w64 (apt-get install gcc-mingw-w64-x86-64)`,
    );
  if (status !== 0) throw new Error(`${program} ${args.at(-1)}: ${stderr}`);
}

if (import.meta.main) {
  const [, , file, option, secondMs] = process.argv;
  if (file === undefined || (option !== undefined && option !== '--second-ms'))
    throw new Error('usage: node scripts/package/host.ts FILE [--second-ms N]');
  const { version }: { version: string } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  writeFileSync(file, buildHost(version, secondMs === undefined ? undefined : Number(secondMs)), {
    mode: 0o755,
  });
}
