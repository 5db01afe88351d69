import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { AliquotError, type ChunkId } from '@aliquot/proto';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import {
  type DamageTrial,
  damaged,
  damageScenario,
  damagesOf,
  type FileDamage,
  type FolderImage,
  imageOf,
  layOut,
} from '@aliquot/shared/testing/damage';
import { seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import { fsckQueue } from '../../src/queue/log/fsck.ts';
import type { QueueFinding } from '../../src/queue/log/fsck-finding.ts';
import { openLogs, queuePaths } from '../../src/queue/log/open-queue.ts';
import type { CommitSigner, QueuedCommit } from '../../src/queue/outbox/outbox.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { itemsOfCommit, slotsNeeding } from '../../src/uplink/commit-items.ts';
import {
  collect,
  openQueue,
  pathKey,
  putGone,
  putSlab,
  putTogether,
  receiptFor,
  type SampleFile,
  sample,
  sampleSlab,
  testSigner,
} from './support.ts';

/** So small that a few versions fill a segment. */
const sizes = { segmentBytes: 3000, keptBytes: 1 << 20 };

/** It went, which is a version too: of it nothing is known but its path, in its own record. */
const GONE = '/data/safe';

/** A commit as a collector took it. */
interface Taken {
  readonly hash: Uint8Array;
  readonly bytes: Uint8Array;
  readonly lacking: readonly number[];
}

/** What a collector has; it knows nothing of rollbacks, and its disk never fails. */
class Shelf {
  readonly items = new Set<string>();
  readonly commits: Taken[] = [];

  copy(): Shelf {
    const copy = new Shelf();
    for (const id of this.items) copy.items.add(id);
    copy.commits.push(...this.commits);
    return copy;
  }

  /** Takes what a queue has to send, as a session does; sources are gone. */
  async drain(queue: Queue, signer: CommitSigner): Promise<void> {
    for (let round = 0; round < 50; round += 1) {
      const commit = await queue.outbox.nextCommit(signer);
      if (commit === undefined) return;
      await this.#take(queue, signer, commit);
      const { signed, body } = receiptFor(commit);
      await queue.outbox.receipted(signed, body);
    }
    throw new Error('fifty commits were not enough');
  }

  async #take(queue: Queue, signer: CommitSigner, commit: QueuedCommit): Promise<void> {
    const known = this.commits[commit.sequence - 1];
    if (known !== undefined) {
      if (!equalBytes(known.hash, commit.hash)) throw new Error('a sequence was used twice');
      return queue.losses.record(commit.sequence, known.lacking);
    }
    let bytes = commit.isLost ? signer.lost(commit.bytes) : commit.bytes;
    const { header } = readCommit(bytes);
    const head = this.commits.at(-1);
    const follows =
      commit.sequence === this.commits.length + 1 &&
      (head === undefined || equalBytes(head.hash, header.predecessor)) &&
      header.forkedFrom === undefined;
    if (!follows) throw new Error(`commit ${commit.sequence} follows nothing here`);
    for await (const id of itemsOfCommit(queue.items, bytes))
      if ((await queue.items.readItem(id)) !== undefined) this.items.add(hex(id));
    const missing: ChunkId[] = [];
    for await (const id of itemsOfCommit(queue.items, bytes))
      if (!this.items.has(hex(id))) missing.push(id);
    let lacking: readonly number[] = commit.isLost
      ? Array.from({ length: commit.entries }, (_, slot) => slot)
      : [];
    if (missing.length > 0) {
      const { sure, possible } = await slotsNeeding(queue.items, bytes, missing);
      lacking = sure.length > 0 ? sure : possible;
      bytes = signer.withoutVersions(bytes, lacking);
    }
    await queue.losses.record(commit.sequence, lacking);
    this.commits.push({ hash: commit.hash, bytes, lacking });
  }

  /** Whether a version of this path is here, with all that it needs. */
  has({ path, items }: SampleFile): boolean {
    const fileId = fileIdFor(pathKey, path);
    return this.commits.some(({ bytes }) =>
      [...rowsIn(readCommit(bytes).rows)].some(
        ({ entry }) =>
          equalBytes(entry.fileId, fileId) &&
          (entry.kind === 'gone' || items.every(({ id }) => this.items.has(hex(id)))),
      ),
    );
  }
}

