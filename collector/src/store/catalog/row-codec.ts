import {
  asAgentId,
  asChainId,
  asCommitHash,
  asLineageId,
  type ChainId,
  decodeClockCorrectionBody,
  encodeClockCorrectionBody,
  type LineageId,
  type Signed,
} from '@aliquot/proto';
import type { LoggedCorrection } from '@aliquot/shared/log/log-times';
import type { Owned } from '../../collection/one-set.ts';
import { StoreError } from '../errors.ts';
import type { HistoryPlace, HistoryPoint } from '../history/history-log.ts';
import type { SweepRow } from '../vault-records.ts';
import type {
  AgentRow,
  BranchRow,
  BrokenRow,
  ChainHeadRow,
  ChainRow,
  ItemSums,
  LearnedRow,
  LineageRow,
  LinkRow,
  LivePack,
  LostRow,
  NotedMoment,
  Sums,
} from './catalog-rows.ts';
import { decodeItemRow, encodeItemRow, type ItemRow } from './item-row.ts';
import type { Rhythm } from './rhythm.ts';
import { RowReader, RowWriter } from './row.ts';

const byteSums = ['rawBytes', 'uniqueBytes', 'liveBytes'] as const;
const counters = [
  'commits',
  'versions',
  'files',
  'histories',
  'leaves',
  'logEpoch',
  'lastLeafMs',
] as const;

const branchStates = ['held', 'clone', 'restored'] as const;
const states = ['expected', 'enrolled', 'revoked', 'replaced', 'pending'] as const;

/** An optional number: 0 for none, else one more than the number. */
const optional = (value: number | undefined): number => (value === undefined ? 0 : value + 1);
const fromOptional = (value: number): number | undefined => (value === 0 ? undefined : value - 1);

const NOTHING = new Uint8Array(0);

function momentRow({ timeMs, leaves }: NotedMoment): RowWriter {
  return new RowWriter().u64(timeMs).u64(leaves);
}

function momentIn(row: RowReader): NotedMoment {
  return { timeMs: row.u64(), leaves: row.u64() };
}

function signedFrom(row: RowReader): Signed {
  return { body: row.blob(), signature: row.blob() };
}

/** Both parts are empty where there is none. */
function signedIn(row: RowReader): Signed | undefined {
  const signed = signedFrom(row);
  return signed.signature.length === 0 ? undefined : signed;
}

function oneOf<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined)
    throw new StoreError(
      'STORE_CATALOG',
      'a catalog row is not of this release: run aliquot fsck --repair, which rebuilds the catalog',
    );
  return value;
}

/** A leaf of the log: where its record stands, and its bytes (`LogLeaf`). */
interface LeafRow {
  readonly type: 'commit' | 'event';
  readonly place: HistoryPlace;
  readonly bytes: Uint8Array;
}

