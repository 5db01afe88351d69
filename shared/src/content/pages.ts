import { asChunkId, type ChunkId, type Content, decodePage, encodePage, encodePageClear, type Ref, type VaultId } from '@aliquot/proto';
import { aeadSeal, hmacSha256, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import type { VaultKeys } from '../keys/derive.ts';
import { SealError } from './errors.ts';
import { checkId, currentSubkeys, itemHeader, openSealed, refOf, type SealedItem, shortId } from './seal.ts';

/** One reference of a content list with the key that opens what it names. */
export interface KeyedRef {
  readonly ref: Ref;
  readonly key: Uint8Array;
}

export interface SealedPage extends SealedItem {
  readonly kind: 'page';
}

export interface BuiltContent {
  /** What goes into the entry in clear. */
  readonly content: Content;
  /** One key for each of `content.refs`, for the entry's read part. */
  readonly keys: Uint8Array[];
  /** Pages to be stored before the entry is committed; lower ones first. A repeated page occurs once. */
  readonly pages: SealedPage[];
}

const KEY_BYTES = 32;
/** Lists up to this length stay in the entry: a page would cost more than it spares. */
const INLINE_REFS = 32;
const PAGE_MIN_REFS = 64;
const PAGE_MAX_REFS = 1024;
/** One ref in 192 ends a page, which with the minimum of 64 makes pages of 256 on average. */
const PAGE_CUT_BELOW = Math.floor(2 ** 32 / 192);

/**
 * Turns a version's chunks, in order, into what its entry names: the refs themselves, or pages, or pages of pages.
 *
 * Pages are cut by the chunk ids (content-defined, like the chunks), so a change in the middle of a huge file makes one
 * or two new pages on each level, and all others are already stored.
 *
 * @throws SealError `SEAL_EPOCH_UNKNOWN`.
 */
export function buildContent(keys: VaultKeys, items: readonly KeyedRef[]): BuiltContent {
  const pages = new Map<string, SealedPage>();
  let level: readonly KeyedRef[] = items;
  let depth = 0;
  while (level.length > INLINE_REFS) {
    const above: KeyedRef[] = [];
    for (const run of pageRuns(level)) {
      const page = sealPage(keys, depth, run);
      pages.set(Buffer.from(page.id).toString('latin1'), page);
      above.push({ ref: refOf(page), key: page.key });
    }
    level = above;
    depth += 1;
  }
  return {
    content: { depth, refs: level.map((item) => item.ref) },
    keys: level.map((item) => item.key),
    pages: [...pages.values()],
  };
}

function* pageRuns(items: readonly KeyedRef[]): Generator<readonly KeyedRef[]> {
  let start = 0;
  for (let end = 1; end <= items.length; end += 1) {
    const count = end - start;
    const last = items[end - 1];
    const cut = last !== undefined && count >= PAGE_MIN_REFS && (count >= PAGE_MAX_REFS || endsPage(last.ref.id));
    if (cut || end === items.length) {
      yield items.slice(start, end);
      start = end;
    }
  }
}

function endsPage(id: ChunkId): boolean {
  return new DataView(id.buffer, id.byteOffset, id.byteLength).getUint32(0) < PAGE_CUT_BELOW;
}

/** Convergent like a chunk: the key follows from all bytes that it seals and authenticates, so it never meets two messages. */
function sealPage(keys: VaultKeys, depth: number, run: readonly KeyedRef[]): SealedPage {
  const content: Content = { depth, refs: run.map((item) => item.ref) };
  const clear = encodePageClear(content);
  const secret = new Uint8Array(run.length * KEY_BYTES);
  for (const [index, item] of run.entries()) secret.set(item.key, index * KEY_BYTES);
  const key = hmacSha256(currentSubkeys(keys).pageSubkey, clear, secret);
  const sealed = encodePage(content, aeadSeal(key, ZERO_NONCE, secret, pageHeader(keys.vaultId, clear)));
  return { id: asChunkId(sha256(sealed)), kind: 'page', sealed, key, plainSize: sizeOf(content), epoch: keys.currentEpoch };
}

function pageHeader(vaultId: VaultId, clear: Uint8Array): Uint8Array {
  return Buffer.concat([itemHeader('page', vaultId), clear]);
}

function sizeOf(content: Content): number {
  return content.refs.reduce((total, ref) => total + ref.plainSize, 0);
}

/**
 * Opens one page: proves the id, the layout, the key, and that it stands for as many bytes as its reference says.
 * Test only: everybody else walks whole contents.
 *
 * @throws SealError `SEAL_ID_MISMATCH`, `SEAL_AUTHENTICATION`, `SEAL_SIZE_MISMATCH`; FormatError when it is no page.
 */
export function openPage(vaultId: VaultId, ref: Ref, key: Uint8Array, bytes: Uint8Array): { content: Content; keys: Uint8Array[] } {
  checkId('page', ref.id, bytes);
  const page = decodePage(bytes);
  const secret = openSealed('page', key, page.sealedKeys, pageHeader(vaultId, page.clear));
  if (secret.length !== page.content.refs.length * KEY_BYTES) {
    throw new SealError('SEAL_KEY_COUNT', `page ${shortId(ref.id)} has not one key for each reference`);
  }
  if (sizeOf(page.content) !== ref.plainSize) {
    throw new SealError('SEAL_SIZE_MISMATCH', `page ${shortId(ref.id)} stands for another size than its reference says`);
  }
  const keys = page.content.refs.map((_, index) => secret.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES));
  return { content: page.content, keys };
}

/**
 * Every chunk of a version in order, with its key and the offset of its first byte. Pages are fetched one at a time as
 * the walk reaches them, so memory is bounded by the depth and not by the size of the file.
 *
 * @param fetchPage The stored bytes of a page; its errors pass through.
 * @throws SealError as `openPage`, and `SEAL_KEY_COUNT`, `SEAL_PAGE_DEPTH`.
 */
export async function* walkContent(
  vaultId: VaultId,
  content: Content,
  keys: readonly Uint8Array[],
  fetchPage: (ref: Ref) => Promise<Uint8Array>,
  offset = 0,
): AsyncGenerator<KeyedRef & { readonly offset: number }, void, void> {
  if (keys.length !== content.refs.length) throw new SealError('SEAL_KEY_COUNT', 'the content has not one key for each reference');
  let at = offset;
  for (const [index, ref] of content.refs.entries()) {
    const key = keys[index] as Uint8Array;
    if (content.depth === 0) {
      yield { ref, key, offset: at };
    } else {
      const page = openPage(vaultId, ref, key, await fetchPage(ref));
      if (page.content.depth !== content.depth - 1) {
        throw new SealError(
          'SEAL_PAGE_DEPTH',
          `page ${shortId(ref.id)} has depth ${page.content.depth} where ${content.depth - 1} belongs`,
        );
      }
      yield* walkContent(vaultId, page.content, page.keys, fetchPage, at);
    }
    at += ref.plainSize;
  }
}
