import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Small inputs, each named by what it found or covers: a folder for each target, a file for each
 * input.
 */
export const corpusFolder = fileURLToPath(new URL('../../../proto/corpus', import.meta.url));

export interface KeptInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The inputs kept for a target; none when it has no folder. */
export function corpusOf(target: string): readonly KeptInput[] {
  try {
    const folder = join(corpusFolder, target);
    return readdirSync(folder)
      .toSorted()
      .map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(folder, name))) }));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