/** What a day left in a queue: some of it safe, some signed, some waiting. */
async function made(root: string) {
  const dir = join(root, 'pc');
  const shelf = new Shelf();
  const files: SampleFile[] = [];
  const signer = testSigner();
  const put = async (queue: Queue, ...some: readonly SampleFile[]): Promise<void> => {
    await putTogether(queue, some);
    await queue.sync();
    files.push(...some);
  };
  let queue = await openQueue(dir, sizes);
  await put(queue, sample(GONE, 2, 150), sample('/data/large', 40, 20));
  await shelf.drain(queue, signer);
  await queue.close();
  const older = imageOf(dir);
  queue = await openQueue(dir, sizes);
  const slab = sampleSlab(['/data/s1', '/data/s2', '/data/s3']);
  await putSlab(queue, slab);
  files.push(...slab);
  await queue.ledger.setProblem(Buffer.from('/data/locked'), {
    ...{ code: 'locked', message: 'in use', sinceMs: 1 },
  });
  await put(queue, sample('/data/signed', 2, 150));
  await queue.outbox.signAll(signer);
  await put(queue, sample('/data/signed too', 1, 300));
  await queue.outbox.signAll(signer);
  await put(queue, sample('/data/waits', 2, 150), sample('/data/waits too', 1, 150));
  await putGone(queue, sample(GONE));
  await put(queue, sample('/data/paged', 70, 10));
  await queue.close();
  return { dir, files, shelf, signer, older, image: imageOf(dir) };
}

const kinds: readonly (readonly [RegExp, string])[] = [
  [/\.seg$/, 'segment'],
  [/\.key$/, 'batch key'],
  [/^chain\/\d+\.log$/, 'chain log'],
  [/index\/(CURRENT|MANIFEST|.*\.(log|ldb))/, 'index'],
];

/** LevelDB's own log of what it did, and its lock, are read by nobody. */
const kindOf = (file: string): string | undefined =>
  kinds.find(([pattern]) => pattern.test(file.replaceAll('\\', '/')))?.[1];

async function edgesIn(dir: string): Promise<Map<string, number[]>> {
  const edges = new Map<string, number[]>();
  const logs = await openLogs({ port: nodeDisk, dataDir: dir, random: seededRandom('logs') });
  for (const log of [logs.segments, logs.chain]) {
    for await (const item of log.scan() as AsyncIterable<{
      file: number;
      offset: number;
      end?: number;
    }>) {
      const name = relative(dir, log.path(item.file));
      edges.set(name, [...(edges.get(name) ?? []), item.offset, item.end ?? item.offset]);
    }
    await log.close();
  }
  return edges;
}

type World = Omit<Awaited<ReturnType<typeof made>>, 'image' | 'older' | 'dir'>;

class Judge {
  readonly #dir: string;
  readonly #damage: FileDamage;
  readonly #world: World;

  constructor(dir: string, damage: FileDamage, world: World) {
    this.#dir = dir;
    this.#damage = damage;
    this.#world = world;
  }

