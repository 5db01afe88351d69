/**
 * SEALING.md, "Version block": up to 256 versions sealed once, where they are captured. The bytes
 * go unchanged through queue, chain log, commit and history.
 */
import { constants } from 'node:zlib';
import {
  type BlockRow,
  type BlockSlab,
  decodeBlock,
  type EntryDraft,
  encodeBlockClear,
  encodeBlockList,
  type ListRow,
  MAX_BLOCK_LIST_BYTES,
  MAX_BLOCK_ROWS,
  MAX_DIFFERENCE,
  type PurgedRow,
  type ReadPart,
  SALT_BYTES,
  setSegmentLengths,
  TAG_BYTES,
} from '@aliquot/proto';
import { longestFrame, ZstdCompressor } from '../content/zstd.ts';
import { concat, mapKey, mapKeys, wipe } from '../crypto/bytes.ts';
import { aeadSeal, labelled, sha256, ZERO_NONCE } from '../crypto/primitives.ts';
import { rootOfHashes } from '../log/hashing.ts';
import type { Random } from '../ports.ts';
import { clearHashOf, leafOf, rowsHashOf, saltsFrom } from './block-leaf.ts';
import { CommitError } from './errors.ts';
import { blockMarks } from './summary.ts';

const KEY_BYTES = 32;
/** The length of the plaintext, in front of the compressed list. */
const LENGTH_BYTES = 4;
export const LIST_LABEL = 'aliquot/v1/block-list';
export const READ_LABEL = 'aliquot/v1/block-read';

/** A version as it was captured: a row with its names, its hash and its keys. */
export interface RowDraft extends ListRow {
  readonly row: BlockRow;
  /**
   * Present exactly when the row is a file's. Of a piece: the piece's key, unless `slabKey` is
   * there.
   */
  readonly read: ReadPart | undefined;
  /**
   * The key of the slab that the row names a piece of: serves all rows of that slab in the block.
   */
  readonly slabKey?: Uint8Array | undefined;
}

/** The two random keys of a block: never used for a second one, nor again after a purge. */
export interface BlockKeys {
  readonly listKey: Uint8Array;
  readonly readKey: Uint8Array;
}

/** A block, what a commit says of it, and its keys, which the caller owns and wipes. */
export interface SealedBlock extends BlockKeys {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Merkle root over the rows' leaves. */
  readonly root: Uint8Array;
  /** Hash over the clear rows. */
  readonly rowsHash: Uint8Array;
  /** What the commit's summary has of its rows, in their order. */
  readonly marks: Uint8Array;
}

/** What a row may take of a block: numbers, ids and hashes beside its texts. */
const ROW_BYTES = 192;
/** One reference with its key. */
const REF_BYTES = 96;

/** Gathers rows while they fit into one block. Seam: for the worker that captures. */
export class BlockBuilder {
  readonly #files = new Set<number>();
  #drafts: RowDraft[] = [];
  #bytes = 0;
  /** What was asked about last: it is added next. */
  #asked: { readonly draft: RowDraft; readonly id: number; readonly room: number } | undefined;

  get count(): number {
    return this.#drafts.length;
  }

  /**
   * Whether a row still belongs into the block; else `seal` comes first. Not when there is a
   * version of the same file already, of another platform, or from another age.
   */
  fits(draft: RowDraft): boolean {
    const { id, room } = this.#measure(draft);
    const last = this.#drafts.at(-1);
    if (last === undefined) return true;
    return (
      this.count < MAX_BLOCK_ROWS &&
      this.#bytes + room <= MAX_BLOCK_LIST_BYTES &&
      !this.#files.has(id) &&
      draft.list.platform === last.list.platform &&
      Math.abs(draft.row.capturedAtMs - last.row.capturedAtMs) <= MAX_DIFFERENCE
    );
  }

  /** The next row, which must fit. @throws CommitError `COMMIT_ENTRY_KEYS`, `COMMIT_ENTRY_HASH`. */
  add(draft: RowDraft): void {
    checkDraft(draft);
    const { id, room } = this.#measure(draft);
    this.#drafts.push(draft);
    this.#files.add(id);
    this.#bytes += room;
  }

  #measure(draft: RowDraft): { readonly id: number; readonly room: number } {
    if (this.#asked?.draft !== draft)
      this.#asked = { draft, id: idOf(draft.row), room: roomOf(draft) };
    return this.#asked;
  }

