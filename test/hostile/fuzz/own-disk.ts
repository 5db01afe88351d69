/**
 * What lies on one's own disk, of which a bit may have rotted: rows of the derived indexes, records
 * of the chain log, and LevelDB's own files.
 */

import { crc32c } from '@aliquot/shared/derived/crc32c';
import { maskedCrc, readLevelLog } from '@aliquot/shared/derived/level-log';
import { isWholeTable } from '@aliquot/shared/derived/level-table';
import { decodeSeal, encodeSeal } from '@aliquot/shared/derived/seal';
import type { OpenFile } from '@aliquot/shared/durable/file-port';
import { noise } from '@aliquot/shared/testing/bytes';
import { readGrowthHead } from '../../../agent/src/capture/growth-state.ts';
import * as chain from '../../../agent/src/queue/log/chain-payloads.ts';
import type { FileReference } from '../../../agent/src/queue/log/facts.ts';
import * as rows from '../../../agent/src/queue/log/index-rows.ts';
import { decodeState, emptyState, encodeState } from '../../../agent/src/queue/log/index-state.ts';
import { encodeMembers, memberRuns } from '../../../agent/src/queue/log/member-runs.ts';
import * as payloads from '../../../agent/src/queue/log/payloads.ts';
import { numberRuns } from '../../../agent/src/queue/log/remains.ts';
import { decodeResultDraft, encodeResultDraft } from '../../../agent/src/queue/log/result-draft.ts';
import {
  decodeDroppedNote,
  encodeDroppedNote,
} from '../../../collector/src/store/catalog/dropped-note.ts';
import { decodeGroup, encodeGroup } from '../../../collector/src/store/catalog/group-row.ts';
import { decodeHold, encodeHold } from '../../../collector/src/store/catalog/hold-row.ts';
import * as purges from '../../../collector/src/store/catalog/purge-row.ts';
import {
  decodeRun,
  decodeTally,
  encodeRun,
  encodeTally,
} from '../../../collector/src/store/catalog/retention-runs.ts';
import * as versions from '../../../collector/src/store/catalog/version-rows.ts';
import type { FuzzTarget } from './fuzz.ts';

const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

const reference: FileReference = {
  path: utf8('/data/waits.raw'),
  size: 12_345,
  mtimeNs: -1n,
  class: 'raw',
  resultPathLength: 5,
  settledAtMs: 1_700_000_000_000,
};
const lost = { entry: 7, why: 'reference-gone', path: utf8('/data/went') } as const;

/** How many runs there are: they are read as they are asked for. */
const countOf = (runs: Iterable<unknown>): number => [...runs].length;

type Decoder = readonly [name: string, seed: Uint8Array, (bytes: Uint8Array) => unknown];

const result = { progress: 'open', grade: 'assumed', members: 3 } as const;
const members = encodeMembers(Float64Array.of(5, 8, 9, 300)) ?? new Uint8Array();

const purgeWord = { leaf: 4, timeMs: 5, by: 'maria' };
const purgeId = noise('purge', 16) as never;
const purgedCommit = {
  ...{ purgeId, place: { file: 1, offset: 20, length: 300 }, approvedLeaf: 9 },
  slots: Uint8Array.of(5),
};
const version = { slot: 7, leafIndex: 2, timeMs: 3, followedMs: 4 };

