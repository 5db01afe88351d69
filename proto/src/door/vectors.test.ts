import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { doors } from '../../testing/arbitraries.ts';
import { refusalOf } from '../../testing/damage.ts';
import {
  blockRow,
  clearRowBytes,
  clearRowBytesAt,
  decodeBlock,
  decodePage,
  decodeRowFacts,
  decodeSlab,
  encodeBlockClear,
  encodeCarriedFile,
  encodePage,
  encodeRowFacts,
  encodeSlab,
  pieceOf,
  type SlabPiece,
  setSegmentLengths,
  splitCarriedFile,
} from '../index.ts';

/**
 * Vectors are files that never change once released: a valid one proves that version 1 is read for
 * ever, a refused one that a mended hole stays shut. New ones are added at the end of a file.
 */
interface Vector {
  readonly name: string;
  readonly type: string;
  readonly hex: string;
  /**
   * What the bytes mean, byte strings as "0x…", 64-bit times as "…n"; absent in refused vectors.
   */
  readonly value?: unknown;
  /** The code of the refusal; absent in valid vectors. */
  readonly error?: string;
}

const folder = join(import.meta.dirname, '..', '..', 'vectors');
const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const vectors = files.flatMap(
  (file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Vector[],
);
const bytesOf = ({ hex }: Vector) => Uint8Array.from(Buffer.from(hex, 'hex'));

/** A typed value as JSON writes it in a vector. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, plain(member)]),
  );
}

/** A slab as a vector shows it: what its id covers, and its pieces. */
function slabParts(bytes: Uint8Array): { directory: Uint8Array; pieces: SlabPiece[] } {
  const slab = decodeSlab(bytes);
  const pieces = Array.from({ length: slab.count }, (_, index) => pieceOf(slab, index));
  return { directory: slab.directory, pieces };
}

function decode(vector: Vector): unknown {
  if (vector.type === 'Page') return decodePage(bytesOf(vector));
  if (vector.type === 'Slab') return slabParts(bytesOf(vector));
  if (vector.type === 'CarriedFile') return splitCarriedFile(bytesOf(vector));
  if (vector.type === 'VersionBlock') return blockIn(bytesOf(vector));
  if (vector.type === 'BlockFacts') return factsIn(bytesOf(vector));
  const door = doors[vector.type];
  if (door === undefined) throw new Error(`no door for ${vector.type}`);
  return door.decode(bytesOf(vector));
}

/** What a block says in clear, row by row, and its sealed segments. */
function blockIn(bytes: Uint8Array) {
  const block = decodeBlock(bytes);
  const { count, purged, slabs, list, read } = block;
  const rows = Array.from(block.kinds, (_, place) => blockRow(block, place));
  for (const [place, row] of rows.entries())
    expect(clearRowBytesAt(block, place).slice()).toEqual(clearRowBytes(row).slice());
  return { count, purged, slabs, rows, list, read };
}

function encodeBlock({ slabs, list, read, ...part }: ReturnType<typeof blockIn>): Uint8Array {
  const singly = slabs.filter(({ keyedSingly }) => keyedSingly).map(({ id }) => id.join());
  const isKeyedSingly = (id: Uint8Array) => singly.includes(id.join());
  const { clear } = encodeBlockClear({ ...part, isKeyedSingly });
  setSegmentLengths(clear, list.length, read.length);
  return Uint8Array.from([...clear, ...list, ...read]);
}

/** What facts say, row by row of their block. */
function factsIn(bytes: Uint8Array) {
  const block = decodeRowFacts(bytes);
  const { count, slabs, results } = block;
  const rows = Array.from(block.kinds, (kind, place) => ({
    ...{ number: block.numbers[place], kind, size: block.sizes[place] },
    ...{ id: block.ids.slice(16 * place, 16 * place + 16), capturedMs: block.capturedMs[place] },
    ...{ slab: block.slabOf[place], piece: block.pieceOf[place], result: block.resultOf[place] },
    refs: block.references.get(place)?.refs,
  }));
  const all = [...block.kinds.keys()];
  expect(encodeRowFacts(block, all, () => true)).toEqual(bytes);
  return { count, slabs, results, rows };
}

function encode(type: string, value: unknown): Uint8Array {
  if (type === 'Page') {
    const { content, sealedKeys } = value as ReturnType<typeof decodePage>;
    return encodePage(content, sealedKeys);
  }
  if (type === 'Slab') return encodeSlab((value as ReturnType<typeof slabParts>).pieces);
  if (type === 'CarriedFile')
    return encodeCarriedFile(value as ReturnType<typeof splitCarriedFile>);
  if (type === 'VersionBlock') return encodeBlock(value as ReturnType<typeof blockIn>);
  return doors[type]?.encode(value as never) ?? new Uint8Array(0);
}

describe('valid vectors of version 1', () => {
  it.each(
    vectors
      .filter(({ error }) => error === undefined)
      .map((vector) => [vector.type, vector.name, vector] as const),
  )('%s: %s', (_type, _name, vector) => {
    const value = decode(vector);
    expect(plain(value)).toEqual(vector.value);
    // Its bytes are made of a block, and were compared.
    if (vector.type === 'BlockFacts') return;
    expect(encode(vector.type, value)).toEqual(bytesOf(vector));
  });
});

describe('refused vectors', () => {
  it.each(
    vectors
      .filter(({ error }) => error !== undefined)
      .map((vector) => [vector.type, vector.name, vector] as const),
  )('%s: %s', (_type, _name, vector) => {
    expect(refusalOf(() => decode(vector))).toBe(vector.error);
  });
});

describe('the vectors', () => {
  it('cover every type both ways', () => {
    for (const type of [
      ...Object.keys(doors),
      'Page',
      'Slab',
      'CarriedFile',
      'VersionBlock',
      'BlockFacts',
    ]) {
      const own = vectors.filter((vector) => vector.type === type);
      expect(
        own.some(({ error }) => error === undefined),
        `valid ${type}`,
      ).toBe(true);
      expect(
        own.some(({ error }) => error !== undefined),
        `refused ${type}`,
      ).toBe(true);
    }
  });

  it('have names that tell them apart', () => {
    const names = vectors.map(({ type, name, error }) => `${type}: ${name}: ${error ?? 'valid'}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('show every kind of frame and event', () => {
    const kinds = new Set(
      vectors.map(({ type, value }) => `${type}.${(value as { type?: string } | undefined)?.type}`),
    );
    for (const kind of [
      'auth',
      'have',
      'chunks',
      'commit',
      'heartbeat',
      'state',
      'fetch',
      'gcLearned',
      'settingsAnswer',
      'releaseFetch',
      'diagnosis',
    ])
      expect(kinds).toContain(`ClientFrame.${kind}`);
    for (const kind of ['notice', 'gcEpoch', 'addresses', 'settings', 'releaseData', 'diagnose'])
      expect(kinds).toContain(`ServerFrame.${kind}`);
    const events = [
      'vaultAdded',
      'agentExpected',
      'agentEnrolled',
      'agentRevoked',
      'headReported',
      'epochOpened',
      'chainForked',
    ];
    for (const kind of [
      ...events,
      'gcEpochAnnounced',
      'forkDecided',
      'problemsAcknowledged',
      'addressesSet',
      'filesGone',
      'groupAdded',
      'groupEnded',
      'agentPending',
      'agentApproved',
      'releaseAdded',
      'releaseRemoved',
      'agentLost',
      'agentFound',
      'clockConfirmed',
      'clockCorrected',
      'diagnosisAsked',
      'policySet',
      'settingsSet',
      'settingsPromoted',
      'holdSet',
      'holdResolved',
      'holdReleased',
      'purgeOrdered',
      'purgeApproved',
      'purgeCancelled',
    ]) {
      expect(kinds).toContain(`EventBody.${kind}`);
    }
  });
});