  /** Seals what was added, at least one row, and begins the next block. @throws FormatError */
  seal(random: Random): SealedBlock {
    const drafts = this.#drafts;
    this.#drafts = [];
    this.#files.clear();
    this.#bytes = 0;
    return sealBlock(drafts, random);
  }
}

/**
 * Seals rows that fit into one block. The keys are random for each block, and each seals one
 * message, so the zero nonce is safe.
 *
 * @throws FormatError when a row contradicts itself.
 */
function sealBlock(drafts: readonly RowDraft[], random: Random): SealedBlock {
  const seed = random.bytes(KEY_BYTES);
  const salts = saltsFrom(seed, drafts.length);
  const leaves: Uint8Array[] = [];
  const clearHashes: Uint8Array[] = [];
  for (let place = 0; place < drafts.length; place += 1) {
    const draft = drafts[place] as RowDraft;
    const clearHash = clearHashOf(draft.row);
    const salt = salts.subarray(SALT_BYTES * place, SALT_BYTES * (place + 1));
    clearHashes.push(clearHash);
    leaves.push(leafOf(clearHash, salt, draft, wholeHashOf(draft)));
  }
  const sealed = assemble({ count: drafts.length, purged: [], drafts, salts: seed }, random);
  wipe(seed, salts);
  return {
    ...sealed,
    count: drafts.length,
    root: rootOfHashes(leaves),
    rowsHash: rowsHashOf(clearHashes),
  };
}

/**
 * Drafts of the queue, and rows of results as they are, in as many blocks as they take, in their
 * order. @throws as `add` and `seal`.
 */
export function sealDrafts(
  drafts: readonly (EntryDraft | RowDraft)[],
  random: Random,
): SealedBlock[] {
  const slabKeys = new Map<string, Uint8Array>();
  const nameOf = mapKeys();
  const rows = drafts.map((draft): RowDraft => {
    if ('row' in draft) return draft;
    const { list, read, slabKey: own } = draft;
    const slabId = slabIdOf(draft);
    const name = slabId === undefined ? '' : nameOf(slabId);
    if (own !== undefined) slabKeys.set(name, own);
    const slabKey = slabKeys.get(name);
    return { row: draft, list, read, slabKey, part: 'none', evidence: undefined };
  });
  return sealRows(rows, random);
}

/** Rows of any kind likewise. Test only: a queue has drafts. @throws as `add` and `seal`. */
export function sealRows(drafts: readonly RowDraft[], random: Random): SealedBlock[] {
  const blocks: SealedBlock[] = [];
  const builder = new BlockBuilder();
  for (const draft of drafts) {
    if (!builder.fits(draft)) blocks.push(builder.seal(random));
    builder.add(draft);
  }
  if (builder.count > 0) blocks.push(builder.seal(random));
  return blocks;
}

/** What a block is put together from. */
export interface BlockParts {
  readonly count: number;
  readonly purged: readonly PurgedRow[];
  /** By a purge: then `salts` are all of them. */
  readonly isAnew?: boolean;
  readonly drafts: readonly RowDraft[];
  /** The seed of the salts, or all of them where it is sealed anew. */
  readonly salts: Uint8Array;
}

/** The bytes of a block under fresh keys. @throws FormatError */
export function assemble(
  { count, purged, isAnew = false, drafts, salts }: BlockParts,
  random: Random,
): BlockKeys & Pick<SealedBlock, 'bytes' | 'marks'> {
  const keyed = new Map<string, Uint8Array>();
  const nameOf = mapKeys();
  for (const { row, slabKey } of drafts) {
    const id = slabKey === undefined ? undefined : slabIdOf(row);
    if (slabKey !== undefined && id !== undefined) keyed.set(nameOf(id), slabKey);
  }
  const rows = drafts.map(({ row }) => row);
  const isKeyedSingly = (slabId: Uint8Array) => !keyed.has(mapKey(slabId));
  const { clear, slabs } = encodeBlockClear({ count, purged, isAnew, rows, isKeyedSingly });
  const [listKey, readKey] = [random.bytes(KEY_BYTES), random.bytes(KEY_BYTES)];
  if (drafts.length === 0) return { bytes: clear, listKey, readKey, marks: new Uint8Array(0) };
  const list = compressed(encodeBlockList(drafts));
  const read = readPlaintext(drafts, slabs, keyed, salts);
  setSegmentLengths(clear, list.length + TAG_BYTES, read.length + TAG_BYTES);
  const bound = sha256(clear);
  const bytes = concat(
    clear,
    aeadSeal(listKey, ZERO_NONCE, list, segmentData(LIST_LABEL, bound)),
    aeadSeal(readKey, ZERO_NONCE, read, segmentData(READ_LABEL, bound)),
  );
  wipe(read);
  // The door has the last word: nothing leaves that would not be read.
  const marks = blockMarks(decodeBlock(bytes));
  return { bytes, listKey, readKey, marks };
}

