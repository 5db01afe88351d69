import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TreeFile } from './tree.ts';

/**
 * Has a file signed in place by the command in `ALIQUOT_SIGN`, which gets the file's path as its
 * last argument; without that command nothing happens. Keys are the command's own affair. A
 * signature with a time in it makes two packagings differ, in that file alone.
 */
export function signFile(path: string, command = process.env['ALIQUOT_SIGN']): void {
  if (command === undefined || command === '') return;
  const { status, signal, error } = spawnSync('/bin/sh', ['-c', `${command} "$1"`, 'sign', path], {
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0)
    throw new Error(
      `ALIQUOT_SIGN did not sign ${basename(path)}: ${error?.message ?? signal ?? `it ended with ${status}`}`,
    );
}

/** Has a file of the tree signed. */
export function signed(entry: TreeFile, command = process.env['ALIQUOT_SIGN']): TreeFile {
  if (command === undefined || command === '') return entry;
  const folder = mkdtempSync(join(tmpdir(), 'aliquot-sign-'));
  try {
    const path = join(folder, basename(entry.path));
    writeFileSync(path, entry.bytes);
    signFile(path, command);
    return { ...entry, bytes: readFileSync(path) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
