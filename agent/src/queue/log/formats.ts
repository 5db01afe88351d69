import { MAX_SLAB_BYTES, type StoredKind } from '@aliquot/proto';
import { slabPlan } from '@aliquot/shared/content/slab-proof';
import type { FileFormat, RecordFault, RecordHeader } from '@aliquot/shared/records/format';
import { payloadMatches } from '@aliquot/shared/records/payload';
import { QueueError, type QueueErrorCode } from './errors.ts';
import type { QueuedItem } from './facts.ts';

/*
 * The two record logs of the queue: FORMAT.md, "Queue segment". Segments hold what is captured, the
 * chain log what was signed, receipted, and said of it since.
 */

/**
 * Above the largest sealed chunk (4 MiB + 1 KiB), version (a draft of 64 inline refs and two 32 KiB
 * paths) and signed commit (4 MiB).
 */
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024 + 64 * 1024;

const limits = <K extends string>(codes: Readonly<Record<K, number>>) =>
  Object.fromEntries(
    Object.entries(codes).map(([kind, code]) => [kind, { code, maxBytes: MAX_PAYLOAD_BYTES }]),
  ) as FileFormat<K>['kinds'];

const segmentCodes = { chunk: 1, page: 2, version: 3, refresh: 4, problem: 5, slab: 6 } as const;
const chainCodes = {
  signed: 16,
  receipt: 17,
  lost: 18,
  lostSeen: 19,
  unreceipted: 20,
  forked: 21,
  gcEpoch: 22,
  references: 23,
  referencesDropped: 24,
  referenceLost: 25,
  remains: 26,
} as const;

export type SegmentKind = keyof typeof segmentCodes;

/** Whether a record is a stored item: its digest is its id then. */
export function isItem(kind: RecordKind): kind is StoredKind {
  return kind === 'chunk' || kind === 'page' || kind === 'slab';
}

export type ChainKind = keyof typeof chainCodes;
export type RecordKind = SegmentKind | ChainKind;

/** What a record says of itself, wherever it stands. */
export type QueueRecord = Omit<RecordHeader<RecordKind>, 'syncedTo'>;

/** Which of the two logs a kind of record stands in. */
export function logOf(kind: RecordKind): 'segments' | 'chain' {
  return kind in chainCodes ? 'chain' : 'segments';
}

/**
 * What tells a record from any other at its place: the first bytes of its digest, in hexadecimal.
 */
export function tagOf({ digest }: Pick<QueueRecord, 'digest'>): string {
  return Buffer.from(digest.buffer, digest.byteOffset, 8).toString('hex');
}

const codeOf: Readonly<Record<RecordFault, QueueErrorCode>> = {
  damaged: 'QUEUE_DAMAGED',
  foreign: 'QUEUE_DAMAGED',
  later: 'QUEUE_VERSION',
  tooLarge: 'QUEUE_REFUSED',
};
const wayOut: Readonly<Record<RecordFault, string>> = {
  damaged: '; run aliquot-agent fsck',
  foreign: '',
  later: '; update aliquot-agent',
  tooLarge: '',
};

const error = (fault: RecordFault, says: string): QueueError =>
  new QueueError(codeOf[fault], `${says}${wayOut[fault]}`);

const segmentKinds: FileFormat<SegmentKind>['kinds'] = {
  ...limits(segmentCodes),
  slab: { code: segmentCodes.slab, maxBytes: MAX_SLAB_BYTES, plan: slabPlan },
};

export const segmentFormat: FileFormat<SegmentKind> = {
  name: 'queue segment',
  magic: 'ALQSEGM',
  suffix: '.seg',
  kinds: segmentKinds,
  // Each proves itself, and a version whose items are not there is named as lost.
  keepsUnsynced: true,
  error,
};

/** Whether an item is what its id stands for. */
export function isProved({ id, kind, sealed }: QueuedItem): boolean {
  return payloadMatches(segmentKinds[kind], { length: sealed.length, digest: id }, sealed);
}

export const chainFormat: FileFormat<ChainKind> = {
  name: 'chain log',
  magic: 'ALQCHAN',
  suffix: '.log',
  kinds: limits(chainCodes),
  error,
};
