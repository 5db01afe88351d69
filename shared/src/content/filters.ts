import { SealError } from './errors.ts';
import { joinSamples, type Samples, splitSamples } from './samples.ts';

/**
 * Numeric filters: rearrangements of a chunk's bytes, each with an exact way back, after which zstd
 * finds more. Plain TypeScript on typed arrays, so that a browser undoes them as well.
 *
 * - `records`: rows of equal length, written column by column, as HDF5's and Blosc's shuffle do for
 *   numbers of 2, 4 or 8 bytes, but for any length, because instruments write tables of structures;
 *   each column as it is, or as differences from row to row.
 * - `samples`: numbers of 2 or 4 bytes as differences from a running prediction (`samples.ts`),
 *   then their lowest bytes, and so on.
 *
 * Bytes in front of the first sample and behind the last whole row or sample stay as they are.
 */
export type Filter =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'records';
      /** Bytes of a row, 1 to `MAX_ROW_BYTES`. */
      readonly rowBytes: number;
      /** For each column: whether it is written as differences. */
      readonly deltas: readonly boolean[];
    }
  | Samples;

export const noFilter: Filter = { kind: 'none' };

/** The number of a filter in bits 4 to 6 of the codec byte. */
export const filterNumbers = { none: 0, records: 1, samples: 2 } as const;
export const MAX_ROW_BYTES = 255;
const SAMPLE_WIDE = 0x01;
const SAMPLE_BIG_ENDIAN = 0x02;
const SAMPLE_NIBBLES = 0x40;
const SAMPLE_RESERVED = 0x80;

/**
 * What stands between the codec byte and the body. The filter must be one that `parseFilter` would
 * give back.
 */
export function filterHeader(filter: Filter): Uint8Array {
  switch (filter.kind) {
    case 'none':
      return new Uint8Array(0);
    case 'records': {
      const header = new Uint8Array(1 + Math.ceil(filter.rowBytes / 8));
      header[0] = filter.rowBytes;
      for (let column = 0; column < filter.rowBytes; column += 1) {
        if (filter.deltas[column] === true)
          header[1 + (column >>> 3)] = (header[1 + (column >>> 3)] ?? 0) | (1 << (column & 7));
      }
      return header;
    }
    case 'samples':
      return Uint8Array.of(
        (filter.width === 4 ? SAMPLE_WIDE : 0) |
          (filter.bigEndian ? SAMPLE_BIG_ENDIAN : 0) |
          (filter.phase << 2) |
          (filter.slowness << 4) |
          (filter.nibbles ? SAMPLE_NIBBLES : 0),
      );
  }
}

/**
 * Reads the filter behind the codec byte.
 *
 * @param number Bits 4 to 6 of the codec byte.
 * @param bytes What follows the codec byte.
 * @returns The filter, and how many bytes its header has.
 * @throws SealError `SEAL_CODEC_UNKNOWN` for a number that this release does not know,
 * `SEAL_CODEC_CORRUPT` for a header that is cut or not one that is ever written.
 */
export function parseFilter(
  number: number,
  bytes: Uint8Array,
): { readonly filter: Filter; readonly headerBytes: number } {
  switch (number) {
    case filterNumbers.none:
      return { filter: { kind: 'none' }, headerBytes: 0 };
    case filterNumbers.records:
      return parseRecords(bytes);
    case filterNumbers.samples:
      return { filter: parseSamples(bytes[0]), headerBytes: 1 };
    default:
      throw new SealError(
        'SEAL_CODEC_UNKNOWN',
        `the content uses filter ${number}, which this release does not know; update Aliquot`,
      );
  }
}

