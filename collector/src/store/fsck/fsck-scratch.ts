import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '@aliquot/shared/durable/system-errors';

const PREFIX = 'fsck-scratch-';
/**
 * What says that nothing can be written beside the data, as on a copy that is mounted to be read.
 */
const mayNotWrite = new Set(['EROFS', 'EACCES', 'EPERM']);

/**
 * A new folder for a check's own catalog, beside the vault's data: it grows as large as the vault's
 * catalog, for which a system's temporary folder may be too small, or memory. The caller removes
 * it. What a check that was killed has left goes first, unless others may be checking (`live`).
 * Where nothing can be written beside the data it lies in the system's temporary folder.
 */
export async function scratchBeside(vaultDir: string, live: boolean): Promise<string> {
  try {
    const left = live ? [] : (await readdir(vaultDir)).filter((name) => name.startsWith(PREFIX));
    for (const name of left) await rm(join(vaultDir, name), { recursive: true, force: true });
    return await mkdtemp(join(vaultDir, PREFIX));
  } catch (error) {
    if (!mayNotWrite.has(errnoOf(error) ?? '')) throw error;
    return mkdtemp(join(tmpdir(), 'aliquot-fsck-'));
  }
}
