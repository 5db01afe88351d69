/** What every frame begins with. */
export const frameMagic = [0x28, 0xb5, 0x2f, 0xfd] as const;
const dictionaryIdBytes = [0, 1, 2, 4] as const;
const contentSizeLengths = [0, 2, 4, 8] as const;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/**
 * How many bytes the Zstandard frame at the start of `bytes` has, by its headers alone (RFC 8878,
 * section 3.1.1); undefined when there is no whole frame. Not every Node's unfolding refuses a
 * frame that was cut off, so we look ourselves.
 */
export function zstdFrameLength(bytes: Uint8Array): number | undefined {
  const descriptor = bytes[frameMagic.length];
  if (descriptor === undefined || frameMagic.some((byte, index) => bytes[index] !== byte))
    return undefined;
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >>> 6;
  const contentSizeBytes =
    contentSizeFlag === 0 && singleSegment ? 1 : (contentSizeLengths[contentSizeFlag] ?? 0);
  const windowBytes = singleSegment ? 0 : 1;
  let at =
    frameMagic.length +
    1 +
    windowBytes +
    (dictionaryIdBytes[descriptor & 0x03] ?? 0) +
    contentSizeBytes;
  for (let last = false; !last; ) {
    const [low, middle, high] = bytes.subarray(at, at + BLOCK_HEADER_BYTES);
    if (low === undefined || middle === undefined || high === undefined) return undefined;
    const header = low | (middle << 8) | (high << 16);
    const type = (header >>> 1) & 0x03;
    if (type === RESERVED_BLOCK) return undefined;
    at += BLOCK_HEADER_BYTES + (type === RLE_BLOCK ? 1 : header >>> 3);
    last = (header & 1) === 1;
  }
  if ((descriptor & 0x04) !== 0) at += CHECKSUM_BYTES;
  return at <= bytes.length ? at : undefined;
}
