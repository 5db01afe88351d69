import { Cursor, Malformed } from './varint.ts';

/** A block of a table is a few kilobytes; its list of blocks some hundred. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Opens what Snappy packed (google/snappy, format_description.txt): LevelDB packs its blocks so.
 * Throws `Malformed`.
 */
export function unpackSnappy(packed: Uint8Array): Uint8Array {
  const input = new Cursor(packed);
  const length = input.varint();
  if (length > MAX_BYTES) throw new Malformed();
  const out = new Uint8Array(length);
  let at = 0;
  while (!input.atEnd) {
    const tag = byte(input);
    if ((tag & 3) === 0) {
      const bytes = input.take(literalLength(input, tag >>> 2));
      if (at + bytes.length > length) throw new Malformed();
      out.set(bytes, at);
      at += bytes.length;
      continue;
    }
    const { count, back } = copyOf(input, tag);
    if (back === 0 || back > at || at + count > length) throw new Malformed();
    // Byte by byte: a copy may reach into what it writes.
    for (const end = at + count; at < end; at += 1) out[at] = out[at - back] as number;
  }
  if (at !== length) throw new Malformed();
  return out;
}

function byte(input: Cursor): number {
  return input.take(1)[0] as number;
}

/** Up to 60 bytes stand in the tag; more behind it. */
function literalLength(input: Cursor, told: number): number {
  return told < 60 ? told + 1 : number(input, told - 59) + 1;
}

function copyOf(input: Cursor, tag: number): { readonly count: number; readonly back: number } {
  switch (tag & 3) {
    case 1:
      return { count: 4 + ((tag >>> 2) & 7), back: ((tag >>> 5) << 8) | byte(input) };
    case 2:
      return { count: 1 + (tag >>> 2), back: number(input, 2) };
    default:
      return { count: 1 + (tag >>> 2), back: number(input, 4) };
  }
}

/** The lowest byte first. */
function number(input: Cursor, bytes: number): number {
  return input.take(bytes).reduce((sum, value, at) => sum + value * 256 ** at, 0);
}
