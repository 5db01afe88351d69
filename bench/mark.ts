/**
 * Marking what versions reach: `npm run build && node --conditions=aliquot-source bench/mark.ts
 * [--chunks 10000000] [--references 100000000] [--data DIR]`.
 *
 * Generated: a vault with so many chunks, to which pages and versions refer so many times
 * (`collection/references.ts`); it is kept in DIR for the next time. A process of its own opens it
 * and makes a mark of everything; before and after, another one scans the same rows barely: each
 * commit is read and taken apart, each page found, read and proved, in the order in which the mark
 * does it, and nothing is done with what they refer to. Each tells its own time and memory.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ChunkId, decodeStoredCommit, type LineageId } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { releasePart } from '@aliquot/shared/crypto/bytes';
import { HashPool } from '../collector/src/hashing/hash-pool.ts';
import { ranges } from '../collector/src/store/catalog/catalog-keys.ts';
import { nowhere, placesToRead } from '../collector/src/store/catalog/item-row.ts';
import { contentsOf } from '../collector/src/store/catalog/named-contents.ts';
import { read } from '../collector/src/store/catalog/row-codec.ts';
import { comparePlaces } from '../collector/src/store/packs/pack-store.ts';
import type { VaultCore } from '../collector/src/store/vault/core.ts';
import { CoreKeeper } from '../collector/src/store/vault/core-keeper.ts';
import { Mark } from '../collector/src/store/vault/mark.ts';
import { diskMedia } from '../collector/src/store/vault/media.ts';
import { provedRuns } from '../collector/src/store/vault/proved-runs.ts';
import { alone } from './collection/alone.ts';
import { makeReferences } from './collection/references.ts';
import { worldOf } from './collection/versions.ts';
import { dataFolder } from './options.ts';

const PAGES_AT_ONCE = 512;
const { values } = parseArgs({
  options: {
    chunks: { type: 'string', default: '10000000' },
    references: { type: 'string', default: '100000000' },
    data: { type: 'string', default: dataFolder() },
    of: { type: 'string' },
    work: { type: 'string' },
  },
});
const world = worldOf('references');

if (values.of === undefined) {
  const dir = join(values.data, `references-${values.chunks}-${values.references}`);
  if (!existsSync(dir)) {
    const [chunks, references] = [Number(values.chunks), Number(values.references)];
    rmSync(`${dir}.part`, { recursive: true, force: true });
    const say = (line: string): void => console.error(`generated: ${line}`);
    await makeReferences(world, `${dir}.part`, { chunks, references }, say);
    renameSync(`${dir}.part`, dir);
  }
  for (const work of ['scan', 'mark', 'scan'])
    await alone(import.meta.filename, ['--of', dir, '--work', work]);
} else await measure(values.of, values.work === 'mark');

async function measure(dir: string, isMark: boolean): Promise<void> {
  const media = diskMedia(dir, world.descriptor.vaultId, world.ports());
  const keeper = await CoreKeeper.open(media, world.descriptor, undefined);
  const hasher = new HashPool();
  await keeper.ask(async (core) => {
    const { chunks, pages } = core.items.sums;
    const { seconds, spent } = await timed(() => (isMark ? mark : scan)(core, hasher));
    const what = isMark ? 'mark (aim: 60 s, 3 x a bare scan)' : 'a bare scan of the same rows';
    console.log(
      `${what}: ${chunks} chunks, ${pages} pages: ${seconds.toFixed(1)} s, ${spent.toFixed(1)} s of processor`,
    );
  });
  await keeper.close();
  await hasher.close();
}

/** Seconds, and processor seconds of all threads. */
async function timed(work: () => Promise<void>) {
  const [began, used] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(used);
  return { seconds: (performance.now() - began) / 1000, spent: (user + system) / 1e6 };
}

async function mark(core: VaultCore, hasher: HashPool): Promise<void> {
  const [lineageId] = core.registry.rows().map((row) => row.lineageId) as [LineageId];
  const made = new Mark(core, lineageId, { random: world.random, hasher }, []);
  const ended = await made.walkSome(core.sums.leaves, Number.POSITIVE_INFINITY);
  if (ended !== undefined) throw new Error('it was not walked whole');
}

/** The rows that a mark reads. */
async function scan(core: VaultCore, hasher: HashPool): Promise<void> {
  for await (const [, value] of core.catalog.scan(ranges.leaves)) {
    if (read.leaf(value).type !== 'commit') continue;
    const { payload } = await core.history.read(read.leaf(value).place);
    const { lists } = contentsOf(readCommit(decodeStoredCommit(payload).commit).rows);
    const pages = lists.flatMap(({ depth, refs }) => (depth > 0 ? refs.map(({ id }) => id) : []));
    while (pages.length > 0) await readPages(core, hasher, pages.splice(-PAGES_AT_ONCE));
  }
}

async function readPages(core: VaultCore, hasher: HashPool, ids: ChunkId[]): Promise<void> {
  const rows = await core.items.rows(ids);
  const placed = ids.flatMap((id, at) => {
    const place = placesToRead(rows[at] ?? nowhere)[0];
    return place === undefined ? [] : [{ id, place }];
  });
  placed.sort((a, b) => comparePlaces(a.place, b.place));
  for await (const run of provedRuns(core.packs, hasher, placed))
    for (const { bytes } of run) releasePart(bytes);
}