/** The value of each kind of row. */
export const values = {
  u32: (value: number) => new RowWriter().u32(value).finish(),
  u64: (value: number) => new RowWriter().u64(value).finish(),
  point: ({ file, offset }: HistoryPoint) => new RowWriter().u32(file).u32(offset).finish(),
  leaf: ({ file, offset, length }: HistoryPlace, type: 'commit' | 'event', bytes: Uint8Array) =>
    new RowWriter()
      .u8(type === 'commit' ? 1 : 2)
      .u32(file)
      .u32(offset)
      .u32(length)
      .blob(bytes)
      .finish(),
  sums: (sums: Sums) => {
    const row = new RowWriter();
    for (const field of byteSums) row.u128(sums[field]);
    for (const field of counters) row.u64(sums[field]);
    return row.finish();
  },
  itemSums: ({ storedBytes, chunks, pages, slabs }: ItemSums) =>
    new RowWriter().u128(storedBytes).u64(chunks).u64(pages).u64(slabs).finish(),
  sweep: ({ announced, swept, droppedVersions, droppedBytes }: SweepRow) =>
    new RowWriter().u64(announced).u64(swept).u64(droppedVersions).u128(droppedBytes).finish(),
  live: ({ items, bytes }: LivePack) => new RowWriter().u32(items).u64(bytes).finish(),
  item: encodeItemRow,
  owned: (owned: Owned) => new RowWriter().u8(owned === 'uploaded' ? 1 : 2).finish(),
  lineage: (row: LineageRow) =>
    new RowWriter()
      .u32(row.number)
      .u64(row.files)
      .u128(row.bytes)
      .u64(optional(row.lastReceiptMs))
      .u64(optional(row.afterMs))
      .finish(),
  agent: (row: AgentRow) =>
    new RowWriter()
      .fixed(row.agentId)
      .fixed(row.lineageId)
      .text(row.name)
      .u8(states.indexOf(row.state))
      .u64(row.expectedLeaf)
      .u64(optional(row.enrolledLeaf))
      .u64(row.expectedAtMs)
      .u64(optional(row.enrolledAtMs))
      .u64(optional(row.endedAtMs))
      .u64(optional(row.endedLeaf))
      .text(row.endReason)
      .blob(row.enrolment.body)
      .blob(row.enrolment.signature)
      .blob(row.binding?.body ?? NOTHING)
      .blob(row.binding?.signature ?? NOTHING)
      .blob(row.approval?.body ?? NOTHING)
      .blob(row.approval?.signature ?? NOTHING)
      .blob(row.operator?.body ?? NOTHING)
      .blob(row.operator?.signature ?? NOTHING)
      .finish(),
  chain: ({ head, leafIndex, receivedAtMs, receipt }: ChainRow) =>
    new RowWriter()
      .fixed(head.chainId)
      .u64(head.sequence)
      .fixed(head.hash)
      .u64(leafIndex)
      .u64(receivedAtMs)
      .blob(receipt.body)
      .blob(receipt.signature)
      .finish(),
  link: (row: LinkRow) =>
    new RowWriter().u64(row.leafIndex).u64(row.receivedAtMs).fixed(row.branchId).finish(),
  broken: (row: BrokenRow) =>
    new RowWriter()
      .fixed(row.agentId)
      .fixed(row.branchId)
      .u64(row.sequence)
      .fixed(row.hash)
      .u64(row.receivedAtMs)
      .u8(row.isEntered ? 1 : 0)
      .finish(),
  chainHead: ({ head, branchId }: ChainHeadRow) =>
    new RowWriter().u64(head.sequence).fixed(head.hash).fixed(branchId).finish(),
  history: (row: BranchRow) =>
    new RowWriter()
      .u8(branchStates.indexOf(row.state))
      .fixed(row.at.chainId)
      .u64(row.at.sequence)
      .fixed(row.at.hash)
      .u64(row.openedAtMs)
      .u64(row.openedLeaf)
      .u64(optional(row.decidedAtMs))
      .u64(optional(row.decidedLeaf))
      .text(row.name)
      .u64(optional(row.acknowledgedLeaf))
      .finish(),
  learned: (row: LearnedRow) =>
    new RowWriter().u64(row.epoch).u32(row.logEpoch).fixed(row.branchId).finish(),
  lost: (row: LostRow) =>
    new RowWriter().u64(row.sequence).u64(row.versions).u64(row.timeMs).finish(),
  rhythm: ({ beganMs, weeks }: Rhythm) =>
    weeks
      .reduce(
        (row, { week, longestMs }) => row.u32(week).u64(longestMs),
        new RowWriter().u64(beganMs).u8(weeks.length),
      )
      .finish(),
  moment: (moment: NotedMoment) => momentRow(moment).finish(),
  heartbeat: (moment: NotedMoment, signed: Signed) =>
    momentRow(moment).blob(signed.body).blob(signed.signature).finish(),
  correction: ({ timeMs, body }: LoggedCorrection) =>
    new RowWriter().u64(timeMs).blob(encodeClockCorrectionBody(body)).finish(),
};

