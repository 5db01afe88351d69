import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../durable/durable.ts';
import { FileError } from '../durable/errors.ts';
import type { FilePort } from '../durable/file-port.ts';
import { type LastOpening, manifestNumber } from './level-folder.ts';

/*
 * LevelDB may write a table anew before it was proved: then its damage stands in a table that looks
 * sound. Who crashes before that proof has left something that nobody can judge, so a proof of all
 * tables is noted beside LevelDB's files, for the opening that it is of.
 */

const PROVED_FILE = 'PROVED';
/** It holds one number. */
const MAX_BYTES = 64;

/**
 * Notes that every table that LevelDB found at its present opening was read and is sound. False
 * when the disk does not let it: then the opening after a crash may have to make the index again.
 */
export async function noteProved(files: FilePort, dir: string): Promise<boolean> {
  try {
    const text = `${await manifestNumber(files, dir)}\n`;
    await writeFileDurably(files, join(dir, PROVED_FILE), Buffer.from(text));
    return true;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return false;
  }
}

/** Whether that was noted for LevelDB's last opening. */
export async function wasProved(
  files: FilePort,
  dir: string,
  { number }: LastOpening,
): Promise<boolean> {
  try {
    const bytes = await readFileIfThere(files, join(dir, PROVED_FILE), MAX_BYTES);
    return bytes?.toString('latin1') === `${number}\n`;
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'FILE_TOO_LARGE') throw error;
    return false;
  }
}
