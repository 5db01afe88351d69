import { asChunkId, type ChunkId } from '@aliquot/proto';
import {
  ContentBuilder,
  type KeyedRef,
  type OpenContent,
  type SealedPage,
} from '@aliquot/shared/content/pages';
import {
  aeadOpen,
  aeadSeal,
  CryptoError,
  equalBytes,
  hmacSha256,
  labelled,
  sha256,
} from '@aliquot/shared/crypto/primitives';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import type { KnownFile } from '../queue/ledger/ledger.ts';
import { LayoutReader, LayoutWriter } from '../queue/log/codec.ts';
import { QueueError } from '../queue/log/errors.ts';
import type { SourceStat } from '../source/source-port.ts';

/*
 * How a growing file is continued (I-A11). With a version of a file that may grow, the agent keeps
 * what its content had open at its last cut: the open page of each level, with keys. It is sealed
 * under a key that only some of the file's own chunks lead to, so the state of a stolen PC opens
 * nothing, and whoever can open it has just read those chunks and found them as they were.
 */

/**
 * Below this, reading the whole again costs less than the trouble. Test only: its boundary is
 * tested.
 */
export const LEAST_GROWING_BYTES = 8 << 20;
/** A file whose last change is older than this when it is captured is not expected to grow. */
const GROWING_FOR_MS = 24 * 3_600_000;
/** After this long without a change a file captured while growing is read whole, and compared. */
const GROWTH_RESTS_MS = 3_600_000;
/** A file that never rests is read whole this often anyway. */
const LONGEST_UNPROVED_MS = 7 * 24 * 3_600_000;
/**
 * What was captured as it was is read whole at its rest if that comes to no more than so much, on
 * average, since it was last read whole.
 */
const WHOLE_BYTES_PER_MS = 10_000;
/**
 * So many chunks of the old part are read again before the file is continued, besides the last one.
 */
const SAMPLES = 8;
/** Above any state: four levels of a thousand references. */
const MAX_GROWTH_BYTES = 512 << 10;

const LAYOUT = 1;
const KEY_LABEL = 'aliquot/v1/growth-key';
const NONCE_LABEL = 'aliquot/v1/growth-nonce';
const PARAMETERS_LABEL = 'aliquot/v1/growth-parameters';
const NONCE_BYTES = 12;

/** Whether a file is so large that its growth is remembered, and reading it whole is not free. */
export function mayBeContinued({ size }: Pick<KnownFile, 'size'>): boolean {
  return size >= LEAST_GROWING_BYTES;
}

/**
 * Whether the newest version of a file was captured while it grew: nothing has read all of it
 * since.
 */
export function isUnproved({
  kind,
  size,
  contentTag,
}: Pick<KnownFile, 'kind' | 'size' | 'contentTag'>): boolean {
  return kind === 'file' && size > 0 && contentTag.every((byte) => byte === 0);
}

/**
 * Whether such a file has rested long enough to be read whole, with the stamps that it was captured
 * with. A small one costs nothing.
 */
export function isRested(
  { size, mtimeNs, capturedAtMs }: Pick<KnownFile, 'size' | 'mtimeNs' | 'capturedAtMs'>,
  nowMs: number,
): boolean {
  return (
    !mayBeContinued({ size }) ||
    nowMs - Math.min(capturedAtMs, Number(mtimeNs / 1_000_000n)) >= GROWTH_RESTS_MS
  );
}

/**
 * How to read a file of which a state is known: only what was appended, or all of it, to compare.
 * Undefined when the state is another version's, or nothing is to be learnt from it. A larger size
 * and a newer time on the same inode say that it was appended to. The chunks that are read again to
 * open the state say that nothing else happened, and in the end the comparison of the whole file
 * does. `restsAtLast`: it was captured as it was, and has come to rest: it is read whole as soon as
 * that is cheap.
 */
export function growthFor(
  known: KnownFile,
  now: Pick<SourceStat, 'size' | 'mtimeNs' | 'ino'>,
  state: Uint8Array,
  nowMs: number,
  restsAtLast = false,
): { readonly state: Uint8Array; readonly whole: boolean } | undefined {
  const head = readGrowthHead(state);
  if (head === undefined || head.size !== known.size || head.mtimeNs !== known.mtimeNs)
    return undefined;
  if (head.capturedAtMs !== known.capturedAtMs) return undefined;
  const grew = now.size > known.size && now.ino === known.ino && now.mtimeNs > known.mtimeNs;
  if (!grew && !isUnproved(known)) return undefined;
  const sinceMs = nowMs - head.readWholeMs;
  const isCheap = restsAtLast && sinceMs * WHOLE_BYTES_PER_MS >= now.size;
  return { state, whole: !grew || isCheap || sinceMs >= LONGEST_UNPROVED_MS };
}

/** The version that a state continues. */
export interface GrownVersion {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly capturedAtMs: number;
}

interface Sample {
  readonly offset: number;
  readonly size: number;
}

