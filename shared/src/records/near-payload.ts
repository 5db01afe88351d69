import { createHash } from 'node:crypto';
import { equalBytes } from '../crypto/primitives.ts';

/** One wrong bit is looked for in so many last bytes: some tenths of a second. */
const TAIL_BYTES = 4 * 1024;
/** From here to here the hash of what stands before is used again. */
const STEP_BYTES = 256;
/** At the beginning the whole payload is hashed for each bit. */
const HEAD_BYTES = 16;
const MAX_HEADED_BYTES = 1024 * 1024;

/**
 * The payload that these bytes were before one bit of them turned over, when its SHA-256 proves
 * one; looked for where it costs little: in small payloads everywhere, in others at both ends,
 * where stands what says how the rest is to be read. `undefined`: more has rotted, or in the
 * middle.
 */
export function nearPayload(payload: Uint8Array, digest: Uint8Array): Uint8Array | undefined {
  const bytes = Buffer.from(payload);
  const from = Math.max(0, bytes.length - TAIL_BYTES);
  const before = createHash('sha256').update(bytes.subarray(0, from));
  for (let start = from; start < bytes.length; start += STEP_BYTES) {
    const end = Math.min(start + STEP_BYTES, bytes.length);
    for (let bit = start * 8; bit < end * 8; bit += 1) {
      turnOver(bytes, bit);
      const hash = before.copy().update(bytes.subarray(start)).digest();
      if (equalBytes(hash, digest)) return bytes;
      turnOver(bytes, bit);
    }
    before.update(bytes.subarray(start, end));
  }
  if (from === 0 || bytes.length > MAX_HEADED_BYTES) return undefined;
  for (let bit = 0; bit < HEAD_BYTES * 8; bit += 1) {
    turnOver(bytes, bit);
    if (equalBytes(createHash('sha256').update(bytes).digest(), digest)) return bytes;
    turnOver(bytes, bit);
  }
  return undefined;
}

function turnOver(bytes: Buffer, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
}
