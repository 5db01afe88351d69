/**
 * Reads LevelDB's files the way a thief does: without opening the database, so that overwritten and
 * deleted rows are seen as long as any file holds them, and through Snappy, which hides bytes from
 * a plain search. After the format notes in LevelDB's `doc/table_format.md` and
 * `doc/log_format.md`, and Snappy's `format_description.txt`.
 */

const FOOTER_BYTES = 48;
const TABLE_MAGIC = Buffer.from('57fb808b247547db', 'hex');
const LOG_BLOCK_BYTES = 32 * 1024;
const LOG_HEADER_BYTES = 7;

/**
 * Every key and value of a table (`.ldb`), also of rows that newer ones hide. Throws for what is no
 * table.
 */
export function tableRows(file: Buffer): Buffer[] {
  const footer = file.subarray(-FOOTER_BYTES);
  if (footer.length < FOOTER_BYTES || !footer.subarray(40).equals(TABLE_MAGIC))
    throw new Error('not a LevelDB table');
  const reader = new Reader(footer);
  reader.varint();
  reader.varint();
  const index = block(file, reader.varint(), reader.varint());
  return rows(index).flatMap(({ value }) => {
    const handle = new Reader(value);
    return rows(block(file, handle.varint(), handle.varint())).flatMap(
      ({ key, value: content }) => [key, content],
    );
  });
}

/**
 * The payload of a write-ahead log or manifest as one run of bytes, without the headers that stand
 * in every 32 KiB.
 */
export function logPayload(file: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let start = 0; start < file.length; start += LOG_BLOCK_BYTES) {
    const piece = file.subarray(start, start + LOG_BLOCK_BYTES);
    for (let at = 0; at + LOG_HEADER_BYTES <= piece.length; ) {
      const length = piece.readUInt16LE(at + 4);
      parts.push(piece.subarray(at + LOG_HEADER_BYTES, at + LOG_HEADER_BYTES + length));
      at += LOG_HEADER_BYTES + length;
    }
  }
  return Buffer.concat(parts);
}

function block(file: Buffer, offset: number, size: number): Buffer {
  const bytes = file.subarray(offset, offset + size);
  const compression = file[offset + size];
  if (compression === 0) return bytes;
  if (compression === 1) return unsnappy(bytes);
  throw new Error(`a LevelDB block of compression ${compression}`);
}

/**
 * Rows of a block: each key says how much of the one before it shares. The restart points behind
 * them are not needed.
 */
function rows(bytes: Buffer): { readonly key: Buffer; readonly value: Buffer }[] {
  const end = bytes.length - 4 - 4 * bytes.readUInt32LE(bytes.length - 4);
  const reader = new Reader(bytes);
  const found: { readonly key: Buffer; readonly value: Buffer }[] = [];
  let key: Buffer = Buffer.alloc(0);
  while (reader.at < end) {
    const shared = reader.varint();
    const fresh = reader.varint();
    const length = reader.varint();
    key = Buffer.concat([key.subarray(0, shared), reader.take(fresh)]);
    found.push({ key, value: reader.take(length) });
  }
  return found;
}

function unsnappy(bytes: Buffer): Buffer {
  const reader = new Reader(bytes);
  const out = Buffer.alloc(reader.varint());
  let at = 0;
  while (reader.at < bytes.length) {
    const tag = reader.byte();
    if ((tag & 3) === 0) {
      const extra = (tag >> 2) - 59;
      const literal = reader.take((extra > 0 ? reader.little(extra) : tag >> 2) + 1);
      literal.copy(out, at);
      at += literal.length;
      continue;
    }
    const short = (tag & 3) === 1;
    const length = short ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const distance = short
      ? ((tag >> 5) << 8) | reader.byte()
      : reader.little((tag & 3) === 2 ? 2 : 4);
    // may overlap itself
    for (let left = length; left > 0; left -= 1, at += 1) out[at] = out[at - distance] ?? 0;
  }
  return out;
}

class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.at++);
  }

  little(count: number): number {
    return this.take(count).readUIntLE(0, count);
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const next = this.byte();
      value += (next & 127) * scale;
      if (next < 128) return value;
    }
  }

  take(count: number): Buffer {
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }
}
