import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Finds records in a collector's packs by FORMAT.md ("Pack") alone, and damages them the way a
 * failing disk does.
 */

const PACK_HEADER_BYTES = 36;
const RECORD_HEADER_BYTES = 52;
const kinds: Record<number, string> = {
  1: 'chunk',
  2: 'page',
  3: 'uploads',
  4: 'commit',
  5: 'event',
  6: 'index',
};

export interface PackRecord {
  readonly kind: string;
  readonly file: string;
  /** Where the payload begins. */
  readonly offset: number;
  readonly length: number;
}

/** Every record of a collector's folder, in the order in which things happened. */
export async function packRecords(collectorData: string): Promise<PackRecord[]> {
  const items = await readdir(collectorData, { recursive: true });
  const records: PackRecord[] = [];
  for (const item of items.filter((name) => name.endsWith('.pack')).sort()) {
    const file = join(collectorData, item);
    const bytes = await readFile(file);
    for (let at = PACK_HEADER_BYTES; bytes.toString('latin1', at, at + 4) === 'ALQR'; ) {
      const length = bytes.readUInt32BE(at + 8);
      records.push({
        kind: kinds[bytes.readUInt8(at + 5)] ?? 'unknown',
        file,
        offset: at + RECORD_HEADER_BYTES,
        length,
      });
      at += RECORD_HEADER_BYTES + length;
    }
  }
  return records;
}

/** Flips one bit in the middle of a record's payload; doing it again mends it. */
export async function flipBit({ file, offset, length }: PackRecord): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const at = offset + (length >> 1);
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    await handle.write(byte, 0, 1, at);
  } finally {
    await handle.close();
  }
}
