/**
 * Rewriting packs against `cp` of the same bytes: `npm run build && node
 * --conditions=aliquot-source bench/rewrite.ts [--mib 512] [--rounds 3] [--work DIR]`.
 *
 * A vault is made of chunks of 256 KiB of random bytes, of which nobody owns every other sixteen.
 * Then all packs are rewritten as fast as they can be, which
 * reads, proves, writes, syncs, reads back and proves again what lives; and a file of as many bytes
 * is copied with `cp` and synced. Both read from memory where there is enough of it.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { asChunkId } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { HashPool } from '../collector/src/hashing/hash-pool.ts';
import { DiskPacks } from '../collector/src/store/packs/disk-packs.ts';
import { StoredVault } from '../collector/src/store/stored-vault.ts';
import { StoreWorld } from '../collector/testing/store/world.ts';
import { workFolder } from './measure/folder.ts';

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: join(tmpdir(), 'aliquot-bench') },
  },
});
const CHUNK_BYTES = 256 * 1024;
const CHUNKS_AT_ONCE = 16;
const MIB = 1024 * 1024;
const count = Math.floor((Number(values.mib) * MIB) / CHUNK_BYTES / CHUNKS_AT_ONCE);
const { path: work, remove } = workFolder(values.work);
const hasher = new HashPool();

function chunks() {
  return Array.from({ length: CHUNKS_AT_ONCE }, () => {
    const bytes = systemRandom.bytes(CHUNK_BYTES);
    return { id: asChunkId(sha256(bytes)), kind: 'chunk' as const, bytes };
  });
}

/** A vault of which every other chunk is an agent's, and the others nobody's. */
async function makeVault(world: StoreWorld, dir: string): Promise<StoredVault> {
  const ports = { ...world.ports(), hasher };
  const { vaultId } = world.descriptor;
  const packs = await DiskPacks.open(join(dir, 'packs'), vaultId, ports);
  const kept: ReturnType<typeof chunks>[] = [];
  for (let at = 0; at < count; at += 1) {
    const some = chunks();
    await packs.put(some);
    if (at % 2 === 0) kept.push(some);
  }
  await packs.sync();
  await packs.close();
  const vault = await StoredVault.inFolder(dir, world.identity, ports);
  await vault.events.append(world.vaultAdded());
  const { lineageId } = await world.agent(vault, 'hplc-1');
  for (const some of kept) await vault.intake.putChunks(lineageId, some);
  await vault.flush();
  return vault;
}

/** Milliseconds for `cp` of so many bytes, and until they are on the disk. */
function copied(bytes: number, from: string): number {
  const [source, to] = [join(from, 'source'), join(from, 'copy')];
  const file = openSync(source, 'w');
  for (let left = bytes; left > 0; left -= MIB)
    writeSync(file, systemRandom.bytes(Math.min(MIB, left)));
  closeSync(file);
  execFileSync('sync', [source]);
  const began = performance.now();
  execFileSync('cp', [source, to]);
  execFileSync('sync', [to]);
  const took = performance.now() - began;
  for (const path of [source, to]) rmSync(path);
  return took;
}

const rates: number[] = [];
for (let round = 0; round < Number(values.rounds); round += 1) {
  const dir = join(work, `vault-${round}`);
  const vault = await makeVault(new StoreWorld(`rewrite ${round}`), dir);
  const [began, used] = [performance.now(), process.cpuUsage()];
  const { copiedBytes, freedBytes, isDone } = await vault.data.rewrite();
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(used);
  if (!isDone || freedBytes < copiedBytes) throw new Error('it was not rewritten whole');
  await vault.close();
  rmSync(dir, { recursive: true });
  const ofCopy = copied(copiedBytes, work);
  rates.push(ofCopy / took);
  const rate = (milliseconds: number) => (copiedBytes / MIB / (milliseconds / 1000)).toFixed(0);
  process.stdout.write(
    `${(copiedBytes / MIB).toFixed(0)} MiB lived: rewritten ${rate(took)} MiB/s, cp ${rate(ofCopy)} MiB/s, ratio ${(ofCopy / took).toFixed(2)}; ${((user + system) / 1e6).toFixed(2)} s of processor in ${(took / 1000).toFixed(2)} s\n`,
  );
}
const median = rates.toSorted((a, b) => a - b)[rates.length >> 1] ?? 0;
process.stdout.write(`median ${median.toFixed(2)} x cp (aim 0.4)\n`);
await hasher.close();
remove();
