import { FormatError } from '../errors.ts';

/** Limits that hold before the protobuf decoder allocates anything. */
export interface ScanLimits {
  /** Occurrences of top-level fields, all together. */
  readonly maxFields: number;
  /**
   * The largest length of single fields, by field number: for packed lists, whose elements the
   * decoder makes eagerly.
   */
  readonly fieldBytes: Readonly<Record<number, number>>;
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
/** Tags and lengths have at most 32 bits. */
const MAX_SHORT_VARINT = 5;
const MAX_LONG_VARINT = 10;

/**
 * Walks the top level of a protobuf message without allocating, and refuses what a decoder would
 * spend memory on: too many fields, lengths beyond the end, overlong lists. A 4 MiB message of
 * two-byte fields would else become two million objects.
 *
 * @throws FormatError `FORMAT_LIMIT` for counts and lengths above a limit, `FORMAT_MALFORMED` for
 * anything that is no message.
 */
export function scan(name: string, bytes: Uint8Array, limits: ScanLimits): void {
  const cursor = { position: 0 };
  let fields = 0;
  while (cursor.position < bytes.length) {
    fields += 1;
    if (fields > limits.maxFields)
      throw new FormatError('FORMAT_LIMIT', `${name} has more than ${limits.maxFields} fields`);
    const tag = shortVarint(name, bytes, cursor);
    const field = Math.floor(tag / 8);
    if (field === 0) throw malformed(name);
    switch (tag % 8) {
      case VARINT:
        skipVarint(name, bytes, cursor);
        break;
      case LENGTH_DELIMITED: {
        const length = shortVarint(name, bytes, cursor);
        if (length > bytes.length - cursor.position) throw malformed(name);
        if (length > (limits.fieldBytes[field] ?? length)) {
          throw new FormatError(
            'FORMAT_LIMIT',
            `${name} has a list of ${length} bytes, more than the ${limits.fieldBytes[field]} allowed`,
          );
        }
        cursor.position += length;
        break;
      }
      default:
        // Fixed-width fields and groups occur in no message of ours.
        throw malformed(name);
    }
  }
}

function shortVarint(name: string, bytes: Uint8Array, cursor: { position: number }): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < MAX_SHORT_VARINT; i++) {
    const byte = bytes[cursor.position++];
    if (byte === undefined) throw malformed(name);
    // Multiplied, not shifted: the fifth byte would run over the sign bit.
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 128;
  }
  throw malformed(name);
}

function skipVarint(name: string, bytes: Uint8Array, cursor: { position: number }): void {
  for (let i = 0; i < MAX_LONG_VARINT; i++) {
    const byte = bytes[cursor.position++];
    if (byte === undefined) throw malformed(name);
    if (byte < 0x80) return;
  }
  throw malformed(name);
}

function malformed(name: string): FormatError {
  return new FormatError('FORMAT_MALFORMED', `${name} is cut off or no message at all`);
}
