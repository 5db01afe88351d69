import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doors } from '../../testing/arbitraries.ts';
import { bytesField, refusalOf, varintField } from '../../testing/damage.ts';
import * as proto from '../index.ts';

/** A value of one type that satisfies `wanted`, the same in every run. */
function sample<T extends object>(name: string, wanted: (value: T) => boolean = () => true): T {
  const values = doors[name]?.values as fc.Arbitrary<T>;
  const found = fc.sample(values.filter(wanted), { numRuns: 1, seed: 7 })[0];
  if (found === undefined) throw new Error(`no sample of ${name}`);
  return found;
}

const filled = (length: number) => new Uint8Array(length).fill(1);
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const rising = (count: number) => Array.from({ length: count }, (_, i) => i);

const fileOn = (platform: proto.Platform) =>
  sample<proto.EntryDraft>(
    'EntryDraft',
    ({ kind, list, completion }) =>
      kind === 'file' && list.platform === platform && completion === 'assumed',
  );
const draft = fileOn('posix');
const { list: _, read: _read, ...entry } = draft;
const { list } = draft;
const { list: windowsList } = fileOn('windows');
const bare = sample<proto.EntryDraft>('EntryDraft', ({ kind }) => kind === 'gone');
/** A file of these references, each with a key. */
const encodeFile = (value: proto.Entry): Uint8Array => {
  const keys = times(value.content.refs.length, filled(32));
  return proto.encodeEntryDraft({ ...draft, ...value, read: { sha256: filled(32), keys } });
};
/** Names by themselves: of a link where they have a target. */
const encodeNames = (names: proto.ListPart): Uint8Array =>
  proto.encodeEntryDraft({
    ...bare,
    kind: names.linkTarget.length > 0 ? 'symlink' : 'gone',
    list: names,
  });
const header = sample<proto.CommitHeader>(
  'CommitHeader',
  (value) => value.sequence > 1 && value.forkedFrom === undefined,
);
/** Where a later commit under a new chain id goes on. */
const elsewhere = {
  chainId: proto.asChainId(filled(16)),
  sequence: header.sequence - 1,
  hash: header.predecessor,
};
const commit = sample<proto.SignedCommit>('SignedCommit', (value) => !value.headerOnly);
const blockOf = (bytes: number): proto.CommitBlock => ({
  block: filled(bytes),
  root: filled(32),
  listBox: filled(proto.BLOCK_KEY_BOX_BYTES),
  readBox: filled(proto.BLOCK_KEY_BOX_BYTES),
  formerDigest: undefined,
});
const gone = { rowsHash: filled(32) };
const goneBlock: proto.CommitBlock = {
  ...{ block: filled(0), root: filled(32), listBox: filled(0), readBox: filled(0) },
  ...{ formerDigest: filled(32), formerMarks: filled(8), gone },
};
const storedCommit = sample<proto.StoredCommit>('StoredCommit');
const wrap = sample<proto.Wrap>('Wrap');
const anyRule: proto.RetentionRule = {
  match: { classes: undefined, agents: undefined, sources: undefined },
  lock: undefined,
  keep: 'all',
  gone: 'forever',
};
const rulesOf = (rules: readonly proto.RetentionRule[]): Uint8Array =>
  proto.encodeRetentionRules({ rules, grace: { count: 7, unit: 'd' } });
const rulesDecoded = proto.decodeRetentionRules;
const heartbeat = sample<proto.HeartbeatBody>('HeartbeatBody');
const problem = (code: string): proto.ProblemCount => ({ code, count: 1, sinceMs: 0 });
const decided = {
  type: 'forkDecided',
  timeMs: 0,
  agentId: header.agentId,
  branchId: proto.asLineageId(filled(16)),
} as const;
const opening = sample<proto.EpochOpeningBody>('EpochOpeningBody');
const descriptor = sample<proto.VaultDescriptorBody>('VaultDescriptorBody');
const enrolment = sample<proto.EnrolmentCertificateBody>('EnrolmentCertificateBody');
const kit = sample<proto.KitContents>('KitContents');
const kitFile = sample<proto.KitFile>('KitFile');
const bundle = sample<proto.BundleContents>('BundleContents');
const addressesOf = (...urls: readonly string[]): proto.CollectorAddressesBody => ({
  version: 1,
  vaultId: proto.asVaultId(filled(16)),
  revision: 1,
  addresses: urls.map((url) => ({ url, tlsCa: '', tlsPins: [] })),
});
const hello = sample<proto.ClientHello>('ClientHello');
const uploads = sample<proto.StoredUploads>('StoredUploads');
const references = sample<proto.StoredReferences>('StoredReferences');
const dropped = sample<proto.StoredDropped>('StoredDropped');
const slotsOf = (count: number): proto.LeafSlots[] =>
  rising(count).map((leafIndex) => ({ leafIndex, slots: filled(1) }));