/** Each kind of row from its value. */
export const read = {
  u32: (bytes: Uint8Array) => new RowReader(bytes).u32(),
  u64: (bytes: Uint8Array) => new RowReader(bytes).u64(),
  point: (bytes: Uint8Array): HistoryPoint => {
    const row = new RowReader(bytes);
    return { file: row.u32(), offset: row.u32() };
  },
  leaf: (bytes: Uint8Array): LeafRow => {
    const row = new RowReader(bytes);
    return {
      type: oneOf(['commit', 'event'] as const, row.u8() - 1),
      place: { file: row.u32(), offset: row.u32(), length: row.u32() },
      bytes: row.blob(),
    };
  },
  sums: (bytes: Uint8Array): Sums => {
    const row = new RowReader(bytes);
    const bytesOf = Object.fromEntries(byteSums.map((field) => [field, row.u128()])) as Pick<
      Sums,
      (typeof byteSums)[number]
    >;
    const counted = Object.fromEntries(counters.map((field) => [field, row.u64()])) as Pick<
      Sums,
      (typeof counters)[number]
    >;
    return { ...bytesOf, ...counted };
  },
  itemSums: (bytes: Uint8Array): ItemSums => {
    const row = new RowReader(bytes);
    const [storedBytes, chunks, pages, slabs] = [row.u128(), row.u64(), row.u64(), row.u64()];
    return { storedBytes, chunks, pages, slabs };
  },
  sweep: (bytes: Uint8Array): SweepRow => {
    const row = new RowReader(bytes);
    const epochs = { announced: row.u64(), swept: row.u64() };
    return { ...epochs, droppedVersions: row.u64(), droppedBytes: row.u128() };
  },
  live: (bytes: Uint8Array): LivePack => {
    const row = new RowReader(bytes);
    return { items: row.u32(), bytes: row.u64() };
  },
  item: (bytes: Uint8Array): ItemRow => decodeItemRow(new RowReader(bytes)),
  owned: (bytes: Uint8Array): Owned =>
    oneOf(['uploaded', 'referenced'] as const, new RowReader(bytes).u8() - 1),
  lineage: (bytes: Uint8Array): LineageRow => {
    const row = new RowReader(bytes);
    const counted = { number: row.u32(), files: row.u64(), bytes: row.u128() };
    const receipts = { lastReceiptMs: fromOptional(row.u64()), afterMs: fromOptional(row.u64()) };
    return { ...counted, ...receipts };
  },
  agent: (bytes: Uint8Array): AgentRow => {
    const row = new RowReader(bytes);
    const fields = {
      agentId: asAgentId(row.fixed(16)),
      lineageId: asLineageId(row.fixed(16)),
      name: row.text(),
      state: oneOf(states, row.u8()),
      expectedLeaf: row.u64(),
      enrolledLeaf: fromOptional(row.u64()),
      expectedAtMs: row.u64(),
      enrolledAtMs: fromOptional(row.u64()),
      endedAtMs: fromOptional(row.u64()),
      endedLeaf: fromOptional(row.u64()),
      endReason: row.text(),
      enrolment: signedFrom(row),
    };
    return { ...fields, binding: signedIn(row), approval: signedIn(row), operator: signedIn(row) };
  },
  chain: (bytes: Uint8Array): ChainRow => {
    const row = new RowReader(bytes);
    const head = {
      chainId: asChainId(row.fixed(16)),
      sequence: row.u64(),
      hash: asCommitHash(row.fixed(32)),
    };
    return { head, leafIndex: row.u64(), receivedAtMs: row.u64(), receipt: signedFrom(row) };
  },
  link: (bytes: Uint8Array): LinkRow => {
    const row = new RowReader(bytes);
    return { leafIndex: row.u64(), receivedAtMs: row.u64(), branchId: asLineageId(row.fixed(16)) };
  },
  broken: (bytes: Uint8Array): BrokenRow => {
    const row = new RowReader(bytes);
    return {
      agentId: asAgentId(row.fixed(16)),
      branchId: asLineageId(row.fixed(16)),
      sequence: row.u64(),
      hash: asCommitHash(row.fixed(32)),
      receivedAtMs: row.u64(),
      isEntered: row.u8() === 1,
    };
  },
  chainHead: (bytes: Uint8Array, chainId: ChainId): ChainHeadRow => {
    const row = new RowReader(bytes);
    return {
      head: { chainId, sequence: row.u64(), hash: asCommitHash(row.fixed(32)) },
      branchId: asLineageId(row.fixed(16)),
    };
  },
  history: (bytes: Uint8Array, branchId: LineageId): BranchRow => {
    const row = new RowReader(bytes);
    const state = oneOf(branchStates, row.u8());
    const at = {
      chainId: asChainId(row.fixed(16)),
      sequence: row.u64(),
      hash: asCommitHash(row.fixed(32)),
    };
    const opened = { openedAtMs: row.u64(), openedLeaf: row.u64() };
    const decided = { decidedAtMs: fromOptional(row.u64()), decidedLeaf: fromOptional(row.u64()) };
    return {
      branchId,
      state,
      at,
      ...opened,
      ...decided,
      name: row.text(),
      acknowledgedLeaf: fromOptional(row.u64()),
    };
  },
  learned: (bytes: Uint8Array): LearnedRow => {
    const row = new RowReader(bytes);
    return { epoch: row.u64(), logEpoch: row.u32(), branchId: asLineageId(row.fixed(16)) };
  },
  lost: (bytes: Uint8Array): LostRow => {
    const row = new RowReader(bytes);
    return { sequence: row.u64(), versions: row.u64(), timeMs: row.u64() };
  },
  rhythm: (bytes: Uint8Array): Rhythm => {
    const row = new RowReader(bytes);
    const beganMs = row.u64();
    return {
      beganMs,
      weeks: Array.from({ length: row.u8() }, () => ({ week: row.u32(), longestMs: row.u64() })),
    };
  },
  moment: (bytes: Uint8Array): NotedMoment => momentIn(new RowReader(bytes)),
  correction: (leafIndex: number, bytes: Uint8Array): LoggedCorrection => {
    const row = new RowReader(bytes);
    return { leafIndex, timeMs: row.u64(), body: decodeClockCorrectionBody(row.blob()) };
  },
  heartbeat: (bytes: Uint8Array) => {
    const row = new RowReader(bytes);
    return { moment: momentIn(row), signed: signedFrom(row) };
  },
};
