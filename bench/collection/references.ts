import {
  asChunkId,
  type ChunkId,
  type EntryDraft,
  encodePage,
  HASH_BYTES,
  MAX_PAGE_REFS,
  type Ref,
  type References,
  TAG_BYTES,
} from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { CoreKeeper } from '../../collector/src/store/vault/core-keeper.ts';
import { diskMedia } from '../../collector/src/store/vault/media.ts';
import type { StoreWorld, WorldAgent } from '../../collector/testing/store/world.ts';
import { Noise } from '../data/noise.ts';
import { openVault } from './versions.ts';

/** Of each chunk, as its PC says; what lies in the packs is 16 bytes. */
const PLAIN_BYTES = 256 * 1024;
const ITEMS_AT_ONCE = 1024;
/** Pages that one version names: 1 GiB of its file. */
const PAGES_A_VERSION = 4;
/** Of all references so many in a hundred stand in version rows themselves. */
const INLINE_PERCENT = 5;
const REFS_INLINE = 50;
const VERSIONS_A_COMMIT = 1000;

/** How much of everything there is. */
export interface ReferencesAsked {
  readonly chunks: number;
  readonly references: number;
}

/**
 * Makes a vault of one agent whose versions refer to chunks so many times: most of the references
 * lie in pages of 1,024, as large files have them, the others in the rows of versions. Chunks,
 * pages and commits are sent to the store as ever, and are tiny where nobody looks into them.
 *
 * That everything below the pages is there was not proved by opening each, which is what commits
 * cost and not what is measured here: it is recorded as though it had been.
 */
export async function makeReferences(
  world: StoreWorld,
  dir: string,
  { chunks, references }: ReferencesAsked,
  say: (line: string) => void,
): Promise<void> {
  let vault = await openVault(world, dir);
  await vault.events.append(world.vaultAdded());
  const agent = await world.agent(vault, 'hplc-1');
  const ids = Buffer.alloc(chunks * HASH_BYTES);
  for (let from = 0; from < chunks; from += ITEMS_AT_ONCE) {
    const items = Array.from({ length: Math.min(ITEMS_AT_ONCE, chunks - from) }, (_, at) => {
      const bytes = new Uint8Array(16);
      new DataView(bytes.buffer).setUint32(0, from + at);
      const id = asChunkId(sha256(bytes));
      ids.set(id, (from + at) * HASH_BYTES);
      return { id, kind: 'chunk' as const, bytes };
    });
    await vault.intake.putChunks(agent.lineageId, items);
    if (from % (ITEMS_AT_ONCE << 10) === 0) say(`${from} chunks`);
  }
  const noise = new Noise(1, 'references');
  const idAt = (number: number): ChunkId =>
    asChunkId(ids.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES));
  // Neighbours as they were captured one after the other, with a change in every tenth place.
  let next = 0;
  const refsOf = (count: number): Ref[] =>
    Array.from({ length: count }, () => {
      const isOther = (noise.int() >>> 0) % 10 === 0;
      next = (next + 1) % chunks;
      const number = isOther ? (noise.int() >>> 0) % chunks : next;
      return { id: idAt(number), plainSize: PLAIN_BYTES, epoch: 1 };
    });
  const inline = Math.floor((references * INLINE_PERCENT) / 100);
  const pages: Ref[] = [];
  const keys = new Uint8Array(MAX_PAGE_REFS * HASH_BYTES + TAG_BYTES);
  for (let left = references - inline; left >= MAX_PAGE_REFS; left -= MAX_PAGE_REFS) {
    const bytes = encodePage({ depth: 0, refs: refsOf(MAX_PAGE_REFS) }, keys);
    const id = asChunkId(sha256(bytes));
    await vault.intake.putChunks(agent.lineageId, [{ id, kind: 'page', bytes }]);
    pages.push({ id, plainSize: MAX_PAGE_REFS * PLAIN_BYTES, epoch: 1 });
    if (pages.length % 8192 === 0) say(`${pages.length} pages`);
  }
  await vault.close();
  await recordProved(world, dir, agent, pages);
  vault = await openVault(world, dir);
  const lists: References[] = [];
  for (let from = 0; from < pages.length; from += PAGES_A_VERSION)
    lists.push({ depth: 1, refs: pages.slice(from, from + PAGES_A_VERSION) });
  for (let left = inline; left > 0; left -= REFS_INLINE)
    lists.push({ depth: 0, refs: refsOf(Math.min(REFS_INLINE, left)) });
  for (let from = 0; from < lists.length; from += VERSIONS_A_COMMIT) {
    const some = lists.slice(from, from + VERSIONS_A_COMMIT);
    await agent.back(
      vault,
      some.map((content, at) => fileOf(agent, from + at, content)),
    );
  }
  say(`${lists.length} versions`);
  await vault.close();
}

function fileOf(agent: WorldAgent, number: number, content: References): EntryDraft {
  const { draft } = agent.file(`/data/run-${number}.raw`, []);
  const size = content.refs.reduce((sum, { plainSize }) => sum + plainSize, 0);
  const keys = content.refs.map(() => new Uint8Array(HASH_BYTES));
  const read = { sha256: new Uint8Array(HASH_BYTES).fill(1), keys };
  return { ...draft, size, content: { ...content, piece: 0 }, read };
}

async function recordProved(
  world: StoreWorld,
  dir: string,
  { lineageId }: WorldAgent,
  pages: readonly Ref[],
): Promise<void> {
  const media = diskMedia(dir, world.descriptor.vaultId, world.ports());
  const keeper = await CoreKeeper.open(media, world.descriptor, undefined);
  for (let from = 0; from < pages.length; from += ITEMS_AT_ONCE) {
    const some = pages.slice(from, from + ITEMS_AT_ONCE).map(({ id }) => id);
    await keeper.do((core) => core.appendReferences(lineageId, { pages: some, chunks: new Map() }));
  }
  await keeper.close();
}