const purgeOrder = sample<proto.PurgeOrderBody>('PurgeOrderBody');
const fileIdsOf = (count: number): proto.FileId[] =>
  rising(count).map((number) => {
    const id = Buffer.alloc(16);
    id.writeUInt32BE(number);
    return proto.asFileId(new Uint8Array(id));
  });
const swept = sample<proto.StoredSwept>('StoredSwept');
const record = sample<proto.StateRecord>('StateRecord');
const signed = sample<proto.Signed>('Signed');
const eventBook: proto.EventBook = {
  vaultId: proto.asVaultId(filled(16)),
  events: [],
  sum: filled(32),
};
const keptPurge: proto.KeptPurge = {
  ...{ vaultId: proto.asVaultId(filled(16)), order: filled(1), approval: filled(1) },
  ...{ commits: [], sum: filled(32) },
};
const id = proto.asChunkId(filled(32));
const item = { id, kind: 'chunk' as const, size: 1 };
const ref = { id, plainSize: 1, epoch: 1 };
const withRefs = (count: number): proto.Entry => ({
  ...entry,
  size: count,
  content: { depth: 0, piece: 0, refs: times(count, ref) },
});
const pieceContent = (piece: number, plainSize: number): proto.Content => ({
  depth: 0,
  piece,
  refs: [{ ...ref, plainSize }],
});
const pieceEntry = (piece: number): proto.Entry => ({
  ...entry,
  size: 7,
  content: pieceContent(piece, 7),
});
const slabPiece = (length: number): proto.SlabPiece => ({
  length,
  hash: filled(32),
  sealed: filled(length),
});
const DIRECTORY_BYTES = 8 + 35 * 8;
/** Eight pieces that make a slab of so many bytes, by its directory. */
const slabOf = (bytes: number): proto.SlabPiece[] => {
  const each = Math.floor((bytes - DIRECTORY_BYTES) / 8);
  const last = bytes - DIRECTORY_BYTES - 7 * each;
  return [...times(7, slabPiece(each)), slabPiece(last)];
};
const ready = sample<proto.ServerFrame>('ServerFrame', (value) => value.type === 'ready');

/** A page made of its clear part and as many key bytes as it needs. */
const withKeys = (clear: Uint8Array): Uint8Array =>
  Uint8Array.from([...clear, ...filled(((clear.length - 8) / 44) * 32 + 16)]);

/**
 * Name, the largest allowed number, and the encoding of a value with that many, the door that reads
 * it.
 */