/**
 * What a segment authenticates: which it is, and all that stands in clear. One that was moved to
 * another block, or left beside other rows, does not open.
 */
export function segmentData(label: string, clearHash: Uint8Array): Uint8Array {
  return concat(labelled(label), clearHash);
}

const compressor = new ZstdCompressor({ [constants.ZSTD_c_compressionLevel]: 1 });
let frames = new Uint8Array(0);

function compressed(plain: Uint8Array): Uint8Array {
  const most = LENGTH_BYTES + longestFrame(plain.length);
  if (frames.length < most) frames = new Uint8Array(2 * most);
  new DataView(frames.buffer).setUint32(0, plain.length);
  const length = compressor.compress(plain, frames, LENGTH_BYTES);
  return frames.subarray(0, LENGTH_BYTES + length);
}

function readPlaintext(
  drafts: readonly RowDraft[],
  slabs: readonly BlockSlab[],
  keyed: ReadonlyMap<string, Uint8Array>,
  salts: Uint8Array,
): Uint8Array {
  const parts: Uint8Array[] = [salts];
  for (const draft of drafts) {
    const hash = wholeHashOf(draft);
    if (hash !== undefined) parts.push(hash);
  }
  for (const { id } of slabs) {
    const key = keyed.get(mapKey(id));
    if (key !== undefined) parts.push(key);
  }
  const nameOf = mapKeys();
  for (const { row, read } of drafts) {
    const slabId = slabIdOf(row);
    if (slabId === undefined || !keyed.has(nameOf(slabId))) parts.push(...(read?.keys ?? []));
  }
  return concat(...parts);
}

function wholeHashOf({ read }: RowDraft): Uint8Array | undefined {
  return read === undefined || read.sha256.length === 0 ? undefined : read.sha256;
}

function slabIdOf(row: BlockRow): Uint8Array | undefined {
  return row.kind !== 'result' && row.content.piece > 0 ? row.content.refs[0]?.id : undefined;
}

/**
 * The first six bytes of an id as a number, which costs less than a text. Should two files share
 * them, the second begins the next block.
 */
function idOf(row: BlockRow): number {
  const id = row.kind === 'result' ? row.resultId : row.fileId;
  let number = 0;
  for (let at = 0; at < 6; at += 1) number = number * 256 + (id[at] ?? 0);
  return number;
}

function roomOf({ row, list, evidence }: RowDraft): number {
  const refs = row.kind === 'result' ? 0 : row.content.refs.length;
  const words = evidence === undefined ? 0 : Buffer.byteLength(Object.values(evidence).join(''));
  return (
    ROW_BYTES +
    REF_BYTES * refs +
    row.class.length +
    list.path.length +
    list.linkTarget.length +
    words
  );
}

/** The rules between the parts of a row, which the door cannot see in clear. */
function checkDraft({ row, read, slabKey, list, evidence }: RowDraft): void {
  if ((read !== undefined) !== (row.kind === 'file'))
    throw new CommitError('COMMIT_ENTRY_KEYS', `a ${row.kind} has keys, or a file has none`);
  if ((evidence !== undefined) !== (row.kind === 'result'))
    throw new CommitError('COMMIT_ENTRY_KEYS', 'only a result has evidence');
  if (list.linkTarget.length > 0 !== (row.kind === 'symlink'))
    throw new CommitError('COMMIT_ENTRY_KEYS', 'only a link has a target');
  if (read === undefined || row.kind === 'result') return;
  const wanted = row.content.refs.length;
  const keyed = row.content.piece > 0 && slabKey !== undefined;
  if (!keyed && read.keys.length !== wanted)
    throw new CommitError(
      'COMMIT_ENTRY_KEYS',
      `an entry has ${read.keys.length} keys for ${wanted} references`,
    );
  if ((read.sha256.length === 0) !== (row.completion === 'growing'))
    throw new CommitError(
      'COMMIT_ENTRY_HASH',
      `an entry that is ${row.completion} has ${read.sha256.length === 0 ? 'no hash' : 'a hash'} of its whole`,
    );
}
