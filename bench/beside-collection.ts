/**
 * Uploads beside retention, marking, sweeping and rewriting: `npm run build && node
 * --conditions=aliquot-source bench/beside-collection.ts [--seconds 3] [--pairs 3] [--work DIR]
 * [NAME...]`.
 *
 * Generated: a vault of 200,000 versions, 100,000 chunks that no version names, and packs of which
 * half is nobody's. An agent uploads sixteen chunks of 256 KiB and a commit of them, one after the
 * other, into the same store in this process: alone, beside one kind of work at the rate at which a
 * collector does it, and alone again. Its rate beside the work by that before and after it, and the
 * longest time for which nothing else had a turn.
 */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { asChunkId, HASH_BYTES } from '@aliquot/proto';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemClock, systemMonotonicMs, systemRandom } from '@aliquot/shared/ports';
import { HashPool } from '../collector/src/hashing/hash-pool.ts';
import { systemTimers } from '../collector/src/ingest/timers.ts';
import { DiskPacks } from '../collector/src/store/packs/disk-packs.ts';
import type { StoredVault } from '../collector/src/store/stored-vault.ts';
import type { WorldAgent } from '../collector/testing/store/world.ts';
import { templateRules } from './collection/rules.ts';
import { makeVersions, openVault, worldOf } from './collection/versions.ts';
import { workFolder } from './measure/folder.ts';
import { repositoryFolder } from './options.ts';

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    pairs: { type: 'string', default: '3' },
    work: { type: 'string', default: repositoryFolder() },
  },
  allowPositionals: true,
});
const DAY_MS = 86_400_000;
const CHUNK_BYTES = 256 * 1024;
const CHUNKS_A_COMMIT = 16;
/** As a collection does it by itself (`vault/collect.ts`). */
const REWRITTEN_BYTES_PER_SECOND = 32 * 1024 * 1024;
const DEAD_MIB = 768;
const UNNAMED = 100_000;
const AT_ONCE = 1024;
const measuredMs = Number(values.seconds) * 1000;
const { path: work, remove } = workFolder(values.work);
const world = worldOf('beside');
const hasher = new HashPool();

/** One kind of work: does some of it, until all is done or it is told to stop. */
type Work = (isStopped: () => boolean) => Promise<unknown>;

function chunksOf(count: number, bytes: number) {
  return Array.from({ length: count }, () => {
    const own = systemRandom.bytes(bytes);
    return { id: asChunkId(sha256(own)), kind: 'chunk' as const, bytes: own };
  });
}

async function makeVault(): Promise<StoredVault> {
  const dir = join(work, 'vault');
  const packs = await DiskPacks.open(join(dir, 'packs'), world.descriptor.vaultId, world.ports());
  const kept: ReturnType<typeof chunksOf>[] = [];
  for (let mib = 0; mib < DEAD_MIB; mib += 4) {
    const some = chunksOf(CHUNKS_A_COMMIT, CHUNK_BYTES);
    await packs.put(some);
    if (mib % 8 === 0) kept.push(some);
  }
  await packs.sync();
  await packs.close();
  world.clock.now = systemClock.nowMs() - 100 * DAY_MS;
  const pace = { timers: systemTimers, elapsedMs: systemMonotonicMs };
  const before = await openVault(world, dir);
  const size = { agents: 1, filesEach: 40_960, versionsEach: 5 };
  await makeVersions(world, before, size, () => undefined);
  const [known] = before.register.agents();
  if (known === undefined) throw new Error('an agent is enrolled');
  for (const some of kept) await before.intake.putChunks(known.lineageId, some);
  for (let from = 0; from < UNNAMED; from += AT_ONCE)
    await before.intake.putChunks(known.lineageId, chunksOf(AT_ONCE, 16));
  await before.close();
  world.clock.now = systemClock.nowMs();
  return openVault(world, dir, { clock: systemClock, pace, hasher });
}

/** Uploads without end; tells of each commit. */
class Uploader {
  commits = 0;
  longestMs = 0;
  #isStopped = false;
  #resting: Promise<void> | undefined;
  readonly #done: Promise<void>;

  constructor(vault: StoredVault, agent: WorldAgent) {
    this.#done = this.#run(vault, agent);
  }

