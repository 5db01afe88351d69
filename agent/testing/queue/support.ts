/**
 * Repeatable drafts, items and queues for the tests of the queue and the uplink. Nothing outside
 * tests imports this file.
 */

import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AgentId,
  type ChainId,
  decodeSignedCommit,
  type EntryDraft,
  MAX_TIME_MS,
  type ReceiptBody,
  type Signed,
} from '@aliquot/proto';
import { buildCommit } from '@aliquot/shared/commit/commit';
import { lostCommit, withoutVersions } from '@aliquot/shared/commit/loss';
import { cacheIndex, chunkFingerprint, maskKey } from '@aliquot/shared/content/cache-key';
import { type BuiltContent, buildContent } from '@aliquot/shared/content/pages';
import { refOf, type SealedItem, sealChunk } from '@aliquot/shared/content/seal';
import { SlabBuilder } from '@aliquot/shared/content/slab';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import {
  fileIdFor,
  resultIdFor,
  sourceIdFor,
  type VaultKeys,
  vaultKeysFrom,
} from '@aliquot/shared/keys/derive';
import { RecordReader } from '@aliquot/shared/records/reader';
import { FIXTURE_TIME_MS, fixtureVault, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import type { WholeSlab } from '../../src/queue/intake/intake.ts';
import { encodeCached } from '../../src/queue/ledger/rows.ts';
import type { KnownStat, QueuedItem } from '../../src/queue/log/facts.ts';
import { chainFormat } from '../../src/queue/log/formats.ts';
import { IndexStore, indexOptions } from '../../src/queue/log/index-store.ts';
import { queuePaths } from '../../src/queue/log/open-queue.ts';
import { contentTag } from '../../src/queue/log/payloads.ts';
import { openQueue as openDurably } from '../../src/queue/open.ts';
import type { CommitSigner, QueuedCommit } from '../../src/queue/outbox/outbox.ts';
import type { Queue, QueueOptions } from '../../src/queue/queue.ts';
import { blocksOf, sealAhead } from '../../src/uplink/signer.ts';

export const vault = fixtureVault('agent tests');
export const keys: VaultKeys = vaultKeysFrom(vault.kit.dedupSecrets, vault.descriptor);
export const pathKey: Uint8Array = new Uint8Array(32).fill(7);
export const cacheSecret: Uint8Array = new Uint8Array(32).fill(9);

export function temporaryFolder(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'aliquot-agent-'));
  const remove = (): void => {
    const open = openFilesIn(dir);
    rmSync(dir, { recursive: true, force: true });
    if (open.length > 0) throw new Error(`still open: ${open.join(', ')}`);
  };
  return { dir, remove };
}

/**
 * The files below a folder that this process has open: Windows would not remove them. Only Linux
 * tells.
 */
function openFilesIn(dir: string): readonly string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(dir) ? [path] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
}

/**
 * A queue option set over the real file system, with a clock that stands still and seeded
 * randomness.
 */
export function queueOptions(dataDir: string, changes: Partial<QueueOptions> = {}): QueueOptions {
  const chainId = new Uint8Array(16).fill(2) as ChainId;
  return {
    port: nodeDisk,
    dataDir,
    chainId,
    clock: { nowMs: () => FIXTURE_TIME_MS },
    random: seededRandom(`queue ${dataDir}`),
    ...changes,
  };
}

export function openQueue(dataDir: string, changes: Partial<QueueOptions> = {}): Promise<Queue> {
  return openDurably(queueOptions(dataDir, changes));
}

/** The index of a closed queue. */
export async function indexOf(dataDir: string): Promise<IndexStore> {
  const { chain, index } = queuePaths(dataDir);
  const log = await RecordReader.open({ port: nodeDisk, dir: chain, format: chainFormat });
  const owner = log.identity?.owner ?? new Uint8Array();
  await log.close();
  return (await IndexStore.open(nodeDisk, indexOptions(index, owner))).store;
}

export interface SampleFile {
  readonly path: Uint8Array;
  readonly chunks: readonly { readonly plain: Uint8Array; readonly sealed: SealedItem }[];
  readonly items: readonly QueuedItem[];
  readonly draft: EntryDraft;
  readonly known: KnownStat;
}