/** What a state says in clear. */
export interface GrowthHead extends GrownVersion {
  /** When the file was last read whole. */
  readonly readWholeMs: number;
  /** Where its last cut lies: bytes behind it are read again. */
  readonly boundary: number;
  /**
   * Hash over the ids of what is open: says, without a key, whether another read found the same
   * before `boundary`.
   */
  readonly digest: Uint8Array;
  /** Chunks to read again: the last before `boundary` first. */
  readonly samples: readonly Sample[];
}

/** Undefined for anything unreadable: a cache may forget. */
export function readGrowthHead(state: Uint8Array): GrowthHead | undefined {
  try {
    return readHead(new LayoutReader(state, 'growth state'));
  } catch (error) {
    if (error instanceof QueueError) return undefined;
    throw error;
  }
}

function readHead(reader: LayoutReader): GrowthHead {
  if (reader.u8() !== LAYOUT) throw reader.damaged('unknown layout');
  const fields = {
    size: reader.u53(),
    mtimeNs: reader.i64(),
    capturedAtMs: reader.u53(),
    readWholeMs: reader.u53(),
    boundary: reader.u53(),
    digest: reader.raw(32),
  };
  const count = reader.u8();
  const all = Array.from(
    { length: count },
    (): Sample => ({ offset: reader.u53(), size: reader.u32() }),
  );
  return { ...fields, samples: all };
}

function writeHead(head: GrowthHead): LayoutWriter {
  const writer = new LayoutWriter()
    .u8(LAYOUT)
    .u53(head.size)
    .i64(head.mtimeNs)
    .u53(head.capturedAtMs)
    .u53(head.readWholeMs);
  writer.u53(head.boundary).raw(head.digest).u8(head.samples.length);
  for (const { offset, size } of head.samples) writer.u53(offset).u32(size);
  return writer;
}

interface Taken extends Sample {
  readonly fingerprint: Uint8Array;
}

/** What an earlier state gave back. */
export interface OpenedGrowth {
  readonly head: GrowthHead;
  readonly open: OpenContent;
  readonly samples: readonly Taken[];
}

/** Reads the fingerprint of a chunk of the open file; undefined when it is not there whole. */
export type ReadSample = (sample: Sample) => Uint8Array | undefined;

/**
 * Opens a state with the chunks that it names, as the file has them now. Undefined when any of them
 * is not what it was, or the vault's keys or parameters are not: the file must then be read whole.
 */
export function openGrowth(
  keys: VaultKeys,
  cacheSecret: Uint8Array,
  state: Uint8Array,
  read: ReadSample,
): OpenedGrowth | undefined {
  try {
    const reader = new LayoutReader(state, 'growth state');
    const head = readHead(reader);
    const clear = state.subarray(0, reader.position);
    const nonce = reader.raw(NONCE_BYTES);
    const sealed = reader.sized(MAX_GROWTH_BYTES);
    reader.end();
    const taken: Taken[] = [];
    for (const sample of head.samples) {
      const fingerprint = read(sample);
      if (fingerprint === undefined) return undefined;
      taken.push({ ...sample, fingerprint });
    }
    const key = stateKey(cacheSecret, taken);
    return {
      head,
      open: decodeOpen(aeadOpen(key, nonce, sealed, associated(keys, clear))),
      samples: taken,
    };
  } catch (error) {
    if (error instanceof CryptoError || error instanceof QueueError) return undefined;
    throw error;
  }
}

function stateKey(cacheSecret: Uint8Array, taken: readonly Taken[]): Uint8Array {
  return hmacSha256(
    cacheSecret,
    labelled(KEY_LABEL),
    ...taken.map(({ fingerprint }) => fingerprint),
  );
}

/** Another chunker, encoder, epoch or vault must not continue it. */
function associated(
  { vaultId, currentEpoch, gearSeed, parameters }: VaultKeys,
  clear: Uint8Array,
): Uint8Array {
  const { chunkerVersion, encoderVersion, minChunkBytes, averageChunkBytes, maxChunkBytes } =
    parameters;
  const numbers = [
    currentEpoch,
    chunkerVersion,
    encoderVersion,
    minChunkBytes,
    averageChunkBytes,
    maxChunkBytes,
  ];
  return sha256(
    labelled(PARAMETERS_LABEL),
    vaultId,
    sha256(gearSeed),
    Buffer.from(numbers.join(' ')),
    sha256(clear),
  );
}

/**
 * Follows the chunks of one file as they become known, in order: builds its content, and knows how
 * it can be continued.
 */
export class GrowthTracker {
  readonly #builder: ContentBuilder;
  readonly #resumed: OpenedGrowth | undefined;
  readonly #compare: GrowthHead | undefined;
  #offset: number;
  #samples: readonly Taken[];
  #last: Taken | undefined;
  #mark: { readonly open: OpenContent; readonly boundary: number } | undefined;
  #agrees = false;