  async #run(vault: StoredVault, agent: WorldAgent): Promise<void> {
    for (let number = 0; !this.#isStopped; number += 1) {
      await this.#resting;
      const began = performance.now();
      const items = chunksOf(CHUNKS_A_COMMIT, CHUNK_BYTES);
      const refs = items.map(({ id }) => ({ id, plainSize: CHUNK_BYTES, epoch: 1 }));
      const { draft } = agent.file(`/data/upload-${number}.raw`, []);
      const size = CHUNKS_A_COMMIT * CHUNK_BYTES;
      const read = {
        sha256: new Uint8Array(HASH_BYTES).fill(1),
        keys: refs.map(() => new Uint8Array(HASH_BYTES)),
      };
      world.clock.now = systemClock.nowMs();
      await vault.intake.putChunks(agent.lineageId, items);
      await agent.back(vault, [{ ...draft, size, content: { depth: 0, piece: 0, refs }, read }]);
      this.commits += 1;
      this.longestMs = Math.max(this.longestMs, performance.now() - began);
    }
  }

  /** Uploads nothing while something lasts. */
  async rest(lasts: Promise<void>): Promise<void> {
    this.#resting = lasts;
    await lasts;
    this.#resting = undefined;
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.#done;
  }
}

// Rests of long work keep no process alive.
const alive = setInterval(() => undefined, 1000);
const vault = await makeVault();
const [known] = vault.register.agents();
if (known === undefined) throw new Error('an agent is enrolled');
const { lineageId } = known;
const nowMs = systemClock.nowMs() + 500 * DAY_MS;
const policies = [templateRules()];
const kinds: Record<string, Work> = {
  async retention(isStopped) {
    while (!isStopped()) await vault.retention.simulate({ nowMs, horizonMs: nowMs, policies });
  },
  async mark(isStopped) {
    while (!isStopped()) await vault.sweep.sweep(lineageId, { letGo: new Map(), isStopped });
  },
  async sweep(isStopped) {
    const epoch = await vault.sweep.announceGcEpoch(lineageId, systemClock.nowMs());
    for (const { chainId } of vault.sweep.sweepWaitsFor(lineageId, epoch))
      if (chainId !== undefined) vault.sweep.gcLearned(known.agentId, chainId, epoch);
    return vault.sweep.sweep(lineageId, { isStopped });
  },
  rewriting: (isStopped) =>
    vault.data.rewrite({ bytesPerSecond: REWRITTEN_BYTES_PER_SECOND, isStopped }),
};

const agent = await world.agent(vault, 'uploader');
const uploader = new Uploader(vault, agent);
await wait(measuredMs);
for (const [name, doSome] of Object.entries(kinds)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const shares: number[] = [];
  let [longest, longestAlone, worked] = [0, 0, 0];
  let before = await rated(undefined);
  for (let pair = 0; pair < Number(values.pairs); pair += 1) {
    const beside = await rated(doSome);
    const after = await rated(undefined);
    shares.push(beside.rate / ((before.rate + after.rate) / 2));
    longest = Math.max(longest, beside.pauseMs);
    longestAlone = Math.max(longestAlone, before.pauseMs, after.pauseMs);
    worked += beside.workedMs;
    before = after;
  }
  const median = shares.toSorted((a, b) => a - b)[shares.length >> 1] ?? 0;
  const all = shares.map((share) => share.toFixed(2)).join(', ');
  console.log(
    `uploads beside ${name}: ${median.toFixed(2)} of their rate alone (${all}; aim 0.9), no pause above ${longest.toFixed(0)} ms (aim 200; alone ${longestAlone.toFixed(0)}), ${(worked / 1000).toFixed(1)} s of work`,
  );
}
await uploader.stop();
await vault.close();
await hasher.close();
clearInterval(alive);
remove();

/** Commits a second while some work goes on, or none. */
async function rated(doSome: Work | undefined) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  let isStopped = false;
  const began = performance.now();
  const before = uploader.commits;
  delay.enable();
  let workedMs = 0;
  const working = doSome?.(() => isStopped).then(() => {
    workedMs = performance.now() - began;
  });
  // What ends sooner is measured as long as it lasts.
  await Promise.race([wait(measuredMs), ...(working === undefined ? [] : [working])]);
  const seconds = (performance.now() - began) / 1000;
  const rate = (uploader.commits - before) / seconds;
  delay.disable();
  isStopped = true;
  // What is left of it is nobody's matter.
  if (working !== undefined) await uploader.rest(working);
  return { rate, pauseMs: delay.max / 1e6, workedMs: Math.min(workedMs, measuredMs) };
}