const decoders: readonly Decoder[] = [
  [
    'agent-result-draft',
    encodeResultDraft({
      ...{ kind: 'result', ...result, sourceId: noise('source', 16) as never, class: 'raw' },
      ...{ capturedAtMs: 1_700_000_000_000, platform: 'posix', root: utf8('/data/run.D') },
      versions: members,
      evidence: { profile: 'folder', profileVersion: '1', evidence: 'é', started: '', ended: '' },
    }),
    decodeResultDraft,
  ],
  ['agent-result-members', members, (bytes) => countOf(memberRuns(bytes))],
  [
    'agent-index-result',
    rows.encodeWrittenResult({ entry: 7, ...result }),
    rows.decodeWrittenResult,
  ],
  [
    'agent-chain-fork',
    chain.encodeFork({
      chainId: noise('chain', 16) as never,
      from: { chainId: noise('before', 16) as never, sequence: 5, hash: noise('h', 32) as never },
      inherited: true,
    }),
    chain.decodeFork,
  ],
  [
    'agent-chain-references',
    chain.encodeReferences([reference, reference]),
    chain.decodeReferences,
  ],
  [
    'agent-chain-dropped-references',
    chain.encodeDroppedReferences([reference.path, utf8('/x')]),
    chain.decodeDroppedReferences,
  ],
  ['agent-chain-lost-reference', chain.encodeLostReference(lost), chain.decodeLostReference],
  ['agent-index-lost', chain.encodeLostMark(lost), chain.decodeLostMark],
  ['agent-index-reference', chain.encodeReference(reference), chain.decodeReference],
  [
    'agent-index-item',
    rows.encodeItemPlace({ kind: 'slab', file: 3, offset: 4711 }),
    rows.decodeItemPlace,
  ],
  [
    'agent-index-unsigned',
    rows.encodeUnsigned({
      at: { file: 3, offset: 4711 },
      ...{ batch: 2, holdSegment: 3, itemBytes: 99, capturedAtMs: 5, class: 'raw' },
      ...{ count: 256, lost: [0, 255] },
    }),
    (bytes) => rows.unsignedEntries(1, rows.decodeUnsigned(bytes)).length,
  ],
  [
    'agent-index-commit',
    rows.encodeCommitPlace({
      at: { file: 1, offset: 80 },
      ...{ hash: noise('commit', 32), entries: 3, lastEntry: 9, itemBytes: 4, oldestMs: 5 },
      ...{ holdSegment: 1, firstEntry: 7, recordBytes: 900 },
      classes: [{ name: 'raw', bytes: 4 }],
      ...{ isLost: false, numbers: numberRuns([7, 8, 9]) },
      ...{ header: noise('header', 241), signature: noise('signature', 64) },
    }),
    rows.decodeCommitPlace,
  ],
  ['agent-index-state', encodeState(emptyState()), (bytes) => decodeState(bytes) === undefined],
  [
    'agent-queue-drafts',
    payloads.joinDrafts([utf8('one'), noise('two', 300)]),
    (bytes) => payloads.splitDrafts(bytes, 2).length,
  ],
  [
    'agent-growth-head',
    plain(Buffer.concat([Buffer.from([1]), Buffer.alloc(80, 1)])),
    (bytes) => readGrowthHead(bytes) === undefined,
  ],
  [
    'collector-row-head',
    versions.encodeHead({ timeMs: 5, leafIndex: 300, slot: 255, kind: 'file', size: 2 ** 50 }),
    versions.decodeHead,
  ],
  [
    'collector-row-live',
    versions.encodeLive({ afterMs: 5, bits: noise('bits', 32) }) ?? new Uint8Array(0),
    versions.decodeLive,
  ],
  [
    'collector-row-earlier',
    versions.encodeEarlier({
      earlier: new Map([
        [0, { ...version, kind: 'gone', slot: 1, replacedBy: undefined }],
        [254, { ...version, kind: 'result', slot: 65_535, replacedBy: version }],
      ]),
      alone: new Map([[255, 5]]),
    }) ?? new Uint8Array(0),
    (bytes) => versions.decodeEarlierRow(bytes).earlier.size,
  ],
  [
    'collector-row-group',
    encodeGroup({
      ...{ groupId: noise('group', 16) as never, addedLeaf: 3, addedAtMs: 4 },
      end: { leaf: 9, timeMs: 10 },
      certificate: { body: noise('body', 90), signature: noise('signature', 64) },
    }),
    decodeGroup,
  ],
  [
    'collector-row-hold',
    encodeHold({
      body: {
        version: 1,
        ...{ vaultId: noise('vault', 16) as never, holdId: noise('hold', 16) as never },
        ...{ name: 'trial-7', reason: 'audit', owner: 'QA', agents: ['hplc-*'] },
        ...{ lineageIds: [noise('lineage', 16) as never], classes: ['raw'], fromMs: 5, toMs: 6 },
        paths: noise('paths', 80),
      },
      ...{ setLeaf: 3, setAtMs: 4 },
      resolved: { size: 9, leaf: 9 },
      resolving: { size: 11, parts: 3, next: 2 },
      released: { leaf: 12, timeMs: 13, by: 'maria', reason: 'over' },
    }),
    decodeHold,
  ],
  [
    'collector-row-dropped-note',
    encodeDroppedNote({ run: 3, fromMs: 4, untilMs: 5, size: 6, isGone: true }),
    decodeDroppedNote,
  ],
  [
    'collector-row-purge',
    purges.encodePurge({
      body: {
        ...{ version: 1, vaultId: noise('vault', 16) as never, purgeId },
        ...{ lineageId: noise('lineage', 16) as never, fileIds: [noise('file', 16) as never] },
        head: { logEpoch: 1, size: 9, root: noise('root', 32) },
        ...{ orderedAtMs: 5, reason: 'request 2026-11' },
      },
      ordered: purgeWord,
      approved: { ...purgeWord, unswept: 7, announced: 7, sweptAtMs: 9 },
      cancelled: { ...purgeWord, reason: 'another subject' },
    }),
    purges.decodePurge,
  ],
  [
    'collector-row-purged-commit',
    purges.encodePurgedCommit(purgedCommit),
    purges.decodePurgedCommit,
  ],
  [
    'collector-row-purging',
    purges.encodePurging([{ ...purgedCommit, leafIndex: 7, isLeft: true }]),
    (bytes) => purges.decodePurging(bytes).length,
  ],
  [
    'collector-row-run',
    encodeRun({
      ...{ run: 3, leafIndex: 40, timeMs: 5, policy: 2, versions: 7, bytes: 2 ** 40 },
      ...{ sum: noise('sum', 32), undoUntilMs: 0, approves: 0 },
      brakes: [{ kind: 'versions', agent: 'hplc-1', of: 100, expiring: 70 }],
      ...{ approvedAtMs: 6, approvedLeaf: 41 },
      undone: { timeMs: 8, leafIndex: 42, policy: 2 },
      agents: new Map([['hplc-1', 7]]),
    }),
    decodeRun,
  ],
  [
    'collector-row-tally',
    encodeTally(new Map([['hplc-1', 7]])),
    (bytes) => decodeTally(bytes).size,
  ],
  [
    'derived-seal',
    encodeSeal({ changes: 12, mark: noise('mark', 40) }),
    (bytes) => decodeSeal(bytes)?.mark.length,
  ],
];