  /**
   * @param resumed What to continue. @param compare A state whose part of the file is being read
   * again.
   */
  constructor(keys: VaultKeys, resumed: OpenedGrowth | undefined, compare: GrowthHead | undefined) {
    this.#builder = new ContentBuilder(keys, resumed?.open);
    this.#resumed = resumed;
    this.#compare = compare;
    this.#offset = resumed?.head.boundary ?? 0;
    const [last, ...others] = resumed?.samples ?? [];
    this.#last = last;
    this.#samples = others;
  }

  /**
   * Takes the next chunk. `isTail`: it ends with the file, not at a cut; only such a one may have
   * no fingerprint. The answer are pages to be stored.
   */
  push(item: KeyedRef, fingerprint: Uint8Array | undefined, isTail: boolean): SealedPage[] {
    if (isTail) this.#mark = { open: this.#builder.open, boundary: this.#offset };
    const pages = this.#builder.push(item);
    const { plainSize: size } = item.ref;
    const offset = this.#offset;
    this.#offset += size;
    if (isTail || fingerprint === undefined) return pages;
    const taken = { offset, size, fingerprint };
    this.#last = taken;
    this.#consider(taken);
    if (this.#offset === this.#compare?.boundary)
      this.#agrees = equalBytes(digestOf(this.#builder.open), this.#compare.digest);
    return pages;
  }

  /** The content of the file, all of whose chunks were pushed. */
  finish(): ReturnType<ContentBuilder['finish']> {
    return this.#builder.finish();
  }

  /**
   * Whether the part that was captured before was found as it had been; undefined when nothing was
   * compared.
   */
  get oldPart(): 'same' | 'changed' | undefined {
    if (this.#compare === undefined) return undefined;
    return this.#agrees ? 'same' : 'changed';
  }

  /** How this version can be continued; undefined when it is too small, or at rest for long. */
  state(keys: VaultKeys, cacheSecret: Uint8Array, version: GrownVersion): Uint8Array | undefined {
    const { open, boundary } = this.#mark ?? { open: this.#builder.open, boundary: this.#offset };
    const last = this.#last;
    const rests = version.capturedAtMs - Number(version.mtimeNs / 1_000_000n) > GROWING_FOR_MS;
    if (
      last === undefined ||
      version.size < LEAST_GROWING_BYTES ||
      (rests && this.#resumed === undefined)
    )
      return undefined;
    const taken = [last, ...this.#samples.filter(({ offset }) => offset !== last.offset)];
    const head: GrowthHead = {
      ...version,
      readWholeMs: this.#resumed?.head.readWholeMs ?? version.capturedAtMs,
      boundary,
      digest: digestOf(open),
      samples: taken.map(({ offset, size }) => ({ offset, size })),
    };
    const clear = writeHead(head).done();
    const secret = encodeOpen(open);
    const key = stateKey(cacheSecret, taken);
    // The nonce follows from all that it seals: one key may come twice, with another content then.
    const nonce = hmacSha256(key, labelled(NONCE_LABEL), clear, secret).subarray(0, NONCE_BYTES);
    return new LayoutWriter()
      .raw(clear)
      .raw(nonce)
      .sized(aeadSeal(key, nonce, secret, associated(keys, clear)))
      .done();
  }

  /**
   * Keeps the chunks of the least fingerprints: as good as drawn by lot, the same whichever way the
   * file was read.
   */
  #consider(taken: Taken): void {
    const worst = this.#samples.at(-1);
    if (
      this.#samples.length >= SAMPLES &&
      worst !== undefined &&
      Buffer.compare(taken.fingerprint, worst.fingerprint) >= 0
    )
      return;
    if (this.#samples.some(({ fingerprint }) => equalBytes(fingerprint, taken.fingerprint))) return;
    const all = [...this.#samples, taken].sort((a, b) =>
      Buffer.compare(a.fingerprint, b.fingerprint),
    );
    this.#samples = all.slice(0, SAMPLES);
  }
}

function digestOf(open: OpenContent): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const level of open)
    parts.push(new LayoutWriter().u32(level.length).done(), ...level.map(({ ref }) => ref.id));
  return sha256(...parts);
}

function encodeOpen(open: OpenContent): Uint8Array {
  const writer = new LayoutWriter().u8(open.length);
  for (const level of open) {
    writer.u32(level.length);
    for (const { ref, key } of level) writer.raw(ref.id).raw(key).u53(ref.plainSize).u32(ref.epoch);
  }
  return writer.done();
}

function decodeOpen(bytes: Uint8Array): OpenContent {
  const reader = new LayoutReader(bytes, 'growth state');
  const levels = Array.from({ length: reader.u8() }, () =>
    Array.from({ length: reader.u32() }, (): KeyedRef => {
      const id: ChunkId = asChunkId(reader.raw(32));
      return { key: reader.raw(32), ref: { id, plainSize: reader.u53(), epoch: reader.u32() } };
    }),
  );
  reader.end();
  return levels;
}