/** A sample whose items are chunks and pages. */
export interface ChunkedSample extends SampleFile {
  readonly items: readonly SealedItem[];
}

/** Repeatable bytes that do not compress. */
export function noise(seed: string, length: number): Uint8Array {
  return seededRandom(seed).bytes(length);
}

/** A file made of these chunks, sealed as capture would. */
export function sampleFile(
  name: string,
  parts: readonly Uint8Array[],
  capturedAtMs = FIXTURE_TIME_MS,
): ChunkedSample {
  const chunks = parts.map((plain) => ({ plain, sealed: sealChunk(keys, plain) }));
  const built = buildContent(
    keys,
    chunks.map(({ sealed }) => ({ ref: refOf(sealed), key: sealed.key })),
  );
  const made = describe(name, parts, built, capturedAtMs);
  return {
    ...made,
    chunks,
    items: [...chunks.map(({ sealed }) => sealed), ...built.pages],
  };
}

/** Draft and known state of a file with this content. */
function describe(
  name: string,
  parts: readonly Uint8Array[],
  built: Pick<BuiltContent, 'content' | 'keys'>,
  capturedAtMs: number,
): Pick<SampleFile, 'path' | 'draft' | 'known'> {
  const path = Buffer.from(name);
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const digest = sha256(...parts);
  const draft: EntryDraft = {
    kind: 'file',
    sourceId: sourceIdFor(pathKey, Buffer.from('/data')),
    class: 'default',
    fileId: fileIdFor(pathKey, path),
    size,
    capturedAtMs: Math.min(capturedAtMs, MAX_TIME_MS),
    completion: 'assumed',
    resultId: undefined,
    content: built.content,
    list: {
      platform: 'posix',
      path,
      resultPathLength: 0,
      mtimeNs: 5n,
      mode: 0o644,
      attributes: 0,
      linkTarget: new Uint8Array(),
    },
    read: { sha256: digest, keys: built.keys },
  };
  const known: KnownStat = {
    path,
    kind: 'file',
    size,
    mtimeNs: 5n,
    ctimeNs: 6n,
    ino: 7n,
    mode: 0o644,
    contentTag: contentTag(digest),
    capturedAtMs,
    resultPathLength: 0,
  };
  return { path, draft, known };
}

/** Small files in one slab, sealed as capture would. */
export function sampleSlab(
  names: readonly string[],
  bytes = 200,
  capturedAtMs = FIXTURE_TIME_MS,
): readonly SlabSample[] {
  const builder = new SlabBuilder(keys);
  const plains = names.map((name) => noise(`${name} ${capturedAtMs}`, bytes));
  for (const plain of plains) builder.add(plain, sha256(plain));
  const { id, kind, sealed, epoch, slabKey, pieceKeys } = builder.seal();
  const slab = { key: slabKey, pieces: names.length };
  return names.map((name, index) => {
    const plain = plains[index] ?? new Uint8Array();
    const content = { depth: 0, piece: index + 1, refs: [{ id, plainSize: plain.length, epoch }] };
    const built = { content, keys: pieceKeys.slice(index, index + 1) };
    const made = describe(name, [plain], built, capturedAtMs);
    return { ...made, chunks: [], items: [{ id, kind, sealed }], slab };
  });
}

/** Puts files of one slab as capture does: the slab once, then all versions. Not synced. */
export async function putSlab(queue: Queue, files: readonly SlabSample[]): Promise<void> {
  const capture = queue.intake.capture();
  const [item] = files[0]?.items ?? [];
  // As capture does: at once, and what the slab fails of fails its versions too.
  const put = item === undefined ? Promise.resolve() : capture.putItems([item]);
  const ends = capture.putShared(files, files[0]?.slab);
  await Promise.allSettled([put, ends]);
  capture.abort();
  await put;
  for (const error of await ends) if (error !== undefined) throw error;
}

/** A file that is a piece of a slab. */
export interface SlabSample extends SampleFile {
  readonly slab: WholeSlab;
}

/** A file of `count` chunks of `size` bytes each, all different. */
export function sample(name: string, count = 1, size = 200): ChunkedSample {
  return sampleFile(
    name,
    Array.from({ length: count }, (_, index) => noise(`${name} ${index}`, size)),
  );
}