const upper: readonly (readonly [
  string,
  number,
  (n: number) => Uint8Array,
  (bytes: Uint8Array) => unknown,
])[] = [
  [
    'references inline in an entry',
    proto.MAX_INLINE_REFS,
    (n) => encodeFile(withRefs(n)),
    proto.decodeEntryDraft,
  ],
  [
    'page levels of an entry',
    proto.MAX_PAGE_DEPTH,
    (n) => encodeFile({ ...withRefs(1), content: { depth: n, piece: 0, refs: [ref] } }),
    proto.decodeEntryDraft,
  ],
  [
    'plaintext bytes of a chunk',
    proto.MAX_CHUNK_PLAIN_BYTES,
    (n) =>
      encodeFile({
        ...entry,
        size: n,
        content: { depth: 0, piece: 0, refs: [{ ...ref, plainSize: n }] },
      }),
    proto.decodeEntryDraft,
  ],
  [
    'plaintext bytes of a piece',
    proto.MAX_PIECE_PLAIN_BYTES,
    (n) => encodeFile({ ...pieceEntry(1), size: n, content: pieceContent(1, n) }),
    proto.decodeEntryDraft,
  ],
  [
    'place of a piece in its slab',
    proto.MAX_SLAB_PIECES,
    (n) => encodeFile(pieceEntry(n)),
    proto.decodeEntryDraft,
  ],
  [
    'pieces of a slab',
    proto.MAX_SLAB_PIECES,
    (n) => proto.encodeSlab(times(n, slabPiece(2))),
    proto.decodeSlab,
  ],
  [
    'sealed bytes of a piece',
    proto.MAX_PIECE_BYTES,
    (n) => proto.encodeSlab([slabPiece(n)]),
    proto.decodeSlab,
  ],
  ['bytes of a slab', proto.MAX_SLAB_BYTES, (n) => proto.encodeSlab(slabOf(n)), proto.decodeSlab],
  [
    'characters of a class',
    proto.MAX_CLASS_CHARS,
    (n) => encodeFile({ ...entry, class: 'a'.repeat(n) }),
    proto.decodeEntryDraft,
  ],
  [
    'milliseconds of a time',
    proto.MAX_TIME_MS,
    (n) => encodeFile({ ...entry, capturedAtMs: n }),
    proto.decodeEntryDraft,
  ],
  [
    'bytes of a path',
    proto.MAX_PATH_BYTES,
    (n) => encodeNames({ ...list, path: filled(n) }),
    proto.decodeEntryDraft,
  ],
  [
    'bytes of a link target',
    proto.MAX_PATH_BYTES,
    (n) => encodeNames({ ...list, linkTarget: filled(n) }),
    proto.decodeEntryDraft,
  ],
  [
    'permission bits',
    proto.MAX_MODE,
    (n) => encodeNames({ ...list, mode: n }),
    proto.decodeEntryDraft,
  ],
  [
    'Windows attributes',
    proto.MAX_UINT32,
    (n) => encodeNames({ ...windowsList, attributes: n }),
    proto.decodeEntryDraft,
  ],
  [
    'keys of a read part',
    proto.MAX_INLINE_REFS,
    (n) => encodeFile(withRefs(n)),
    proto.decodeEntryDraft,
  ],
  [
    'entries that a commit header counts',
    proto.MAX_COMMIT_ENTRIES,
    (n) => proto.encodeCommitHeader({ ...header, entryCount: n }),
    proto.decodeCommitHeader,
  ],
  [
    'chunker version',
    proto.MAX_VERSION_NUMBER,
    (n) => proto.encodeCommitHeader({ ...header, chunkerVersion: n }),
    proto.decodeCommitHeader,
  ],
  [
    'blocks of a thinned commit with facts',
    proto.MAX_COMMIT_BLOCKS,
    (n) => {
      const facts = Array.from({ length: n }, (_, block) => ({ block, rows: filled(1) }));
      return proto.encodeStoredCommit({ ...storedCommit, facts });
    },
    proto.decodeStoredCommit,
  ],
  [
    'rows of a block that is gone',
    proto.MAX_BLOCK_ROWS,
    (n) =>
      proto.encodeSignedCommit({
        ...commit,
        blocks: [{ ...goneBlock, formerMarks: filled(8 * n) }],
      }),
    proto.decodeSignedCommit,
  ],
  [
    'blocks of a commit',
    proto.MAX_COMMIT_BLOCKS,
    (n) => proto.encodeSignedCommit({ ...commit, blocks: times(n, blockOf(3)) }),
    proto.decodeSignedCommit,
  ],
  [
    'wraps of a commit',
    proto.MAX_WRAPS,
    (n) => proto.encodeSignedCommit({ ...commit, wraps: times(n, wrap) }),
    proto.decodeSignedCommit,
  ],
  [
    'bytes of a block in a commit',
    proto.MAX_BLOCK_BYTES,
    (n) => proto.encodeSignedCommit({ ...commit, blocks: [blockOf(n)] }),
    proto.decodeSignedCommit,
  ],
  [
    'bytes of a commit header',
    proto.MAX_COMMIT_HEADER_BYTES,
    (n) => proto.encodeSignedCommit({ ...commit, header: filled(n) }),
    proto.decodeSignedCommit,
  ],
  [
    'kinds of problem in a heartbeat',
    proto.MAX_PROBLEM_CODES,
    (n) =>
      proto.encodeHeartbeatBody({
        ...heartbeat,
        problems: rising(n).map((i) => problem(`code-${String(i).padStart(3, '0')}`)),
      }),
    proto.decodeHeartbeatBody,
  ],
  [
    'characters of a problem’s code',
    proto.MAX_PROBLEM_CODE_CHARS,
    (n) => proto.encodeHeartbeatBody({ ...heartbeat, problems: [problem('a'.repeat(n))] }),
    proto.decodeHeartbeatBody,
  ],
  [
    'bytes of a signed body',
    proto.MAX_SIGNED_BODY_BYTES,
    (n) => proto.encodeSigned({ ...signed, body: filled(n) }),
    proto.decodeSigned,
  ],
  [
    'lost heads of an opening',
    proto.MAX_LOST_HEADS,
    (n) => proto.encodeEpochOpeningBody({ ...opening, lost: times(n, opening.base) }),
    proto.decodeEpochOpeningBody,
  ],
  ['rules of retention', proto.MAX_RULES, (n) => rulesOf(times(n, anyRule)), rulesDecoded],
  [
    'names in a rule of retention',
    proto.MAX_RULE_NAMES,
    (n) => rulesOf([{ ...anyRule, match: { ...anyRule.match, agents: times(n, 'a') } }]),
    rulesDecoded,
  ],
  [
    'months of a term',
    proto.maxTermCounts.mo,
    (n) => rulesOf([{ ...anyRule, lock: { count: n, unit: 'mo' } }]),
    rulesDecoded,
  ],
  [
    'endings of a vault',
    proto.MAX_BOOK_EVENTS,
    (n) => proto.encodeEventBook({ ...eventBook, events: times(n, filled(1)) }),
    proto.decodeEventBook,
  ],
  [
    'bytes of an ending',
    proto.MAX_EVENT_BYTES,
    (n) => proto.encodeEventBook({ ...eventBook, events: [filled(n)] }),
    proto.decodeEventBook,
  ],
  [
    'commits of a purge that is kept',
    proto.MAX_PURGED_COMMITS,
    (n) => proto.encodeKeptPurge({ ...keptPurge, commits: times(n, filled(1)) }),
    proto.decodeKeptPurge,
  ],
  [
    'bytes of one of them',
    proto.MAX_RECORD_BYTES,
    (n) => proto.encodeKeptPurge({ ...keptPurge, commits: [filled(n)] }),
    proto.decodeKeptPurge,
  ],
  [
    'bytes of its order',
    proto.MAX_EVENT_BYTES,
    (n) => proto.encodeKeptPurge({ ...keptPurge, order: filled(n) }),
    proto.decodeKeptPurge,
  ],
  [
    'bytes of its approval',
    proto.MAX_EVENT_BYTES,
    (n) => proto.encodeKeptPurge({ ...keptPurge, approval: filled(n) }),
    proto.decodeKeptPurge,
  ],
  [
    'characters of a reason',
    proto.MAX_TEXT_CHARS,
    (n) =>
      proto.encodeEventBody({
        type: 'agentRevoked',
        timeMs: 0,
        agentId: header.agentId,
        reason: '\u{1f9ea}'.repeat(n),
      }),
    proto.decodeEventBody,
  ],
  [
    'characters of a vault name',
    proto.MAX_NAME_CHARS,
    (n) => proto.encodeVaultDescriptorBody({ ...descriptor, name: 'ö'.repeat(n) }),
    proto.decodeVaultDescriptorBody,
  ],
  [
    'characters of an agent name',
    proto.MAX_AGENT_NAME_CHARS,
    (n) => proto.encodeEnrolmentCertificateBody({ ...enrolment, name: 'a'.repeat(n) }),
    proto.decodeEnrolmentCertificateBody,
  ],
  [
    'bytes of the largest chunk in vault parameters',
    proto.MAX_CHUNK_PLAIN_BYTES,
    (n) =>
      proto.encodeVaultDescriptorBody({
        ...descriptor,
        parameters: { ...descriptor.parameters, maxChunkBytes: n },
      }),
    proto.decodeVaultDescriptorBody,
  ],
  [
    'dedup secrets of a kit',
    proto.MAX_DEDUP_SECRETS,
    (n) =>
      proto.encodeKitContents({
        ...kit,
        dedupSecrets: rising(n).map((i) => ({ epoch: i + 1, secret: filled(32) })),
      }),
    proto.decodeKitContents,
  ],
  [
    'scrypt cost',
    proto.MAX_SCRYPT_LOG_N,
    (n) => proto.encodeKitFile({ ...kitFile, scryptLogN: n, scryptR: 8 }),
    proto.decodeKitFile,
  ],
  [
    'scrypt block size',
    proto.MAX_SCRYPT_R,
    (n) => proto.encodeKitFile({ ...kitFile, scryptLogN: 10, scryptR: n }),
    proto.decodeKitFile,
  ],
  [
    'scrypt block size beside a high cost',
    8,
    (n) => proto.encodeKitFile({ ...kitFile, scryptLogN: proto.MAX_SCRYPT_LOG_N, scryptR: n }),
    proto.decodeKitFile,
  ],
  [
    'scrypt parallelisation',
    proto.MAX_SCRYPT_P,
    (n) => proto.encodeKitFile({ ...kitFile, scryptP: n }),
    proto.decodeKitFile,
  ],
  [
    'characters of a URL',
    proto.MAX_URL_CHARS,
    (n) => proto.encodeBundleContents({ ...bundle, url: 'u'.repeat(n) }),
    proto.decodeBundleContents,
  ],
  [
    'files that are gone in one event',
    proto.MAX_GONE_FILES,
    (n) =>
      proto.encodeEventBody({
        type: 'filesGone',
        timeMs: 0,
        agentId: header.agentId,
        fileIds: times(n, proto.asFileId(filled(16))),
      }),
    proto.decodeEventBody,
  ],
  [
    'addresses of a collector',
    proto.MAX_ADDRESSES,
    (n) =>
      proto.encodeCollectorAddressesBody(
        addressesOf(...rising(n).map((number) => `https://c${number}.example`)),
      ),
    proto.decodeCollectorAddressesBody,
  ],
  [
    'keys pinned for one address',
    proto.MAX_TLS_PINS,
    (n) => proto.encodeBundleContents({ ...bundle, tlsPins: times(n, filled(32)) }),
    proto.decodeBundleContents,
  ],
  [
    'characters of a certificate',
    proto.MAX_PEM_CHARS,
    (n) => proto.encodeBundleContents({ ...bundle, tlsCa: 'A'.repeat(n) }),
    proto.decodeBundleContents,
  ],
  [
    'versions offered',
    proto.MAX_OFFERED_VERSIONS,
    (n) => proto.encodeClientHello({ ...hello, versions: rising(n).map((i) => i + 1) }),
    proto.decodeClientHello,
  ],
  [
    'ids of a question',
    proto.MAX_IDS,
    (n) => proto.encodeClientFrame({ type: 'have', requestId: 1, ids: times(n, id) }),
    proto.decodeClientFrame,
  ],
  [
    'items of a frame',
    proto.MAX_ITEMS,
    (n) => proto.encodeClientFrame({ type: 'chunks', items: times(n, item) }),
    proto.decodeClientFrame,
  ],
  [
    'bytes of a sealed chunk',
    proto.MAX_SEALED_CHUNK_BYTES,
    (n) => proto.encodeClientFrame({ type: 'chunks', items: [{ ...item, size: n }] }),
    proto.decodeClientFrame,
  ],
  [
    'bytes of all items of a frame',
    proto.MAX_FRAME_BYTES - 2,
    (n) =>
      proto.encodeClientFrame({
        type: 'chunks',
        items: [{ ...item, size: 2 ** 22 }, { ...item, size: n - 2 ** 22 }, item, item],
      }),
    proto.decodeClientFrame,
  ],
  [
    'index of a missing id',
    proto.MAX_IDS - 1,
    (n) => proto.encodeServerFrame({ type: 'haveAnswer', requestId: 1, missing: [n] }),
    proto.decodeServerFrame,
  ],
  [
    'hashes of a proof',
    proto.MAX_PROOF_HASHES,
    (n) =>
      proto.encodeServerFrame({
        type: 'receipt',
        requestId: 1,
        receipt: signed,
        inclusion: times(n, id),
        consistency: [],
        head: signed,
        lacking: [],
      }),
    proto.decodeServerFrame,
  ],
  [
    'openings explained',
    proto.MAX_OPENINGS,
    (n) =>
      proto.encodeServerFrame({
        ...ready,
        openings: times(n, { opening: signed, leaf: filled(9), inclusion: [] }),
      } as proto.ServerFrame),
    proto.decodeServerFrame,
  ],
  [
    'characters of a refusal',
    proto.MAX_TEXT_CHARS,
    (n) =>
      proto.encodeServerFrame({
        type: 'refused',
        requestId: 1,
        code: 'limit',
        message: 'm'.repeat(n),
      }),
    proto.decodeServerFrame,
  ],
  [
    'ids in a record of uploads',
    proto.MAX_UPLOAD_IDS,
    (n) => proto.encodeStoredUploads({ ...uploads, ids: times(n, id) }),
    proto.decodeStoredUploads,
  ],
  [
    'pages in a record of references',
    proto.MAX_REFERENCE_IDS,
    (n) => proto.encodeStoredReferences({ ...references, pages: times(n, id) }),
    proto.decodeStoredReferences,
  ],
  [
    'chunks in a record of references',
    proto.MAX_REFERENCE_IDS,
    (n) =>
      proto.encodeStoredReferences({
        ...references,
        chunks: times(n, id),
        plainSizes: times(n, proto.MAX_CHUNK_PLAIN_BYTES),
      }),
    proto.decodeStoredReferences,
  ],
  [
    'files of an order to purge',
    proto.MAX_PURGED_FILES,
    (n) => proto.encodePurgeOrderBody({ ...purgeOrder, fileIds: fileIdsOf(n) }),
    proto.decodePurgeOrderBody,
  ],
  [
    'leaves in a record of what was dropped',
    proto.MAX_DROPPED_LEAVES,
    (n) => proto.encodeStoredDropped({ ...dropped, leaves: slotsOf(n) }),
    proto.decodeStoredDropped,
  ],
  [
    'items in a record of what was swept',
    proto.MAX_SWEPT_IDS,
    (n) => proto.encodeStoredSwept({ ...swept, ids: times(n, id) }),
    proto.decodeStoredSwept,
  ],
  [
    'pages that are to be proved again in a record of what was swept',
    proto.MAX_SWEPT_IDS,
    (n) => proto.encodeStoredSwept({ ...swept, unwalked: times(n, id) }),
    proto.decodeStoredSwept,
  ],
  [
    'live slots of a record',
    proto.MAX_COMMIT_ENTRIES,
    (n) => proto.encodeStateRecord({ ...record, live: rising(n), versionTimesMs: times(n, 1) }),
    proto.decodeStateRecord,
  ],
  [
    'references of a page',
    proto.MAX_PAGE_REFS,
    (n) => proto.encodePageClear({ depth: 0, refs: times(n, ref) }),
    (clear) => proto.decodePage(withKeys(clear)),
  ],
  [
    'page levels below a page',
    proto.MAX_PAGE_DEPTH - 1,
    (n) => proto.encodePageClear({ depth: n, refs: [ref] }),
    (clear) => proto.decodePage(withKeys(clear)),
  ],
  [
    'ids of a page',
    proto.MAX_PAGE_REFS,
    (n) => proto.encodePageClear({ depth: 0, refs: times(n, ref) }),
    (clear) => proto.pageIds(withKeys(clear)),
  ],
  [
    'page levels below a page of which only the ids are looked at',
    proto.MAX_PAGE_DEPTH - 1,
    (n) => proto.encodePageClear({ depth: n, refs: [ref] }),
    (clear) => proto.pageIds(withKeys(clear)),
  ],
];

