import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = join(import.meta.dirname, '..');

/**
 * Whether there is a C compiler for this machine. Without one the host's tests are skipped, and say
 * so.
 */
export const hasCompiler =
  process.platform !== 'win32' && spawnSync('cc', ['--version']).status === 0;

/** What a skipped suite says beside its name. */
export const compilerNote = hasCompiler ? '' : ' (skipped: there is no C compiler `cc`)';

/**
 * Compiles C files of this folder into one program in a folder of its own; throws with what the
 * compiler says.
 */
export function compile(
  files: readonly string[],
  defines: readonly string[] = [],
): { readonly folder: string; readonly program: string } {
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-host-'));
  const program = join(folder, 'host');
  const strict = ['-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-O1'];
  const args = [
    ...strict,
    ...defines.map((define) => `-D${define}`),
    ...files.map((file) => join(source, file)),
    '-o',
    program,
  ];
  const { status, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cc ${args.join(' ')}\n${stderr}`);
  return { folder, program };
}
