import {
  asChunkId,
  type ChunkId,
  type Content,
  decodePage,
  encodePage,
  encodePageClear,
  type Ref,
  type References,
  type VaultId,
} from '@aliquot/proto';
import { aeadSeal, hmacSha256, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import type { VaultKeys } from '../keys/derive.ts';
import { SealError } from './errors.ts';
import {
  checkId,
  currentSubkeys,
  itemHeader,
  openSealed,
  refOf,
  type SealedItem,
  shortId,
} from './seal.ts';

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
  /**
   * Pages to be stored before the entry is committed; lower ones first. A repeated page occurs
   * once.
   */
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
 * Turns a version's chunks, in order, into what its entry names: the refs themselves, or pages, or
 * pages of pages.
 *
 * Pages are cut by the chunk ids (content-defined, like the chunks), so a change in the middle of a
 * huge file makes one or two new pages on each level, and all others are already stored. Test only:
 * capture uses `ContentBuilder`, which takes them one at a time.
 *
 * @throws SealError `SEAL_EPOCH_UNKNOWN`.
 */
export function buildContent(keys: VaultKeys, items: readonly KeyedRef[]): BuiltContent {
  const builder = new ContentBuilder(keys);
  const pages = items.flatMap((item) => builder.push(item));
  const end = builder.finish();
  return { ...end, pages: [...pages, ...end.pages] };
}

/**
 * Content that is not complete: what follows the last closed page of each level, chunks first. Bare
 * keys: as secret as the file.
 */
export type OpenContent = readonly (readonly KeyedRef[])[];

/**
 * The same as `buildContent`, one chunk at a time: holds at most one open page a level, whatever
 * the size of the file, and can be taken up again where it was left. So appending to a huge file
 * needs neither its content nor its list of chunks.
 */
export class ContentBuilder {
  readonly #keys: VaultKeys;
  /** Level `n + 1` is there once a page of level `n` was closed. */
  readonly #levels: KeyedRef[][];
  readonly #sealed = new Set<string>();

  /** @param open What an earlier builder of the same vault had open. */
  constructor(keys: VaultKeys, open: OpenContent = []) {
    this.#keys = keys;
    this.#levels = open.map((level) => [...level]);
    if (this.#levels.length === 0) this.#levels.push([]);
  }

  /** What is open now. Later pushes do not change it. */
  get open(): OpenContent {
    return this.#levels.map((level) => [...level]);
  }

  /**
   * Takes the next chunk. The answer are the pages that it closed, lower ones first, each once.
   *
   * @throws SealError `SEAL_EPOCH_UNKNOWN`.
   */
  push(item: KeyedRef): SealedPage[] {
    const pages: SealedPage[] = [];
    this.#push(0, item, pages);
    return pages;
  }

  /**
   * The content with what is open now as its end, and the pages for that. The builder stays as it
   * is and may go on.
   */
  finish(): BuiltContent {
    const end = new ContentBuilder(this.#keys, this.#levels);
    for (const name of this.#sealed) end.#sealed.add(name);
    const pages: SealedPage[] = [];
    for (let depth = 0; ; depth += 1) {
      const level = end.#levels[depth] ?? [];
      if (end.#levels.length === depth + 1 && level.length <= INLINE_REFS) {
        return {
          content: { depth, piece: 0, refs: level.map(({ ref }) => ref) },
          keys: level.map(({ key }) => key),
          pages,
        };
      }
      if (level.length > 0) end.#close(depth, pages);
    }
  }

  #push(depth: number, item: KeyedRef, pages: SealedPage[]): void {
    let level = this.#levels[depth];
    if (level === undefined) {
      level = [];
      this.#levels.push(level);
    }
    level.push(item);
    if (level.length >= PAGE_MIN_REFS && (level.length >= PAGE_MAX_REFS || endsPage(item.ref.id)))
      this.#close(depth, pages);
  }

  #close(depth: number, pages: SealedPage[]): void {
    const page = sealPage(this.#keys, depth, this.#levels[depth] ?? []);
    this.#levels[depth] = [];
    const name = Buffer.from(page.id).toString('latin1');
    if (!this.#sealed.has(name)) pages.push(page);
    this.#sealed.add(name);
    this.#push(depth + 1, { ref: refOf(page), key: page.key }, pages);
  }
}

function endsPage(id: ChunkId): boolean {
  return new DataView(id.buffer, id.byteOffset, id.byteLength).getUint32(0) < PAGE_CUT_BELOW;
}

/**
 * Convergent like a chunk: the key follows from all bytes that it seals and authenticates, so it
 * never meets two messages.
 */
function sealPage(keys: VaultKeys, depth: number, run: readonly KeyedRef[]): SealedPage {
  const content: References = { depth, refs: run.map((item) => item.ref) };
  const clear = encodePageClear(content);
  const secret = new Uint8Array(run.length * KEY_BYTES);
  for (const [index, item] of run.entries()) secret.set(item.key, index * KEY_BYTES);
  const key = hmacSha256(currentSubkeys(keys).pageSubkey, clear, secret);
  const sealed = encodePage(
    content,
    aeadSeal(key, ZERO_NONCE, secret, pageHeader(keys.vaultId, clear)),
  );
  return {
    id: asChunkId(sha256(sealed)),
    kind: 'page',
    sealed,
    key,
    plainSize: sizeOf(content),
    epoch: keys.currentEpoch,
  };
}

function pageHeader(vaultId: VaultId, clear: Uint8Array): Uint8Array {
  return Buffer.concat([itemHeader('page', vaultId), clear]);
}

function sizeOf(content: References): number {
  return content.refs.reduce((total, ref) => total + ref.plainSize, 0);
}

/**
 * Opens one page: proves the id, the layout, the key, and that it stands for as many bytes as its
 * reference says. Test only: everybody else walks whole contents.
 *
 * @throws SealError `SEAL_ID_MISMATCH`, `SEAL_AUTHENTICATION`, `SEAL_SIZE_MISMATCH`; FormatError
 * when it is no page.
 */
export function openPage(
  vaultId: VaultId,
  ref: Ref,
  key: Uint8Array,
  bytes: Uint8Array,
): { content: References; keys: Uint8Array[] } {
  checkId('page', ref.id, bytes);
  const page = decodePage(bytes);
  const secret = openSealed('page', key, page.sealedKeys, pageHeader(vaultId, page.clear));
  if (secret.length !== page.content.refs.length * KEY_BYTES) {
    throw new SealError(
      'SEAL_KEY_COUNT',
      `page ${shortId(ref.id)} has not one key for each reference`,
    );
  }
  if (sizeOf(page.content) !== ref.plainSize) {
    throw new SealError(
      'SEAL_SIZE_MISMATCH',
      `page ${shortId(ref.id)} stands for another size than its reference says`,
    );
  }
  const keys = page.content.refs.map((_, index) =>
    secret.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES),
  );
  return { content: page.content, keys };
}

/**
 * Every chunk of a version in order, with its key and the offset of its first byte. Pages are
 * fetched one at a time as the walk reaches them, so memory is bounded by the depth and not by the
 * size of the file.
 *
 * @param fetchPage The stored bytes of a page; its errors pass through.
 * @throws SealError as `openPage`, and `SEAL_KEY_COUNT`, `SEAL_PAGE_DEPTH`.
 */
export async function* walkContent(
  vaultId: VaultId,
  content: References,
  keys: readonly Uint8Array[],
  fetchPage: (ref: Ref) => Promise<Uint8Array>,
  offset = 0,
): AsyncGenerator<KeyedRef & { readonly offset: number }, void, void> {
  if (keys.length !== content.refs.length)
    throw new SealError('SEAL_KEY_COUNT', 'the content has not one key for each reference');
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