/** Pages that no writer makes. */
const overPages: readonly (readonly [string, number, number])[] = [
  ['too many references', 5, proto.MAX_PAGE_DEPTH],
  ['no reference', 7, 0],
];

describe('a page of which only the ids are looked at', () => {
  it.each(overPages)('is refused with %s', (_, at, value) => {
    const page = withKeys(proto.encodePageClear({ depth: 0, refs: [ref] }));
    page[at] = value;
    expect(refusalOf(() => proto.pageIds(page))).toMatch(/^FORMAT_/);
  });
});

describe('every upper limit', () => {
  it.each(upper)('%s: %d is allowed, one less too, one more is not', (_, max, encode, decode) => {
    expect(refusalOf(() => decode(encode(max - 1)))).toBeUndefined();
    expect(refusalOf(() => decode(encode(max)))).toBeUndefined();
    expect(refusalOf(() => encode(max + 1))).toBe('FORMAT_LIMIT');
  });
});

/** Name, the smallest allowed number, the encoding. */
const lower: readonly (readonly [string, number, (n: number) => Uint8Array])[] = [
  ['bytes of a path', 1, (n) => encodeNames({ ...list, path: filled(n), resultPathLength: 0 })],
  ['entries of a commit', 1, (n) => proto.encodeCommitHeader({ ...header, entryCount: n })],
  [
    'copies of a receipt',
    1,
    (n) => proto.encodeReceiptBody({ ...sample<proto.ReceiptBody>('ReceiptBody'), copies: n }),
  ],
  [
    'lost heads of an opening',
    1,
    (n) => proto.encodeEpochOpeningBody({ ...opening, lost: times(n, opening.base) }),
  ],
  [
    'dedup secrets of a bundle',
    1,
    (n) =>
      proto.encodeBundleContents({
        ...bundle,
        dedupSecrets: times(n, { epoch: 1, secret: filled(32) }),
      }),
  ],
  [
    'bytes of the smallest chunk',
    proto.MIN_CHUNK_PLAIN_BYTES,
    (n) =>
      proto.encodeVaultDescriptorBody({
        ...descriptor,
        parameters: { ...descriptor.parameters, minChunkBytes: n },
      }),
  ],
  [
    'epoch of a reference',
    1,
    (n) =>
      encodeFile({
        ...withRefs(1),
        content: { depth: 0, piece: 0, refs: [{ ...ref, epoch: n }] },
      }),
  ],
  [
    'bytes of an item',
    1,
    (n) => proto.encodeClientFrame({ type: 'chunks', items: [{ ...item, size: n }] }),
  ],
  ['bytes of a salt', 16, (n) => proto.encodeKitFile({ ...kitFile, salt: filled(n) })],
  ['credit', 1, (n) => proto.encodeServerFrame({ type: 'credit', bytes: n })],
  ['pieces of a slab', 1, (n) => proto.encodeSlab(times(n, slabPiece(2)))],
  ['sealed bytes of a piece', 2, (n) => proto.encodeSlab([slabPiece(n)])],
  ['references of a page', 1, (n) => proto.encodePageClear({ depth: 0, refs: times(n, ref) })],
];