  async run(byRepair: boolean, image: FolderImage): Promise<'whole' | 'named'> {
    const shelf = this.#world.shelf.copy();
    if (await this.#waitsForItsFiles()) {
      // Each names itself: nothing is said to be lost that only its name keeps away (I-A6).
      for (const file of this.#damage.files)
        writeFileSync(join(this.#dir, file), image.get(file) ?? Buffer.alloc(0));
    }
    const found = await this.#fsck(byRepair);
    const lost = await this.#goesOn(shelf);
    // Whatever it cost is said once, and nothing of it waits any more.
    const again = await this.#goesOn(shelf);
    if (again.size !== lost.size) throw new Error('the next start names other losses');
    for (const file of this.#world.files) {
      const name = Buffer.from(file.path).toString();
      const isThere = shelf.has(file);
      if (!isThere && !lost.has(name)) throw new Error(`${name} is gone in silence`);
      if (isThere && name !== GONE && lost.has(name))
        throw new Error(`${name} is called lost, and is not`);
    }
    await this.#fsck(true);
    const left = (await this.#fsck(false)).filter(({ severity }) => severity === 'error');
    if (left.length > 0) throw new Error(`two repairs leave ${left[0]?.code}: ${left[0]?.what}`);
    return lost.size > 0 || found.length > 0 ? 'named' : 'whole';
  }

  /** Whether files stand in each other's place, which stops the agent in one line. */
  async #waitsForItsFiles(): Promise<boolean> {
    if (this.#damage.files.length < 2) return false;
    try {
      await (await openQueue(this.#dir, sizes)).close();
      return false;
    } catch (error) {
      const isTold =
        error instanceof AliquotError &&
        error.message.includes('it was renamed or doubled; give it back its name');
      if (!isTold) throw error;
      return true;
    }
  }

  async #fsck(repair: boolean): Promise<QueueFinding[]> {
    const options = { port: nodeDisk, dataDir: this.#dir, random: seededRandom('fsck'), repair };
    return collect(fsckQueue(options));
  }

  /** The paths that are named as lost in the end. */
  async #goesOn(shelf: Shelf): Promise<ReadonlySet<string>> {
    const queue = await openQueue(this.#dir, sizes);
    try {
      await shelf.drain(queue, this.#world.signer);
      const { entries } = queue.intake.pending();
      if (entries > 0) throw new Error(`${entries} versions still wait`);
      const lost = new Set<string>();
      for (const { path } of await collect(queue.losses.list())) {
        const name = path === undefined ? GONE : Buffer.from(path).toString();
        if (path === undefined && lost.has(GONE)) throw new Error('a loss is without its path');
        lost.add(name);
      }
      return lost;
    } catch (error) {
      if (!(error instanceof AliquotError)) throw error;
      const file = basename(this.#damage.files[0] ?? '');
      throw new Error(`does not go on after damage of ${file}: ${error.code} ${error.message}`);
    } finally {
      await queue.close();
    }
  }
}

async function trialIn(root: string, kind: string): Promise<DamageTrial> {
  mkdirSync(root, { recursive: true });
  const { dir, image, older, ...world } = await made(root);
  const edges = await edgesIn(dir);
  const options = { kindOf, edgesOf: (file: string) => edges.get(file) ?? [], older };
  const { segments, keys, chain } = queuePaths('');
  return {
    damages: damagesOf(image, options).filter((damage) => damage.kind === kind),
    async judge(damage, at, number) {
      layOut(damaged(image, damage), at, [segments, keys, chain]);
      return new Judge(at, damage, world).run(number % 2 === 0, image);
    },
  };
}

function scenario(name: string, what: string, kind: string): TortureScenario {
  const about = {
    name: `damaged-agent-${name}`,
    about: `every bit and every cut of ${what} in an agent's folder, its loss, its swap with another, and an older copy of it: all that was captured arrives, or exactly what does not is named; nothing sound waits behind it, and no sequence is used twice; files in each other's place are named and wait for their names`,
    proves: ['P1', 'P5', 'P6'] as const,
  };
  return damageScenario(about, (root) => trialIn(root, kind));
}

/** Damage of each kind of file in the queue, whose sources are gone. */
export const queueDamageScenarios: readonly TortureScenario[] = [
  scenario('segments', 'each segment', 'segment'),
  scenario('chain', 'the chain log', 'chain log'),
  scenario('index', 'each file of the index', 'index'),
  scenario('batch-keys', 'each batch key', 'batch key'),
];
