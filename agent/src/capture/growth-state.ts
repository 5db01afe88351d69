import { asChunkId, type ChunkId } from '@aliquot/proto';
import type { KeyedRef, OpenContent } from '@aliquot/shared/content/pages';
import {
  aeadOpen,
  aeadSeal,
  CryptoError,
  hmacSha256,
  labelled,
  sha256,
} from '@aliquot/shared/crypto/primitives';
import type { VaultKeys } from '@aliquot/shared/keys/derive';
import { LayoutReader, LayoutWriter } from '../queue/log/codec.ts';
import { QueueError } from '../queue/log/errors.ts';

/*
 * How a growing file is continued (I-A11). With a version of a file that may grow, the agent keeps
 * what its content had open at its last cut: the open page of each level, with keys. It is sealed
 * under a key that only some of the file's own chunks lead to, so the state of a stolen PC opens
 * nothing, and whoever can open it has just read those chunks and found them as they were.
 */

/** Above any state: four levels of a thousand references. */
const MAX_GROWTH_BYTES = 512 << 10;

const LAYOUT = 1;
const KEY_LABEL = 'aliquot/v1/growth-key';
const NONCE_LABEL = 'aliquot/v1/growth-nonce';
const PARAMETERS_LABEL = 'aliquot/v1/growth-parameters';
const NONCE_BYTES = 12;

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

/** A chunk of the old part, as it was read. */
export interface Taken extends Sample {
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

/** The sealed state of a file whose content is `open` at `head`'s boundary. */
export function sealGrowth(
  keys: VaultKeys,
  cacheSecret: Uint8Array,
  head: GrowthHead,
  taken: readonly Taken[],
  open: OpenContent,
): Uint8Array {
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

/** Says, without a key, whether two reads have the same open. */
export function digestOf(open: OpenContent): Uint8Array {
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