describe('every lower limit', () => {
  it.each(lower)('%s: %d is allowed, one less is malformed', (_, min, encode) => {
    expect(refusalOf(() => encode(min))).toBeUndefined();
    expect(refusalOf(() => encode(min - 1))).toBe('FORMAT_MALFORMED');
  });
});

describe('rules between fields', () => {
  const rules: readonly (readonly [string, () => Uint8Array])[] = [
    ['a size that the references do not add up to', () => encodeFile({ ...withRefs(2), size: 3 })],
    [
      'depth without pages',
      () => encodeFile({ ...entry, size: 0, content: { depth: 1, piece: 0, refs: [] } }),
    ],
    [
      'a piece without a slab',
      () => encodeFile({ ...entry, size: 0, content: { depth: 0, piece: 1, refs: [] } }),
    ],
    [
      'a piece of two slabs',
      () => encodeFile({ ...withRefs(2), content: { ...withRefs(2).content, piece: 1 } }),
    ],
    [
      'a piece below a page',
      () => encodeFile({ ...withRefs(1), content: { depth: 1, piece: 1, refs: [ref] } }),
    ],
    ['a piece of a file that grows', () => encodeFile({ ...pieceEntry(1), completion: 'growing' })],
    [
      'a folder with content',
      () => proto.encodeEntryDraft({ ...bare, ...withRefs(1), kind: 'directory' }),
    ],
    [
      'a vanished file with a read part',
      () => proto.encodeEntryDraft({ ...bare, read: draft.read }),
    ],
    ['a file without a read part', () => proto.encodeEntryDraft({ ...draft, read: undefined })],
    ['a path with a zero byte', () => encodeNames({ ...list, path: Uint8Array.of(47, 0, 47) })],
    [
      'a result path longer than the path',
      () => encodeNames({ ...list, resultPathLength: list.path.length + 1 }),
    ],
    ['POSIX permissions on Windows', () => encodeNames({ ...windowsList, mode: 0o644 })],
    ['Windows attributes on POSIX', () => encodeNames({ ...list, attributes: 32 })],
    [
      'a draft with fewer keys than references',
      () =>
        proto.encodeEntryDraft({
          ...draft,
          read: { sha256: filled(32), keys: times(draft.content.refs.length + 1, id) },
        }),
    ],
    [
      'a draft of a file with a link target',
      () => proto.encodeEntryDraft({ ...draft, list: { ...draft.list, linkTarget: filled(1) } }),
    ],
    [
      'a second commit without a predecessor',
      () =>
        proto.encodeCommitHeader({
          ...header,
          predecessor: proto.asCommitHash(new Uint8Array(32)),
        }),
    ],
    [
      'a first commit with a predecessor',
      () => proto.encodeCommitHeader({ ...header, sequence: 1 }),
    ],
    [
      'a later commit that goes on from another place than its predecessor',
      () =>
        proto.encodeCommitHeader({
          ...header,
          forkedFrom: { ...elsewhere, hash: proto.asCommitHash(filled(32)) },
        }),
    ],
    [
      'a later commit that goes on from another number than the one before',
      () =>
        proto.encodeCommitHeader({
          ...header,
          forkedFrom: { ...elsewhere, sequence: header.sequence },
        }),
    ],
    [
      'a later commit that goes on from its own chain',
      () =>
        proto.encodeCommitHeader({
          ...header,
          forkedFrom: { ...elsewhere, chainId: header.chainId },
        }),
    ],
    [
      'a clone without a name',
      () => proto.encodeEventBody({ ...decided, decision: 'clone', name: '' }),
    ],
    [
      'a restored agent with a new name',
      () => proto.encodeEventBody({ ...decided, decision: 'restored', name: 'a' }),
    ],
    [
      'a purged commit with entries',
      () => proto.encodeSignedCommit({ ...commit, headerOnly: true }),
    ],
    [
      'a block that is gone and there',
      () => proto.encodeSignedCommit({ ...commit, blocks: [{ ...blockOf(3), gone }] }),
    ],
    [
      'a block without its boxes',
      () =>
        proto.encodeSignedCommit({
          ...commit,
          blocks: [{ ...blockOf(3), listBox: filled(0), readBox: filled(0) }],
        }),
    ],
    [
      'a block that is gone and says not what was signed',
      () =>
        proto.encodeSignedCommit({
          ...commit,
          blocks: [{ ...goneBlock, formerDigest: undefined, formerMarks: undefined }],
        }),
    ],
    [
      'a block that is gone and says not what its rows were about',
      () =>
        proto.encodeSignedCommit({
          ...commit,
          blocks: [{ ...goneBlock, formerMarks: undefined }],
        }),
    ],
    [
      'marks of a block that is whole',
      () =>
        proto.encodeSignedCommit({
          ...commit,
          blocks: [{ ...blockOf(3), formerMarks: filled(8) }],
        }),
    ],
    [
      'a part of a mark',
      () =>
        proto.encodeSignedCommit({ ...commit, blocks: [{ ...goneBlock, formerMarks: filled(9) }] }),
    ],
    [
      'a block that is gone with nothing said of it',
      () => proto.encodeSignedCommit({ ...commit, blocks: [{ ...goneBlock, gone: undefined }] }),
    ],
    [
      'facts of blocks out of order',
      () =>
        proto.encodeStoredCommit({
          ...storedCommit,
          facts: [
            { block: 1, rows: filled(3) },
            { block: 1, rows: filled(3) },
          ],
        }),
    ],
    ['a commit without entries', () => proto.encodeSignedCommit({ ...commit, blocks: [] })],
    [
      'a loss that nobody signed for',
      () => proto.encodeSignedCommit({ ...commit, lacking: [1], lossSignature: undefined }),
    ],
    [
      'a signature for no loss',
      () => proto.encodeSignedCommit({ ...commit, lacking: [], lossSignature: filled(64) }),
    ],
    [
      'a receipt with a head of another size',
      () =>
        proto.encodeReceiptBody({
          ...sample<proto.ReceiptBody>('ReceiptBody'),
          leafIndex: 1,
          head: { logEpoch: 0, size: 3, root: filled(32) },
        }),
    ],
    [
      'an opening that lost a head of its own epoch',
      () =>
        proto.encodeEpochOpeningBody({
          ...opening,
          lost: [{ ...opening.base, logEpoch: opening.logEpoch }],
        }),
    ],
    [
      'an enrolment that ends before it begins',
      () => proto.encodeEnrolmentCertificateBody({ ...enrolment, issuedAtMs: 2, expiresAtMs: 1 }),
    ],
    [
      'chunk sizes in falling order',
      () =>
        proto.encodeVaultDescriptorBody({
          ...descriptor,
          parameters: {
            chunkerVersion: 1,
            encoderVersion: 1,
            minChunkBytes: 128,
            averageChunkBytes: 100,
            maxChunkBytes: 200,
          },
        }),
    ],
    [
      'dedup secrets of one epoch twice',
      () =>
        proto.encodeKitContents({
          ...kit,
          dedupSecrets: times(2, { epoch: 3, secret: filled(32) }),
        }),
    ],
    [
      'a pin of another length',
      () => proto.encodeBundleContents({ ...bundle, tlsPins: [filled(20)] }),
    ],
    [
      'plain http to another machine',
      () => proto.encodeCollectorAddressesBody(addressesOf('http://collector.example:7443')),
    ],
    [
      'a password in an address',
      () =>
        proto.encodeCollectorAddressesBody(addressesOf('https://user:secret@collector.example')),
    ],
    [
      'a query in an address',
      () => proto.encodeCollectorAddressesBody(addressesOf('https://collector.example/?x=1')),
    ],
    [
      'an address that is none',
      () => proto.encodeCollectorAddressesBody(addressesOf('collector.example')),
    ],
    [
      'an address twice',
      () =>
        proto.encodeCollectorAddressesBody(addressesOf('https://a.example', 'https://a.example')),
    ],
    ['no address', () => proto.encodeCollectorAddressesBody(addressesOf())],
    [
      'revision 0',
      () =>
        proto.encodeCollectorAddressesBody({ ...addressesOf('https://a.example'), revision: 0 }),
    ],
    ['a version offered twice', () => proto.encodeClientHello({ ...hello, versions: [1, 1] })],
    [
      'indexes out of order',
      () => proto.encodeServerFrame({ type: 'haveAnswer', requestId: 1, missing: [2, 1] }),
    ],
    [
      'fewer version times than slots',
      () => proto.encodeStateRecord({ ...record, live: [1, 2], versionTimesMs: [1] }),
    ],
    [
      'a fraction of a millisecond',
      () => proto.encodeClientFrame({ type: 'state', requestId: 1, atMs: Number.NaN }),
    ],
  ];
  it.each(rules)('refuse %s', (_, encode) => {
    expect(refusalOf(encode)).toMatch(/^FORMAT_(MALFORMED|LIMIT)$/);
  });
});