/** An open file that holds these bytes; nothing but reading is asked of it. */
const fileOf = (bytes: Uint8Array): OpenFile =>
  ({
    read: async (into: Uint8Array, position: number) => {
      const span = bytes.subarray(position, position + into.length);
      into.set(span);
      return span.length;
    },
  }) as unknown as OpenFile;

const HEADER_BYTES = 7;

/** One fragment of LevelDB's log format. */
function fragment(type: number, bytes: Uint8Array): Buffer {
  const whole = Buffer.concat([Buffer.alloc(HEADER_BYTES), bytes]);
  whole.writeUInt16LE(bytes.length, 4);
  whole.writeUInt8(type, 6);
  return withFragmentCrc(whole, 0) ?? whole;
}

/** The checksum of the fragment at a place put right; undefined when there is none. */
function withFragmentCrc(bytes: Buffer, at: number): Buffer | undefined {
  const end = at + HEADER_BYTES + bytes.readUInt16LE(at + 4);
  if (end > bytes.length) return undefined;
  bytes.writeUInt32LE(maskedCrc(crc32c(bytes, at + 6, end)), at);
  return bytes;
}

/** A block of a table with its trailer, not packed. */
function block(...rowsIn: readonly (readonly [key: string, value: Uint8Array])[]): Buffer {
  const parts = rowsIn.flatMap(([key, value]) => [
    Buffer.from([0, key.length, value.length]),
    Buffer.from(key),
    value,
  ]);
  const content = Buffer.concat([...parts, Buffer.from([0, 0, 0, 0, 1, 0, 0, 0])]);
  const trailer = Buffer.alloc(5);
  trailer.writeUInt32LE(maskedCrc(crc32c(Buffer.concat([content, Buffer.of(0)]), 0)), 1);
  return Buffer.concat([content, trailer]);
}

/** The smallest table: one block of rows, no filter. */
function table(): Uint8Array {
  const first = block(['key', Buffer.from('value')], ['other', Buffer.from('more')]);
  const meta = block();
  const list = block(['zz', Buffer.from([0, first.length - 5])]);
  const footer = Buffer.alloc(48);
  const places = [first.length, meta.length - 5, first.length + meta.length, list.length - 5];
  footer.set(places);
  footer.write('57fb808b247547db', 40, 'hex');
  return plain(Buffer.concat([first, meta, list, footer]));
}

export const ownDiskTargets: readonly FuzzTarget[] = [
  ...decoders.map(
    ([name, seed, decode]): FuzzTarget => ({
      name,
      seeds: () => [plain(seed), plain(seed.subarray(0, seed.length >> 1)), new Uint8Array(0)],
      run: (bytes) => void decode(bytes),
    }),
  ),
  {
    name: 'derived-level-log',
    seeds: () => [
      plain(Buffer.concat([fragment(1, utf8('one whole')), fragment(1, noise('next', 400))])),
      plain(
        Buffer.concat([
          fragment(2, utf8('first')),
          fragment(3, utf8(' and ')),
          fragment(4, utf8('last')),
        ]),
      ),
    ],
    repair: (bytes) => {
      const mended = Buffer.from(bytes);
      for (let at = 0; at + HEADER_BYTES <= mended.length; ) {
        if (withFragmentCrc(mended, at) === undefined) break;
        at += HEADER_BYTES + mended.readUInt16LE(at + 4);
      }
      return plain(mended);
    },
    run: async (bytes) => {
      let records = 0;
      const end = await readLevelLog(fileOf(bytes), bytes.length, { keep: 12 }, () => {
        records += 1;
      });
      return `${end} ${records}`;
    },
  },
  {
    name: 'derived-level-table',
    seeds: () => [table(), new Uint8Array(48)],
    run: (bytes) => isWholeTable(fileOf(bytes), bytes.length),
  },
];
