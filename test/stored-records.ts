import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Finds records in a collector's packs and history by FORMAT.md ("Record file") alone, and damages
 * them the way a failing disk does.
 */

const FILE_HEADER_BYTES = 40;
const RECORD_HEADER_BYTES = 52;
const kinds: Readonly<Record<string, readonly string[]>> = {
  '.pack': ['', 'chunk', 'page', 'index', 'end', 'slab'],
  '.history': ['', 'uploads', 'commit', 'event', 'end', 'references'],
};

export interface FoundRecord {
  readonly kind: string;
  readonly file: string;
  /** Where the payload begins. */
  readonly offset: number;
  readonly length: number;
}

/** Every record of a collector's folder, the packs' and then the history's, in order. */
export async function storedRecords(collectorData: string): Promise<FoundRecord[]> {
  const names = await readdir(collectorData, { recursive: true });
  const records: FoundRecord[] = [];
  for (const suffix of ['.pack', '.history']) {
    for (const name of names.filter((one) => one.endsWith(suffix)).sort()) {
      const file = join(collectorData, name);
      const bytes = await readFile(file);
      for (let at = FILE_HEADER_BYTES; bytes.toString('latin1', at, at + 4) === 'ALQR'; ) {
        const length = bytes.readUInt32BE(at + 8);
        const kind = kinds[suffix]?.[bytes.readUInt8(at + 5)] ?? 'unknown';
        records.push({ kind, file, offset: at + RECORD_HEADER_BYTES, length });
        at += RECORD_HEADER_BYTES + length;
      }
    }
  }
  return records;
}

/**
 * Changes three bytes in the middle of a record's payload; doing it again mends it. One bit would
 * not do: readers put that right.
 */
export async function rot({ file, offset, length }: FoundRecord): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const at = offset + (length >> 1);
    const bytes = Buffer.alloc(3);
    await handle.read(bytes, 0, bytes.length, at);
    for (const index of bytes.keys()) bytes[index] = (bytes[index] ?? 0) ^ 0x15;
    await handle.write(bytes, 0, bytes.length, at);
  } finally {
    await handle.close();
  }
}
