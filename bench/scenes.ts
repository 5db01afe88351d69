import { mkdirSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { appendPart, changeMixed } from './change.ts';
import type { DataSet, SetName } from './data/prepare.ts';
import { planGrowing, planMixed, planSecond } from './data/sets.ts';
import { type Command, measure, type Surroundings, type Usage } from './measure/command.ts';
import { difference } from './measure/disk.ts';
import type { BenchSample, Verb } from './samples.ts';
import type { BackupSystem, Repository } from './systems/system.ts';

/** Everything that one system does with one fresh repository, in order. */
export interface Scene {
  readonly name: string;
  readonly verbs: readonly Verb[];
  play(stage: BenchStage): Promise<void>;
}

/** What a scene plays with. */
export interface BenchStage {
  readonly system: BackupSystem;
  readonly repository: Repository;
  /** A folder of its own for what is restored; need not exist. */
  readonly restored: string;
  readonly scale: number;
  /**
   * The data sets, made when first asked for. All their files are in the page cache when this
   * returns, so it is asked right before they are backed up.
   */
  data(name: SetName): DataSet;
  corpus(): DataSet | undefined;
  wants(verb: Verb): boolean;
  /** Keeps what was measured. */
  keep(sample: Omit<BenchSample, 'system' | 'run'>): void;
  /** Says what is done now. */
  say(what: string): void;
}

const APPENDS = 5;
const ONE_FILE = 'waveforms/run-06.dat';

export const scenes: readonly Scene[] = [
  {
    name: 'mixed',
    verbs: [
      'first',
      'unchanged',
      'unchanged-service',
      'changed',
      'second',
      'restore',
      'one',
      'check',
      'scrub',
    ],
    play: playMixed,
  },
  { name: 'corpus', verbs: ['corpus'], play: playCorpus },
  {
    name: 'small',
    verbs: [
      'small',
      'small-unchanged',
      'small-unchanged-service',
      'small-restore',
      'small-check',
      'small-second',
    ],
    play: playSmall,
  },
  { name: 'small-kept', verbs: ['small-kept'], play: playKept },
  { name: 'growing', verbs: ['growing', 'growing-service'], play: playGrowing },
];

async function playMixed(stage: BenchStage): Promise<void> {
  const { repository, restored, scale } = stage;
  const { folder, bytes } = stage.data('mixed');
  await store(stage, 'first', repository.backup(folder, 'pc-1'), bytes);
  if (stage.wants('unchanged'))
    await store(stage, 'unchanged', repository.backup(folder, 'pc-1'), bytes);
  if (stage.wants('unchanged-service'))
    await throughService(stage, 'unchanged-service', folder, bytes);
  const later: readonly Verb[] = ['changed', 'second', 'restore', 'one', 'check', 'scrub'];
  if (!later.some((verb) => stage.wants(verb))) return;
  const change = stage.wants('changed') ? changeMixed(folder, scale) : undefined;
  try {
    if (change !== undefined)
      await store(stage, 'changed', repository.backup(folder, 'pc-1'), change.newBytes);
    if (stage.wants('second')) {
      const second = stage.data('second');
      await store(stage, 'second', repository.backup(second.folder, 'pc-2'), second.bytes);
    }
    if (stage.wants('restore'))
      await bringBack(
        stage,
        'restore',
        repository.restore(folder, restored),
        folder,
        folder,
        bytes,
      );
    if (stage.wants('one')) {
      const file = join(folder, ONE_FILE);
      const size = planMixed(scale).find(({ path }) => path === ONE_FILE)?.bytes ?? 0;
      await bringBack(
        stage,
        'one',
        repository.restoreFile(folder, file, restored),
        folder,
        file,
        size,
      );
    }
    const stored = bytes + planBytes(planSecond(planMixed(scale), scale));
    const check = repository.check();
    if (stage.wants('check') && check !== undefined) await act(stage, 'check', check, stored);
    const scrub = repository.scrub?.();
    if (stage.wants('scrub') && scrub !== undefined) await act(stage, 'scrub', scrub, stored);
  } finally {
    change?.undo();
  }
}

async function playCorpus(stage: BenchStage): Promise<void> {
  const corpus = stage.corpus();
  if (corpus !== undefined)
    await store(stage, 'corpus', stage.repository.backup(corpus.folder, 'pc-1'), corpus.bytes);
}

/** One of the corpus's folders in a repository of its own. */
export function folderScene({ name, folder, files, bytes }: DataSet): Scene {
  return {
    name: `corpus-${name}`,
    verbs: ['corpus-folders'],
    play: (stage) =>
      store(stage, 'corpus-folders', stage.repository.backup(folder, 'pc-1'), bytes, {
        folder: name,
        files,
      }),
  };
}

async function playSmall(stage: BenchStage): Promise<void> {
  const { folder, bytes } = stage.data('small');
  const { repository, restored } = stage;
  await store(stage, 'small', stage.repository.backup(folder, 'pc-1'), bytes);
  if (stage.wants('small-unchanged'))
    await store(stage, 'small-unchanged', stage.repository.backup(folder, 'pc-1'), bytes);
  if (stage.wants('small-unchanged-service'))
    await throughService(stage, 'small-unchanged-service', folder, bytes);
  if (stage.wants('small-restore')) {
    const restore = repository.restore(folder, restored);
    await bringBack(stage, 'small-restore', restore, folder, folder, bytes);
  }
  const check = repository.check();
  if (stage.wants('small-check') && check !== undefined)
    await act(stage, 'small-check', check, bytes);
  if (stage.wants('small-second')) {
    // Files of its own: a system that knows files by their numbers shall not know these.
    const second = stage.data('small-second');
    await store(stage, 'small-second', repository.backup(second.folder, 'pc-2'), second.bytes);
  }
}

/** The server ends with it, so it has a repository of its own. */
async function playKept(stage: BenchStage): Promise<void> {
  const { repository } = stage;
  if (repository.kept === undefined) return;
  const { folder, bytes, files } = stage.data('small');
  stage.say('small-kept');
  const { output: _, ...usage } = await measure(
    repository.backup(folder, 'pc-1'),
    surroundings(stage),
  );
  const kept = await repository.kept();
  stage.keep({ verb: 'small-kept', ...usage, rawBytes: bytes, files, kept });
}

/** The first backup is no part of the figure: what five appends cost together is. */
async function playGrowing(stage: BenchStage): Promise<void> {
  const { folder } = stage.data('growing');
  const file = join(folder, 'acquisition.dat');
  const [{ bytes: whole } = { bytes: 0 }] = planGrowing(stage.scale);
  const grow = async (
    verb: Verb,
    first: number,
    companions: readonly number[] = [],
  ): Promise<void> => {
    const usages: Usage[] = [];
    const before = await stage.repository.storedBytes();
    let appended = 0;
    for (let part = first; part < first + APPENDS; part += 1) {
      appended += appendPart(file, part, stage.scale);
      stage.say(`${verb} ${part - first + 1} of ${APPENDS}`);
      usages.push(
        await measure(stage.repository.backup(folder, 'pc-1'), {
          ...surroundings(stage),
          companions,
        }),
      );
    }
    const grown = (await stage.repository.storedBytes()) - before;
    stage.keep({ verb, ...together(usages), rawBytes: appended, storedBytes: grown });
  };
  truncateSync(file, whole);
  try {
    stage.say('growing: first backup, not measured');
    await measure(stage.repository.backup(folder, 'pc-1'), surroundings(stage));
    if (stage.wants('growing')) await grow('growing', 1);
    if (stage.wants('growing-service') && stage.repository.startService !== undefined) {
      const service = await stage.repository.startService(folder);
      try {
        await grow('growing-service', 1 + APPENDS, [service.pid]);
      } finally {
        await service.stop();
      }
    }
  } finally {
    truncateSync(file, whole);
  }
}

/** Costs of commands that belong together: the sums, and the largest peaks. */
export function together(usages: readonly Usage[]): Usage {
  const sum = (of: (usage: Usage) => number): number =>
    usages.reduce((total, usage) => total + of(usage), 0);
  return {
    wallSeconds: sum((usage) => usage.wallSeconds),
    clientCpuSeconds: sum((usage) => usage.clientCpuSeconds),
    serverCpuSeconds: sum((usage) => usage.serverCpuSeconds),
    clientPeakBytes: Math.max(...usages.map((usage) => usage.clientPeakBytes)),
    serverPeakBytes: Math.max(...usages.map((usage) => usage.serverPeakBytes)),
  };
}

function surroundings({ repository }: BenchStage): Surroundings {
  const { servers, isServer } = repository;
  return isServer === undefined ? { servers } : { servers, isServer };
}

/** A backup: what it cost, and by how much the store grew. */
async function store(
  stage: BenchStage,
  verb: Verb,
  command: Command,
  rawBytes: number,
  about: Pick<BenchSample, 'folder' | 'files'> = {},
): Promise<void> {
  const before = await stage.repository.storedBytes();
  stage.say(verb);
  const { output: _, ...usage } = await measure(command, surroundings(stage));
  const storedBytes = (await stage.repository.storedBytes()) - before;
  stage.keep({ verb, ...usage, rawBytes, storedBytes, ...about });
}

async function act(
  stage: BenchStage,
  verb: Verb,
  command: Command,
  rawBytes: number,
): Promise<void> {
  stage.say(verb);
  const { output: _, ...usage } = await measure(command, surroundings(stage));
  stage.keep({ verb, ...usage, rawBytes });
}

/**
 * A restore, and then, outside the time, the comparison of every byte. Memory counts from the first
 * file on: before it a kit may be opened.
 */
async function bringBack(
  stage: BenchStage,
  verb: Verb,
  command: Command,
  source: string,
  path: string,
  rawBytes: number,
): Promise<void> {
  const { restored, repository } = stage;
  rmSync(restored, { recursive: true, force: true });
  mkdirSync(restored, { recursive: true });
  stage.say(verb);
  const begun = (): boolean => readdirSync(restored).length > 0;
  const { output: _, ...usage } = await measure(command, {
    ...surroundings(stage),
    peakFrom: begun,
  });
  stage.say(`${verb}: comparing`);
  const differs = await difference(path, repository.restoredPath(source, path, restored));
  if (differs !== undefined)
    throw new Error(
      `${stage.system.name}: what was restored is not what was backed up: ${differs}`,
    );
  rmSync(restored, { recursive: true, force: true });
  stage.keep({ verb, ...usage, rawBytes });
}

/**
 * The same command while the PC's service runs, which then does the work: its processor time and
 * memory count as the client's.
 */
async function throughService(
  stage: BenchStage,
  verb: Verb,
  folder: string,
  rawBytes: number,
): Promise<void> {
  const { repository } = stage;
  if (repository.startService === undefined) return;
  stage.say(`${verb}: starting the service`);
  const service = await repository.startService(folder);
  try {
    stage.say(verb);
    const { output: _, ...usage } = await measure(repository.backup(folder, 'pc-1'), {
      ...surroundings(stage),
      companions: [service.pid],
    });
    stage.keep({ verb, ...usage, rawBytes });
  } finally {
    await service.stop();
  }
}

const planBytes = (files: readonly { readonly bytes: number }[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);
