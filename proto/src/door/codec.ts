/**
 * From untrusted bytes to one typed value, and back, for a protobuf message.
 *
 * `decode` works in five steps: size limit, scan (counts fields before anything is allocated for
 * them), protobuf, the table's checks, and at last the canonical check: the value is written again
 * and must give the same bytes. That one comparison refuses unknown fields, reordered or repeated
 * fields, written-out defaults, overlong varints, broken UTF-8 and cut-off 64-bit numbers.
 */
import protobuf from 'protobufjs/minimal.js';
import { FormatError } from '../errors.ts';
import type { Field } from './field.ts';

/** What the generated code offers for each message. */
export interface Generated {
  encode(message: object, writer: protobuf.Writer): protobuf.Writer;
  decode(reader: protobuf.Reader): object;
}

/** Both directions of one type's door. */
export interface Codec<T> {
  /**
   * The canonical bytes, in a buffer of exactly their size. @throws FormatError when a limit or
   * rule is broken.
   */
  readonly encode: (value: T) => Uint8Array;
  /** The checked value. @throws FormatError and nothing else, whatever the bytes are. */
  readonly decode: (bytes: Uint8Array) => T;
}

export interface CodecLimits extends Partial<ScanLimits> {
  /** The largest encoding, in bytes. */
  readonly maxBytes: number;
}

/** Enough for every message without long lists: counts each occurrence of each top-level field. */
const DEFAULT_MAX_FIELDS = 64;

/**
 * Joins a generated message and a table of fields to a door. `name` is the section's name in
 * FORMAT.md or WIRE.md.
 */
export function codec<T>(
  name: string,
  generated: Generated,
  table: Field<T>,
  limits: CodecLimits,
): Codec<T> {
  const scanLimits: ScanLimits = {
    maxFields: limits.maxFields ?? DEFAULT_MAX_FIELDS,
    fieldBytes: limits.fieldBytes ?? {},
  };

  const write = <R>(value: T, take: (bytes: Uint8Array) => R): R =>
    written(generated, table.write(value, name) as object, (bytes) => {
      if (bytes.length > limits.maxBytes) throw tooLong(name, bytes.length, limits.maxBytes);
      return take(bytes);
    });

  return {
    encode: (value) => write(value, (bytes) => new Uint8Array(bytes)),
    decode: (bytes) => {
      if (bytes.length > limits.maxBytes) throw tooLong(name, bytes.length, limits.maxBytes);
      // A plain view: a Buffer's own slice and subarray would put Buffers into typed values.
      const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      scan(name, plain, scanLimits);
      const value = table.read(parse(name, generated, plain), name);
      if (!write(value, (bytes) => sameBytes(bytes, plain))) {
        throw new FormatError('FORMAT_NOT_CANONICAL', `${name} is not in its canonical encoding`);
      }
      return value;
    },
  };
}

/**
 * The writer of a larger message is not kept. The commits of a busy day are smaller, and to grow
 * again for each leaves four times its size to be collected.
 */
const KEPT_BYTES = 1024 * 1024;

/**
 * One for all messages: each would else begin with memory of its own, and outgrow it again and
 * again. `new Writer`, not `Writer.create`: Node's variant hands out slices of a shared pool.
 */
let spare: protobuf.Writer | undefined;

/**
 * Gives `take` a message's encoding where the writer has it, which is wiped then: it may hold keys.
 */
function written<R>(generated: Generated, message: object, take: (bytes: Uint8Array) => R): R {
  const writer = spare?.reset() ?? new protobuf.Writer();
  // Put back when all went well: a writer that was left in the middle of a message does not start
  // over.
  spare = undefined;
  const bytes = generated.encode(message, writer).finish(true);
  try {
    return take(bytes);
  } finally {
    bytes.fill(0);
    if (bytes.length <= KEPT_BYTES) spare = writer;
  }
}

function parse(name: string, generated: Generated, bytes: Uint8Array): object {
  try {
    return generated.decode(new protobuf.Reader(bytes));
  } catch (cause) {
    // protobufjs throws RangeError and Error for every kind of broken input.
    throw new FormatError('FORMAT_MALFORMED', `${name} cannot be decoded`, { cause });
  }
}

function tooLong(name: string, length: number, limit: number): FormatError {
  return new FormatError(
    'FORMAT_LIMIT',
    `${name} has ${length} bytes, more than the ${limit} allowed`,
  );
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

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
function scan(name: string, bytes: Uint8Array, limits: ScanLimits): void {
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