/** Puts a file as capture does: items, cache, version. Not synced. */
export async function put(queue: Queue, file: SampleFile): Promise<void> {
  const capture = queue.intake.capture();
  for (const { id, kind, sealed } of file.items) await capture.putItems([{ id, kind, sealed }]);
  for (const { plain, sealed } of file.chunks) {
    const fingerprint = chunkFingerprint(cacheSecret, plain);
    const { id, plainSize, epoch } = sealed;
    const chunk = { id, plainSize, epoch, maskedKey: maskKey(fingerprint, id, sealed.key) };
    capture.cachePut(encodeCached([{ index: cacheIndex(fingerprint), chunk }]));
  }
  await capture.putVersion(file.draft, file.known);
}

/** Puts files so that their versions come in a row, and share a record. Not synced. */
export async function putTogether(queue: Queue, files: readonly SampleFile[]): Promise<void> {
  const captures = files.map((file) => ({ file, capture: queue.intake.capture(file.draft.class) }));
  for (const { file, capture } of captures)
    for (const { id, kind, sealed } of file.items) await capture.putItems([{ id, kind, sealed }]);
  await Promise.all(
    captures.map(({ file, capture }) => capture.putVersion(file.draft, file.known)),
  );
}

/** The version that says that a file is gone. */
export async function putGone(queue: Queue, file: SampleFile): Promise<void> {
  const { draft } = file;
  const gone: EntryDraft = {
    ...draft,
    kind: 'gone',
    size: 0,
    content: { depth: 0, piece: 0, refs: [] },
    read: undefined,
  };
  await queue.intake.capture().putVersion(gone, undefined);
}

/** Signs with a fixture key: for tests that need no uplink. */
export function testSigner(random = seededRandom('signer')): CommitSigner {
  return {
    resultIdOf: (root) => resultIdFor(pathKey, root),
    withoutVersions: (commit, slots) => withoutVersions(commit, slots, vault.collector),
    lost: (commit) => lostCommit(decodeSignedCommit(commit), vault.collector),
    seal: (drafts) => sealAhead(pathKey, drafts, random),
    sign: ({ chainId, sequence, predecessor, forkedFrom, rows, results }) =>
      buildCommit(
        {
          vaultId: vault.descriptor.vaultId,
          agentId: new Uint8Array(16).fill(1) as AgentId,
          chainId,
          sequence,
          predecessor,
          agentTimeMs: FIXTURE_TIME_MS,
          treeHead: undefined,
          chunkerVersion: 1,
          encoderVersion: 1,
          forkedFrom,
          blocks: blocksOf(pathKey, rows, results, random),
          recipients: [
            { recipient: 'vault', key: vault.descriptor.vaultKey },
            { recipient: 'catalog', key: vault.descriptor.catalogKey },
          ],
          signKey: vault.collector,
        },
        random,
      ),
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** A receipt as the uplink would have verified it. */
export function receiptFor(commit: QueuedCommit): {
  readonly signed: Signed;
  readonly body: ReceiptBody;
} {
  const body = {
    version: 1,
    vaultId: vault.descriptor.vaultId,
    collectorId: new Uint8Array(16),
    agentId: new Uint8Array(16).fill(1),
    chainId: new Uint8Array(16).fill(2),
    sequence: commit.sequence,
    commitHash: commit.hash,
    receivedAtMs: 1_800_000_000_000,
    leafIndex: commit.sequence,
    head: { logEpoch: 0, size: commit.sequence + 1, root: new Uint8Array(32) },
    copies: 1,
  } as unknown as ReceiptBody;
  return {
    signed: { body: Buffer.from(`receipt ${commit.sequence}`), signature: new Uint8Array(64) },
    body,
  };
}

/** Signs and receipts everything that is queued; the answer is how many commits that took. */
export async function drainAll(queue: Queue): Promise<number> {
  const signer = testSigner();
  for (let count = 0; ; count += 1) {
    const commit = await queue.outbox.nextCommit(signer);
    if (commit === undefined) return count;
    const { signed, body } = receiptFor(commit);
    await queue.outbox.receipted(signed, body);
  }
}
