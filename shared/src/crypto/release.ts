/** Less than this is left to the garbage collector, and is perhaps a part of a pool. */
const LEAST_BYTES = 64 * 1024;
const MOST_BESIDE_BYTES = 1024 * 1024;

/**
 * Gives the memory of a large buffer back at once, instead of whenever the garbage collector looks:
 * a stream of megabyte messages would else make it look at the whole heap many times a second. For
 * buffers that the caller owns alone; every view of it is empty afterwards.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (
    bytes.byteLength < LEAST_BYTES ||
    !(buffer instanceof ArrayBuffer) ||
    buffer.byteLength - bytes.byteLength > MOST_BESIDE_BYTES
  )
    return;
  buffer.transfer(0);
}

/**
 * `release` for a buffer of which `bytes` are all: what shares its memory with others is left
 * alone.
 */
export function releaseWhole(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) release(bytes);
}
