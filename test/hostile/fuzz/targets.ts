import { crc32, zstdCompressSync } from 'node:zlib';
import * as proto from '@aliquot/proto';
import { asChunkId, type ChunkId, type Ref, type References } from '@aliquot/proto';

import { openBlock, openRow } from '@aliquot/shared/commit/block-open';
import { BlockBuilder } from '@aliquot/shared/commit/block-seal';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import {
  decode as decodeCodec,
  decodePiece,
  encode as encodeCodec,
  encodePiece,
  longestPiece,
} from '@aliquot/shared/content/codec';
import { buildContent, walkContent } from '@aliquot/shared/content/pages';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import { openPiece, proveSlab, SlabBuilder, slabId } from '@aliquot/shared/content/slab';
import { slabPlan, soundPieces } from '@aliquot/shared/content/slab-proof';
import { zstdFrameLength } from '@aliquot/shared/content/zstd-frame';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { hashHere } from '@aliquot/shared/hashing/hasher';
import { readAddressesFile } from '@aliquot/shared/keys/addresses-file';
import { armor, dearmor } from '@aliquot/shared/keys/armor';
import { openBundle } from '@aliquot/shared/keys/bundle';
import { verifyAddresses, verifyAgent } from '@aliquot/shared/keys/certificates';
import { vaultKeysFrom } from '@aliquot/shared/keys/derive';
import { inspectKit } from '@aliquot/shared/keys/kit';
import { ruleSources } from '@aliquot/shared/keys/rule-sources';
import { issueSettings, judgeSettings } from '@aliquot/shared/keys/settings';
import {
  decodeFileHeader,
  encodeFileHeader,
  RECORD_HEADER_BYTES,
  RecordCodec,
} from '@aliquot/shared/records/codec';
import type { FileFormat } from '@aliquot/shared/records/format';
import { targetPath } from '@aliquot/shared/restore/target';
import { ClientHandshake, ServerHandshake } from '@aliquot/shared/session/handshake';
import { forNobody, readPolicy, renderSettings } from '@aliquot/shared/settings/policy';
import { inClear } from '@aliquot/shared/settings/retention';
import { oneOfEach } from '@aliquot/shared/testing/blocks';
import {
  FIXTURE_TIME_MS,
  fixtureAgent,
  fixtureVault,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import fc from 'fast-check';
import { z } from 'zod';
import { decodeCached } from '../../../agent/src/queue/ledger/rows.ts';
import { chainFormat, segmentFormat } from '../../../agent/src/queue/log/formats.ts';
import { decodeColumns, unpackKnown } from '../../../agent/src/queue/log/known-block.ts';
import { decodeLostRecord } from '../../../agent/src/queue/log/lost-payloads.ts';
import * as queuePayloads from '../../../agent/src/queue/log/payloads.ts';
import { decodeRemains } from '../../../agent/src/queue/log/remains.ts';
import { readConfig } from '../../../agent/src/service/config.ts';
import { requestSchema } from '../../../agent/src/socket/protocol.ts';
import * as logMessages from '../../../collector/src/api/log-messages.ts';
import * as messages from '../../../collector/src/api/messages.ts';
import {
  decodeItem,
  RecordSplitter,
  readRecords,
} from '../../../collector/src/api/record-stream.ts';
import * as releaseMessages from '../../../collector/src/api/release-messages.ts';
import { AnswerBody } from '../../../collector/src/operator/client/answer-body.ts';
import { toRestError } from '../../../collector/src/rest/to-rest-error.ts';
import { rulingFor } from '../../../collector/src/retention/ruling.ts';
import { read as catalogRows } from '../../../collector/src/store/catalog/row-codec.ts';
import {
  decodeFileEnd,
  historyFormat,
} from '../../../collector/src/store/history/history-format.ts';
import {
  decodeEnd,
  decodeIndex,
  packFormat,
} from '../../../collector/src/store/packs/pack-format.ts';
import { doors, pageContent, slabPieces } from '../../../proto/testing/arbitraries.ts';
import type { FuzzTarget } from './fuzz.ts';
import { ownDiskTargets } from './own-disk.ts';

const random = seededRandom('fuzz');
const vault = fixtureVault('fuzz');
const agent = fixtureAgent(vault, 'hplc-1');
const { vaultId, authorityKey } = vault.descriptor;
const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
/** As many sound values of each type as the pool begins with; always the same ones. */
const sampled = <T>(values: fc.Arbitrary<T>, count = 12): T[] =>
  fc.sample(values, { seed: 20261121, numRuns: count });

/** 16-bit numbers that rise and fall, with noise: the codec's filter for samples takes them. */
const wave = (deviation: number, bytes: number): Uint8Array => {
  const values = Int16Array.from(
    random.bytes(bytes / 2),
    (byte, at) => 4000 + (at % 3000) + Math.trunc(((byte - 128) * deviation) / 64),
  );
  return new Uint8Array(values.buffer);
};
/** A table of structures: the codec's filter for records takes it. */
const rows = (length: number, bytes: number): Uint8Array =>
  random
    .bytes(bytes)
    .map((byte, at) =>
      at % length === 0 ? at / length : at % length === 5 ? byte & 7 : 40 + (at % length),
    );

const sampleOf = (name: string, count?: number): Uint8Array[] => {
  const door = doors[name];
  if (door === undefined) throw new Error(`no door ${name}`);
  return sampled(door.values, count).map((value) => door.encode(value as never));
};

const doorTargets: readonly FuzzTarget[] = Object.entries(doors).map(([name, door]) => ({
  name: `proto-${name}`,
  seeds: () => sampleOf(name),
  run: (bytes) => void door.decode(bytes),
}));

const framed = (header: Uint8Array, body: Uint8Array): Uint8Array =>
  plain(proto.encodeFrame(header, body));

const protoTargets: readonly FuzzTarget[] = [
  {
    name: 'proto-Page',
    seeds: () =>
      sampled(pageContent).map((content) =>
        proto.encodePage(content, random.bytes(content.refs.length * 32 + 16)),
      ),
    run: (bytes) => void proto.decodePage(bytes),
  },
  {
    name: 'proto-Page-ids',
    seeds: () =>
      sampled(pageContent).map((content) =>
        proto.encodePage(content, random.bytes(content.refs.length * 32 + 16)),
      ),
    run: (bytes) => {
      const { count, first, step } = proto.pageIds(bytes);
      if (first + count * step > bytes.length) throw new RangeError('an id stands outside');
    },
  },
  {
    name: 'proto-Slab',
    seeds: () => sampled(slabPieces).map((pieces) => proto.encodeSlab(pieces)),
    run: (bytes) => {
      const slab = proto.decodeSlab(bytes);
      for (let index = 0; index < slab.count; index += 1) proto.pieceOf(slab, index);
    },
  },
  {
    name: 'proto-frame-of-client',
    seeds: () => sampleOf('ClientFrame').map((header) => framed(header, random.bytes(100))),
    run: (bytes) => {
      const { header, body } = proto.splitFrame(bytes);
      const frame = proto.decodeClientFrame(header);
      proto.checkClientBody(frame, body);
      if (frame.type === 'chunks') [...proto.splitItems(frame.items, body)];
    },
  },
  {
    name: 'proto-frame-of-server',
    seeds: () => sampleOf('ServerFrame').map((header) => framed(header, random.bytes(100))),
    run: (bytes) => {
      const { header, body } = proto.splitFrame(bytes);
      const frame = proto.decodeServerFrame(header);
      proto.checkServerBody(frame, body);
      if (frame.type === 'chunkData') [...proto.splitItems(frame.items, body)];
    },
  },
  {
    name: 'proto-carried-file',
    seeds: () =>
      (['queue', 'receipts'] as const).map((kind) =>
        proto.encodeCarriedFile({
          kind,
          frames: [random.bytes(5), random.bytes(300)],
          trailer: { digest: random.bytes(32), signature: random.bytes(64) },
        }),
      ),
    run: (bytes) => {
      proto.splitCarriedFile(bytes);
    },
  },
  {
    name: 'proto-carried-frames',
    seeds: () => [utf8(''), random.bytes(40)],
    run: (bytes) => void proto.splitCarriedFrames(bytes),
  },
];

/** The last four bytes of the head, over what is before them. */
const withCrc =
  (at: number, salt = 0) =>
  (bytes: Uint8Array): Uint8Array => {
    if (bytes.length < at + 4) return bytes;
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(crc32(copy.subarray(0, at), salt), at);
    return plain(copy);
  };

/** The record headers of one kind of file. */
const recordTarget = (name: string, format: FileFormat<string>): FuzzTarget => {
  const header = { number: 3, owner: random.bytes(16), salt: 99 };
  const start = encodeFileHeader(format, header).readUInt32BE(36);
  const codec = new RecordCodec<string>(format, header);
  const seed = (kind: string): Uint8Array => {
    const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
    const length = Math.min(30, format.kinds[kind]?.maxBytes ?? 0);
    codec.encodeInto(bytes, 0, { kind, length, syncedTo: 40, digest: random.bytes(32) });
    return plain(bytes);
  };
  return {
    name,
    seeds: () => Object.keys(format.kinds).map(seed),
    repair: withCrc(48, start),
    run: (bytes) => codec.decode(bytes).type,
  };
};

const storeTargets: readonly FuzzTarget[] = [
  recordTarget('collector-pack-record-header', packFormat),
  recordTarget('collector-history-record-header', historyFormat),
  {
    name: 'collector-pack-index',
    seeds: () => [
      plain(Buffer.from(`0000000101${'00000028'}${'00000003'}${'ab'.repeat(32)}`, 'hex')),
      plain(Buffer.from(`0000000106${'00000028'}${'01000003'}${'ab'.repeat(32)}`, 'hex')),
      utf8('\0\0\0\0'),
    ],
    run: (bytes) => {
      const items = bytes.length < 4 ? 0 : Buffer.from(bytes).readUInt32BE(0);
      const rows = decodeIndex(bytes, { indexOffset: 95, items });
      for (let row = 0; row < (rows?.count ?? 0); row += 1) rows?.row(row);
    },
  },
  {
    name: 'collector-stored-slab',
    seeds: () => sampled(slabPieces).map((pieces) => proto.encodeSlab(pieces)),
    run: (bytes) => {
      const plan = slabPlan(bytes);
      const { digests } = hashHere(bytes, plan?.spans ?? []);
      plan?.holds(bytes, digests.subarray(0, 32), digests);
      soundPieces(bytes, digests.subarray(0, 32));
    },
  },
  {
    name: 'collector-pack-end',
    seeds: () => [random.bytes(8), plain(Buffer.from('0000009500000002', 'hex'))],
    run: (bytes) => void decodeEnd(bytes, 347),
  },
  {
    name: 'collector-history-end',
    seeds: () => [random.bytes(4)],
    run: (bytes) => void decodeFileEnd(bytes),
  },
  ...Object.entries(catalogRows).map(
    ([name, row]): FuzzTarget => ({
      name: `collector-row-${name}`,
      seeds: () => [
        random.bytes(8),
        random.bytes(64),
        plain(Buffer.alloc(200, 1)),
        plain(Buffer.alloc(400)),
      ],
      // One of them also takes what the row's key told.
      run: (bytes) =>
        void (row as (bytes: Uint8Array, key: Uint8Array) => unknown)(bytes, new Uint8Array(64)),
    }),
  ),
];

const queueDecoders: readonly (readonly [string, (bytes: Uint8Array) => unknown])[] = [
  ['version', queuePayloads.decodeVersion],
  ['known', queuePayloads.decodeKnown],
  ['problem', queuePayloads.decodeProblem],
  ['signed', queuePayloads.decodeSignedRecord],
  ['remains', decodeRemains],
  ['receipt', queuePayloads.decodeReceiptRecord],
  ['lost', decodeLostRecord],
  ['counter', queuePayloads.decodeCounter],
  ['cached', decodeCached],
  ['known-block', (bytes) => unpackKnown(bytes).map(decodeColumns)],
];

const queueTargets: readonly FuzzTarget[] = [
  ...[segmentFormat, chainFormat].map((format) =>
    recordTarget(`agent-${format.name.replace(' ', '-')}-record-header`, format),
  ),
  {
    name: 'shared-record-file-header',
    seeds: () => [
      plain(encodeFileHeader(segmentFormat, { number: 3, owner: random.bytes(16), salt: 99 })),
    ],
    repair: withCrc(36),
    run: (bytes) => decodeFileHeader(bytes, segmentFormat).type,
  },
  ...queueDecoders.map(
    ([name, decode]): FuzzTarget => ({
      name: `agent-queue-${name}`,
      seeds: () => [
        random.bytes(16),
        plain(Buffer.alloc(80)),
        plain(
          Buffer.concat([
            Buffer.alloc(12),
            Buffer.from([0, 0, 0, 5]),
            Buffer.from('/data'),
            Buffer.alloc(100, 1),
          ]),
        ),
      ],
      run: (bytes) => void decode(bytes),
    }),
  ),
];

const kitText = (bytes: Uint8Array): Uint8Array =>
  utf8(armor('ALIQUOT RECOVERY KIT', ['Vault: lab.'], bytes));
const bundleText = (bytes: Uint8Array): Uint8Array =>
  utf8(armor('ALIQUOT ENROLMENT BUNDLE', ['Agent: x.'], bytes));
const addressesText = (bytes: Uint8Array): Uint8Array =>
  utf8(armor('ALIQUOT COLLECTOR ADDRESSES', ['Address: https://x.'], bytes));
const armorWords = [
  '-----BEGIN ALIQUOT RECOVERY KIT-----',
  '-----END ALIQUOT RECOVERY KIT-----',
  '\r\n',
  '\n\n',
  '=AAAAAAAA',
  '-----BEGIN ',
  ' ',
];

const keyFileTargets: readonly FuzzTarget[] = [
  {
    name: 'shared-armour',
    seeds: () => [kitText(random.bytes(200)), kitText(new Uint8Array(0))],
    words: armorWords,
    run: (bytes) => dearmor('ALIQUOT RECOVERY KIT', text(bytes)).type,
  },
  {
    name: 'shared-kit',
    seeds: () => sampleOf('KitFile', 4).map(kitText),
    words: armorWords,
    run: (bytes) => void inspectKit(text(bytes)),
  },
  {
    name: 'shared-kit-inside',
    seeds: () => sampleOf('KitFile', 6),
    run: (bytes) => void inspectKit(text(kitText(bytes))),
  },
  {
    name: 'shared-bundle',
    seeds: () => sampleOf('BundleContents', 4).map(bundleText),
    words: armorWords,
    run: (bytes) => void openBundle(text(bytes)),
  },
  {
    name: 'shared-addresses',
    seeds: () => sampleOf('Signed', 4).map(addressesText),
    words: armorWords,
    run: (bytes) => {
      const signed = readAddressesFile(text(bytes));
      if (signed !== undefined) verifyAddresses(authorityKey, vaultId, signed);
    },
  },
  {
    name: 'shared-bundle-inside',
    seeds: () => sampleOf('BundleContents', 6),
    run: (bytes) => void openBundle(text(bundleText(bytes))),
  },
];

const CONFIG = `sources:
  - path: /data/hplc
    exclude: ['*.tmp']
queue:
  maxBytes: 50 GiB
`;

const keys = vaultKeysFrom([{ epoch: 1, secret: new Uint8Array(32).fill(3) }], vault.descriptor);
/** A small file under many pages, and a way to hand out pages that are something else. */
const chunks = Array.from({ length: 70 }, (_, index) => sealChunk(keys, random.bytes(20 + index)));
const built = buildContent(
  keys,
  chunks.map((chunk) => ({ ref: refOf(chunk), key: chunk.key })),
);

const slabBuilder = new SlabBuilder(keys);
for (const file of [rows(12, 6000), random.bytes(90), wave(20, 3000)])
  slabBuilder.add(file, sha256(file));
const slab = slabBuilder.seal();

const sealedBlock = (() => {
  const builder = new BlockBuilder();
  for (const draft of oneOfEach()) builder.add(draft);
  return builder.seal(random);
})();
const openedBlock = openBlock(proto.decodeBlock(sealedBlock.bytes), sealedBlock);

/** What its read segment holds before it is sealed. */
const readBytesOf = ({ block }: typeof openedBlock): number => block.read.length - proto.TAG_BYTES;

const blockTargets: readonly FuzzTarget[] = [
  {
    name: 'proto-VersionBlock',
    seeds: () => [sealedBlock.bytes],
    run: (bytes) => {
      const rows = proto.blockRowCount(bytes);
      const block = proto.decodeBlock(bytes);
      if (rows !== block.count) throw new RangeError('a block has two counts of rows');
      for (const place of block.kinds.keys()) proto.blockRow(block, place);
    },
  },
  {
    name: 'proto-BlockFacts',
    seeds: () => {
      const { block } = openedBlock;
      return [true, false].map((all) =>
        proto.encodeRowFacts(block, [...block.kinds.keys()], () => all),
      );
    },
    run: (bytes) => {
      const facts = proto.decodeRowFacts(bytes);
      proto.encodeRowFacts(facts, [...facts.kinds.keys()], () => true);
    },
  },
  {
    // What a hostile maker may have sealed: it opens, and only then it is judged.
    name: 'proto-block-list',
    seeds: () => [plain(proto.encodeBlockList(oneOfEach()))],
    run: (bytes) => void proto.decodeBlockList(openedBlock.block, bytes),
  },
  {
    name: 'proto-block-read',
    seeds: () => [random.bytes(readBytesOf(openedBlock)), random.bytes(40)],
    run: (bytes) => void proto.decodeBlockRead(openedBlock.block, bytes),
  },
  {
    name: 'shared-block',
    seeds: () => [sealedBlock.bytes],
    run: (bytes) => {
      const open = openBlock(proto.decodeBlock(bytes), sealedBlock);
      for (const place of open.block.kinds.keys()) openRow(open, place);
    },
  },
];

const contentTargets: readonly FuzzTarget[] = [
  {
    name: 'shared-codec',
    seeds: () => [
      encodeCodec(utf8('abc'.repeat(5000)), 1),
      encodeCodec(random.bytes(300), 1),
      encodeCodec(wave(20, 3000), 1),
      encodeCodec(wave(20, 40_000), 1),
      encodeCodec(wave(90, 40_000), 1),
      encodeCodec(rows(12, 6000), 1),
      // A small frame that becomes large: a gigabyte would be 40 KB.
      plain(Buffer.concat([Buffer.from([1]), zstdCompressSync(Buffer.alloc(16 * 1024 * 1024))])),
    ],
    run: (bytes) => {
      const { length } = decodeCodec(bytes, 64 * 1024);
      if (length > 64 * 1024) throw new Error(`${length} bytes came out`);
    },
  },
  {
    name: 'shared-piece',
    seeds: () =>
      [utf8('abc'.repeat(500)), random.bytes(300), wave(20, 3000), rows(12, 6000)].map((file) => {
        const out = Buffer.alloc(4 + longestPiece(file.length));
        return plain(out.subarray(4, encodePiece(file, 1, out, 4)));
      }),
    run: (bytes) => {
      const { length } = decodePiece(bytes, 6000);
      if (length > 6000) throw new Error(`${length} bytes came out`);
    },
  },
  {
    name: 'shared-slab',
    seeds: () => [slab.sealed],
    // The directory is what the collector says it is, under an id that fits, and its hashes fit its
    // pieces: only the layout, and what the pieces unfold to, can be refused.
    run: (bytes) => {
      const lied = proto.decodeSlab(bytes);
      const pieces = Array.from({ length: lied.count }, (_, index) => {
        const piece = proto.pieceOf(lied, index);
        return { ...piece, hash: sha256(piece.sealed ?? new Uint8Array(0)) };
      });
      const proved = proto.decodeSlab(proto.encodeSlab(pieces));
      const ref = { id: slabId(proved), plainSize: 6000, epoch: 1 };
      const key = slab.pieceKeys[0] ?? new Uint8Array(32);
      const { length } = openPiece(proveSlab(ref.id, proved.bytes), ref, 1, key);
      if (length > 6000) throw new Error(`${length} bytes came out`);
    },
  },
  {
    name: 'shared-zstd-frame',
    seeds: () => [
      plain(zstdCompressSync(Buffer.alloc(9000, 'a'))),
      plain(zstdCompressSync(Buffer.from(random.bytes(500)))),
    ],
    run: (bytes) => void zstdFrameLength(bytes),
  },
  {
    name: 'shared-page-walk',
    seeds: () => built.pages.map((page) => plain(page.sealed)),
    // The page is what the collector says it is, under an id that fits: only seal, depth and counts
    // can refuse it.
    run: async (bytes) => {
      const [first] = built.content.refs;
      const lied: References = {
        depth: 4,
        refs: [{ ...(first as Ref), id: asChunkId(sha256(bytes)) as ChunkId }],
      };
      let pages = 0;
      for await (const _ of walkContent(vaultId, lied, built.keys.slice(0, 1), async () => {
        pages += 1;
        return bytes;
      }));
      if (pages > 4) throw new Error(`${pages} pages were fetched`);
    },
  },
  {
    name: 'shared-commit',
    seeds: () => sampleOf('SignedCommit'),
    run: (bytes) => {
      verifyCommit(bytes, {
        vaultId,
        agent: verifyAgent(authorityKey, vaultId, agent.enrolment, agent.binding),
      });
    },
  },
];

const HOST_ROOT = '/restore/here';
const pathWords = [
  '..',
  '/',
  '\\',
  '/../',
  'C:\\',
  '\\\\server\\share',
  '\0',
  'CON',
  'aux.txt',
  'NUL',
  ' .',
  ':stream',
  '\\\\?\\',
  '\u202e',
  '%2e%2e',
  '\xff',
];

const sessionTargets: readonly FuzzTarget[] = [
  {
    name: 'shared-client-hello',
    seeds: () => [
      new ClientHandshake({ vaultId, authorityKey, random }).start(),
      ...sampleOf('ClientHello', 4),
    ],
    run: (bytes) => {
      const served = { authorityKey, certificate: vault.collectorCertificate };
      new ServerHandshake({ signKey: vault.collector, vault: () => served, random }).onClientHello(
        bytes,
      );
    },
  },
  {
    name: 'shared-server-hello',
    seeds: () => sampleOf('ServerHello', 8),
    run: (bytes) => {
      const handshake = new ClientHandshake({ vaultId, authorityKey, random });
      handshake.start();
      handshake.onServerHello(bytes);
    },
  },
  {
    name: 'shared-target-path',
    seeds: () =>
      ['/data/run 1/a.csv', 'C:\\data\\x.raw', '\\\\server\\share\\x', 'relative', '/', ''].map(
        utf8,
      ),
    words: pathWords,
    run: (bytes) => {
      for (const platform of ['posix', 'windows'] as const) {
        for (const host of ['posix', 'windows'] as const) {
          let target: string;
          try {
            target = targetPath(Buffer.from(HOST_ROOT), platform, bytes, host).toString('latin1');
          } catch (error) {
            if (error instanceof proto.AliquotError) continue;
            throw error;
          }
          // The root of a file system is the target itself: a folder, never a file.
          if (target === HOST_ROOT) continue;
          const names = target
            .slice(HOST_ROOT.length + 1)
            .split(host === 'windows' ? /[\\/]/ : '/');
          const inside = target.startsWith(`${HOST_ROOT}/`) || target.startsWith(`${HOST_ROOT}\\`);
          if (
            !inside ||
            names.some(
              (name) => name === '..' || name === '.' || name === '' || name.includes('\0'),
            )
          ) {
            throw new Error(`leaves the target: ${JSON.stringify(target)}`);
          }
        }
      }
    },
  },
];

/**
 * What the server does with a body: everything must become an answer that is not "failed inside".
 */
const asRest = (run: () => unknown): void => {
  try {
    run();
  } catch (error) {
    const known = toRestError(error);
    // Fastify parses JSON itself and answers 400.
    if (known === undefined && !(error instanceof SyntaxError)) throw error;
    throw known ?? new proto.FormatError('FORMAT_MALFORMED', 'no JSON');
  }
};

const requests = {
  'add-vault': messages.addVaultRequest,
  'expect-agents': messages.expectAgentsRequest,
  revoke: messages.revokeRequest,
  names: messages.namesRequest,
  'open-epoch': logMessages.openEpochRequest,
  'log-proofs': logMessages.logProofsRequest,
  'set-addresses': messages.setAddressesRequest,
  'files-gone': messages.filesGoneRequest,
  'publish-release': releaseMessages.publishRequest,
  'remove-release': releaseMessages.removeReleaseRequest,
  'kept-files': releaseMessages.keptFiles,
} as const;

const jsonSeeds = [
  '{"descriptor":"AAAA","certificate":"AAAA","catalogSecretKey":"AAAA"}',
  '{"enrolment":"AAAA"}',
  '{"reason":"stolen"}',
  '{"agentId":"00112233445566778899aabbccddeeff","atMs":5,"versionsOf":"AAAA"}',
  '{"heads":[{"logEpoch":1,"size":3,"root":"AAAA"}]}',
  '{"addresses":"AAAA"}',
  '{"fileIds":"AAAA"}',
  '{"op":"setAddresses","addresses":"AAAA"}',
  '{"op":"restore","paths":["/a"],"atMs":0}',
  '{"op":"backup","paths":["/a"],"exclude":[],"offline":false,"dryRun":true}',
];
const jsonWords = [
  '{',
  '}',
  '[',
  ']',
  '[[[[[[[[',
  '{"a":',
  '"__proto__":',
  '"constructor":',
  'null',
  '1e999',
  '-0',
  '"\\ud800"',
  ',',
  ':',
];

const requestTargets: readonly FuzzTarget[] = [
  ...Object.entries(requests).map(
    ([name, schema]): FuzzTarget => ({
      name: `collector-rest-${name}`,
      seeds: () => jsonSeeds.map(utf8),
      words: jsonWords,
      run: (bytes) => asRest(() => schema.parse(JSON.parse(text(bytes)))),
    }),
  ),
  {
    name: 'collector-rest-enrol',
    seeds: () => sampleOf('EnrolRequest', 4),
    run: (bytes) =>
      asRest(() => {
        const { enrolment, binding } = proto.decodeEnrolRequest(bytes);
        verifyAgent(authorityKey, vaultId, enrolment, binding);
      }),
  },
  {
    name: 'collector-answer-stream',
    seeds: () => [
      plain(Buffer.from([1, 0, 0, 0, 3, 65, 66, 67, 2, 0, 0, 0, 0])),
      plain(Buffer.from([3, 0, 0, 0, 2, 0x7b, 0x7d])),
    ],
    run: async (bytes) => {
      async function* pieces() {
        for (let at = 0; at < bytes.length; at += 7) yield bytes.slice(at, at + 7);
      }
      for await (const one of readRecords(pieces())) decodeItem(one);
    },
  },
  {
    // A collector that answers an operator's question for items: HTTP, and the records in it.
    name: 'collector-answer-body',
    seeds: () => {
      const records = Buffer.from([1, 0, 0, 0, 33, 2, ...random.bytes(32), 2, 0, 0, 0, 0]);
      const head = 'HTTP/1.1 200 OK\r\n';
      return [
        Buffer.concat([
          Buffer.from(
            `${head}Transfer-Encoding: chunked\r\n\r\n${records.length.toString(16)}\r\n`,
          ),
          ...[records, Buffer.from('\r\n0\r\n\r\n')],
        ]),
        Buffer.concat([Buffer.from(`${head}Content-Length: ${records.length}\r\n\r\n`), records]),
        Buffer.from('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n'),
      ].map(plain);
    },
    words: ['\r\n', '\r\n\r\n', 'Transfer-Encoding: chunked', 'Content-Length: ', ';', '7fffffff'],
    run: (bytes) => {
      const body = new AnswerBody();
      const records = new RecordSplitter(true);
      let items = 0;
      for (let at = 0; at < bytes.length && !body.isDone; at += 9)
        for (const span of body.push(Buffer.from(bytes.subarray(at, at + 9))))
          for (const record of records.push(span)) {
            decodeItem(record);
            items += 1;
          }
      return `${body.isDone} ${records.hasEnded} ${items}`;
    },
  },
  {
    name: 'agent-socket-line',
    seeds: () => jsonSeeds.map(utf8),
    words: jsonWords,
    run: (bytes) => {
      try {
        requestSchema.parse(JSON.parse(text(bytes)));
      } catch (error) {
        // What the socket's server catches and answers.
        if (error instanceof SyntaxError || error instanceof z.ZodError) return error.name;
        throw error;
      }
      return undefined;
    },
  },
  {
    name: 'agent-config',
    seeds: () => [utf8(CONFIG), utf8('')],
    words: [
      '&a ',
      '*a',
      '- ',
      ': ',
      '\n  ',
      '{',
      '[',
      '[[[[[[[[[[',
      '!!binary ',
      '? ',
      '<<: ',
      '|',
      '>',
      '"',
      "'",
      '---\n',
      '...\n',
      '%YAML 1.1\n',
      '\t',
      '0x',
      '.inf',
      '~',
    ],
    run: (bytes) => {
      const result = readConfig(text(bytes));
      return 'mistakes' in result ? result.mistakes[0]?.message.slice(0, 30) : 'config';
    },
  },
];

const deskTargets: readonly FuzzTarget[] = [
  {
    name: 'shared-policy',
    seeds: () =>
      [
        'agents:\n  defaults: {workers: 2}\n  groups:\n    g: {names: [hplc-*], sources: [{path: /data}]}\n  pcs: {a: {local: []}}\n',
        "agents: {groups: {w: {names: ['*'], sources: [{path: 'D:\\Data', exclude: ['*.tmp']}], update: {version: '0.2.0'}}}}",
        'agents: {defaults: {queue: {classes: {raw: 0.5}}}, pcs: {__proto__: {}, constructor: {}}}',
        "retention:\n  grace: 7d\n  rules:\n    - {match: {class: [raw], source: ['D:\\Data']}, lock: 1y, keep: {within: 90d, daily: 30}, gone: 1y}\n    - {keep: all}\n",
      ].map(utf8),
    words: [
      'agents',
      'defaults',
      'groups',
      'pcs',
      'names',
      'sources',
      'path',
      'within',
      'keep',
      'match',
      '6mo',
      '__proto__',
      '&a',
      '*a',
      '<<: ',
      '- ',
      '{',
      '[',
      '\n',
    ],
    run: (bytes) => {
      const read = readPolicy(text(bytes));
      if ('mistakes' in read) return read.mistakes[0]?.message.slice(0, 30);
      const { policy } = read;
      for (const name of ['hplc-1', 'a', '__proto__', 'constructor', 'toString'])
        renderSettings(policy, name);
      forNobody(policy, ['hplc-1']);
      const { retention } = policy;
      if (retention === undefined) return `policy of ${policy.groups.length}`;
      // What was read can be signed, or is too long to be.
      const lineages = [{ lineageId: agent.agentId as never as proto.LineageId }];
      const clear = inClear(retention, (folders) =>
        ruleSources(vault.kit.pathSecret, lineages, folders),
      );
      return `rules of ${proto.encodeRetentionRules(clear).length}`;
    },
  },
  {
    name: 'collector-ruling',
    seeds: () => sampleOf('RetentionRules'),
    run: (bytes) => {
      const set = { revision: 1, setAtMs: 0, ...proto.decodeRetentionRules(bytes) };
      const [rule] = set.rules;
      const { lineages, sources } = rule?.match.sources ?? {};
      const ruledBy = {
        ...{ className: rule?.match.classes?.[0] ?? 'raw', agent: 'hplc-1' },
        ...{ lineageId: lineages ?? new Uint8Array(16), sourceId: sources ?? new Uint8Array(16) },
      };
      const { keeps, locks } = rulingFor([set], ruledBy, FIXTURE_TIME_MS);
      return `${keeps.length} ${locks.length}`;
    },
  },
  {
    name: 'shared-settings-judged',
    seeds: () =>
      [3, 4].map((sequence) => {
        const terms = {
          sequence,
          issuedAtMs: FIXTURE_TIME_MS,
          expiresAtMs: FIXTURE_TIME_MS + 1,
          groups: ['g'],
        };
        const contents = { version: 1, text: 'workers: 2\n', answerKey: random.bytes(32) } as const;
        const pc = { agentId: agent.agentId, boxKey: agent.boxKey.publicKey };
        const settings = issueSettings(
          vault.authority,
          vault.descriptor,
          pc,
          terms,
          contents,
          random,
        );
        return proto.encodeSettings({ settings, certificate: undefined });
      }),
    run: (bytes) => {
      const owner = { vault: vault.descriptor, agentId: agent.agentId, boxKey: agent.boxKey };
      return judgeSettings(owner, proto.decodeSettings(bytes), 'bundle', 0, FIXTURE_TIME_MS)
        .contents.text;
    },
  },
];

export const targets: readonly FuzzTarget[] = [
  ...deskTargets,
  ...doorTargets,
  ...protoTargets,
  ...storeTargets,
  ...queueTargets,
  ...ownDiskTargets,
  ...keyFileTargets,
  ...blockTargets,
  ...contentTargets,
  ...sessionTargets,
  ...requestTargets,
];
