import { createHash } from 'node:crypto';
import { asVaultId, type ChunkId, type EntryKind, type ListPart } from '@aliquot/proto';
import { buildContent } from '../src/content/pages.ts';
import { refOf, type SealedItem, sealChunk } from '../src/content/seal.ts';
import { SlabBuilder } from '../src/content/slab.ts';
import { hex } from '../src/crypto/bytes.ts';
import { sha256 } from '../src/crypto/primitives.ts';
import { nodeFiles } from '../src/durable/file-port.ts';
import type { VaultKeys } from '../src/keys/derive.ts';
import { systemRandom } from '../src/ports.ts';
import type { FetchedItem } from '../src/restore/arrivals.ts';
import type { RestoreError } from '../src/restore/errors.ts';
import type { RestoreItem } from '../src/restore/placing.ts';
import { type RestoreRequest, restoreFiles } from '../src/restore/restore-files.ts';
import { RestoreWriter } from '../src/restore/writer.ts';
import { temporaryFolder } from './temp.ts';

export const vaultId = asVaultId(Buffer.alloc(16, 7));
const keys: VaultKeys = {
  vaultId,
  parameters: {
    chunkerVersion: 1,
    minChunkBytes: 4,
    averageChunkBytes: 8,
    maxChunkBytes: 16,
    encoderVersion: 1,
  },
  currentEpoch: 1,
  epochs: new Map([
    [
      1,
      {
        chunkSubkey: Buffer.alloc(32, 1),
        pageSubkey: Buffer.alloc(32, 2),
        slabSubkey: Buffer.alloc(32, 3),
      },
    ],
  ]),
  gearSeed: Buffer.alloc(32, 3),
};

/** A collector that holds what was sealed, and a list of what to restore. */
export class Shelf {
  readonly items = new Map<string, Uint8Array>();
  /** By the ids of slabs. */
  readonly slabKeys = new Map<string, Uint8Array>();
  readonly asked: number[] = [];

  seal(path: string, pieces: readonly Uint8Array[], kind: EntryKind = 'file'): RestoreItem {
    const plain = Buffer.concat(pieces);
    const chunks = pieces.map((piece) => sealChunk(keys, piece));
    const built = buildContent(
      keys,
      chunks.map((chunk) => ({ ref: refOf(chunk), key: chunk.key })),
    );
    for (const item of [...chunks, ...built.pages] as SealedItem[])
      this.items.set(hex(item.id), item.sealed);
    const list = listOf(path, kind);
    const read =
      kind === 'file'
        ? { sha256: createHash('sha256').update(plain).digest(), keys: built.keys }
        : undefined;
    return { entry: { kind, size: plain.length, content: built.content }, list, read };
  }

  /** Small files as the pieces of one slab. */
  slab(files: readonly (readonly [path: string, plain: Uint8Array])[]): RestoreItem[] {
    const builder = new SlabBuilder(keys);
    for (const [, plain] of files) builder.add(plain, sha256(plain));
    const { id, sealed, epoch, pieceKeys, slabKey } = builder.seal();
    this.items.set(hex(id), sealed);
    this.slabKeys.set(hex(id), slabKey);
    return files.map(([path, plain], at) => ({
      entry: {
        kind: 'file',
        size: plain.length,
        content: { depth: 0, piece: at + 1, refs: [{ id, plainSize: plain.length, epoch }] },
      },
      list: listOf(path, 'file'),
      read: { sha256: sha256(plain), keys: [pieceKeys[at] ?? new Uint8Array(0)] },
    }));
  }

  fetch = async function* (this: Shelf, ids: readonly ChunkId[]): AsyncGenerator<FetchedItem> {
    this.asked.push(ids.length);
    for (const id of ids) {
      const bytes = this.items.get(hex(id));
      if (bytes !== undefined) yield { id, bytes };
    }
  }.bind(this);
}

export function listOf(path: string, kind: EntryKind): ListPart {
  return {
    platform: 'posix',
    path: Buffer.from(path),
    resultPathLength: 0,
    mtimeNs: 1_700_000_000_000_000_000n,
    mode: kind === 'directory' ? 0o755 : 0o644,
    attributes: 0,
    linkTarget: Buffer.from(kind === 'symlink' ? 'elsewhere' : ''),
  };
}

/** Restores versions from a shelf into a folder of its own. */
export async function restoreFrom(
  shelf: Shelf,
  items: readonly RestoreItem[],
  more: Partial<RestoreRequest> & { port?: typeof nodeFiles } = {},
) {
  const root = temporaryFolder();
  const writer = await RestoreWriter.open({
    port: more.port ?? nodeFiles,
    random: systemRandom,
    root,
  });
  const failures: string[] = [];
  const onFailure = (path: Uint8Array, error: RestoreError) =>
    failures.push(`${Buffer.from(path)} ${error.code}`);
  const summary = await restoreFiles(items, {
    vaultId,
    fetchItems: shelf.fetch,
    writer,
    onFailure,
    ...more,
  }).catch((error: unknown) => error);
  return { root, summary, failures };
}