describe('names', () => {
  const vault = (name: string) =>
    refusalOf(() => proto.encodeVaultDescriptorBody({ ...descriptor, name }));
  const agent = (name: string) =>
    refusalOf(() => proto.encodeEnrolmentCertificateBody({ ...enrolment, name }));

  it.each(['', ' x', 'x ', 'a\nb', 'a\u0000b', 'a\u202eb', 'a\u2028b', 'a\ufeffb', 'a\ud800'])(
    'of vaults refuse %j',
    (name) => {
      expect(vault(name)).toBe('FORMAT_MALFORMED');
    },
  );
  it.each(['', '.hidden', '-rf', 'a b', 'a/b', 'ä', 'a\n'])('of agents refuse %j', (name) => {
    expect(agent(name)).toBe('FORMAT_MALFORMED');
  });
});

describe('hostile lengths', () => {
  it('a commit of two million empty slots is refused while counting, before any is made', () => {
    const flood = new Uint8Array(proto.MAX_COMMIT_BYTES);
    for (let at = 0; at < flood.length; at += 2) flood[at] = 0x22;
    expect(refusalOf(() => proto.decodeSignedCommit(flood))).toBe('FORMAT_LIMIT');
  });

  it('a packed list of four million numbers is refused by its length', () => {
    expect(refusalOf(() => proto.decodeStateRecord(bytesField(7, new Uint8Array(4_000_000))))).toBe(
      'FORMAT_LIMIT',
    );
    expect(refusalOf(() => proto.decodeStateRecord(bytesField(6, new Uint8Array(4_000_000))))).toBe(
      'FORMAT_LIMIT',
    );
  });

  it('a length beyond the end is refused in every door', () => {
    for (const { decode } of Object.values(doors)) {
      expect(refusalOf(() => decode(Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0xff, 0x0f)))).toBe(
        'FORMAT_MALFORMED',
      );
    }
  });

  it('a message above its size is refused unread in every door', () => {
    const huge = new Uint8Array(Math.max(proto.MAX_FRAME_BYTES, proto.MAX_KEPT_PURGE_BYTES + 1));
    for (const { decode } of Object.values(doors))
      expect(refusalOf(() => decode(huge))).toBe('FORMAT_LIMIT');
  });

  it('deep nesting by groups is refused', () => {
    expect(refusalOf(() => proto.decodeEntryDraft(new Uint8Array(50_000).fill(0x7b)))).toMatch(
      /^FORMAT_/,
    );
  });

  it('a 64-bit number beyond 2^53 is a limit, not a rounded number', () => {
    const credit = bytesField(3, varintField(1, 2n ** 53n));
    expect(refusalOf(() => proto.decodeServerFrame(credit))).toBe('FORMAT_LIMIT');
    expect(proto.decodeServerFrame(bytesField(3, varintField(1, 2n ** 53n - 1n)))).toEqual({
      type: 'credit',
      bytes: Number.MAX_SAFE_INTEGER,
    });
  });
});