function parseRecords(bytes: Uint8Array): {
  readonly filter: Filter;
  readonly headerBytes: number;
} {
  const rowBytes = bytes[0] ?? 0;
  const headerBytes = 1 + Math.ceil(rowBytes / 8);
  if (rowBytes === 0 || bytes.length < headerBytes)
    throw corrupt('the header of its rows is cut off or names rows of no bytes');
  const deltas: boolean[] = [];
  for (let column = 0; column < rowBytes; column += 1)
    deltas.push(((bytes[1 + (column >>> 3)] ?? 0) & (1 << (column & 7))) !== 0);
  const unused = headerBytes > 1 ? (bytes[headerBytes - 1] ?? 0) >>> (((rowBytes - 1) & 7) + 1) : 0;
  if (unused !== 0) throw corrupt('the header of its rows names columns that they do not have');
  return { filter: { kind: 'records', rowBytes, deltas }, headerBytes };
}

function parseSamples(header: number | undefined): Filter {
  if (header === undefined) throw corrupt('the header of its samples is cut off');
  const width = (header & SAMPLE_WIDE) === 0 ? 2 : 4;
  const phase = (header >>> 2) & 3;
  const nibbles = (header & SAMPLE_NIBBLES) !== 0;
  if ((header & SAMPLE_RESERVED) !== 0 || phase >= width || (nibbles && width !== 2)) {
    throw corrupt('the header of its samples is none that is written');
  }
  return {
    kind: 'samples',
    width,
    bigEndian: (header & SAMPLE_BIG_ENDIAN) !== 0,
    phase,
    slowness: (header >>> 4) & 3,
    nibbles,
  };
}

function corrupt(what: string): SealError {
  return new SealError('SEAL_CODEC_CORRUPT', `the content's filter cannot be undone: ${what}`);
}

/** Rearranges `plain` into `out`, which has as many bytes and is not the same memory. */
export function applyFilter(filter: Filter, plain: Uint8Array, out: Uint8Array): void {
  if (filter.kind === 'none') out.set(plain);
  else if (filter.kind === 'records') splitRecords(plain, out, filter.rowBytes, filter.deltas);
  else splitSamples(plain, out, filter);
}

/**
 * The way back: `plain` gets the bytes that `applyFilter` was given. Any bytes have some way back.
 */
export function undoFilter(filter: Filter, filtered: Uint8Array, plain: Uint8Array): void {
  if (filter.kind === 'none') plain.set(filtered);
  else if (filter.kind === 'records') joinRecords(filtered, plain, filter.rowBytes, filter.deltas);
  else joinSamples(filtered, plain, filter);
}

function splitRecords(
  plain: Uint8Array,
  out: Uint8Array,
  rowBytes: number,
  deltas: readonly boolean[],
): void {
  const rows = Math.floor(plain.length / rowBytes);
  const end = rows * rowBytes;
  let at = 0;
  for (let column = 0; column < rowBytes; column += 1) {
    if (deltas[column] === true) {
      let before = 0;
      for (let from = column; from < end; from += rowBytes, at += 1) {
        const value = plain[from] as number;
        out[at] = value - before;
        before = value;
      }
    } else
      for (let from = column; from < end; from += rowBytes, at += 1)
        out[at] = plain[from] as number;
  }
  copyRest(plain, out, end);
}

function joinRecords(
  filtered: Uint8Array,
  plain: Uint8Array,
  rowBytes: number,
  deltas: readonly boolean[],
): void {
  const rows = Math.floor(plain.length / rowBytes);
  const end = rows * rowBytes;
  let at = 0;
  for (let column = 0; column < rowBytes; column += 1) {
    if (deltas[column] === true) {
      let value = 0;
      for (let to = column; to < end; to += rowBytes, at += 1) {
        value += filtered[at] as number;
        plain[to] = value;
      }
    } else
      for (let to = column; to < end; to += rowBytes, at += 1) plain[to] = filtered[at] as number;
  }
  copyRest(filtered, plain, end);
}

function copyRest(from: Uint8Array, to: Uint8Array, at: number): void {
  for (let rest = at; rest < from.length; rest += 1) to[rest] = from[rest] as number;
}
