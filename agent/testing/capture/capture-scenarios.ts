import { sha256 } from '@aliquot/shared/crypto/primitives';
import type {
  TortureContext,
  TortureCounts,
  TortureScenario,
} from '@aliquot/shared/testing/scenario';
import { contentTag } from '../../src/queue/log/payloads.ts';
import { pathBytes } from '../../src/source/paths.ts';
import { noise } from '../queue/support.ts';
import { type Bench, openBench, systemError } from './bench.ts';
import { ModelDisk } from './model-disk.ts';

/** Something that another program does to a file while it is backed up. */
interface Meddling {
  readonly name: string;
  /** `turn` counts how often it was done before. */
  do(disk: ModelDisk, path: string, turn: number): void;
}

/** Of a file that is cut into chunks, and of one that is a piece of a slab. */
const sizes = [200_000, 9_000] as const;
const before = Buffer.from(noise('before', sizes[0]));
const after = Buffer.from(noise('after', sizes[0]));

/** As much of it as the file has now, or all where it is gone. */
const like = (content: Buffer, disk: ModelDisk, path: string): Buffer =>
  content.subarray(0, disk.contentOf(path)?.length ?? content.length);

const now = (disk: ModelDisk, path: string): Buffer => disk.contentOf(path) ?? Buffer.alloc(0);

const meddlings: readonly Meddling[] = [
  {
    name: 'grows',
    do: (disk, path, turn) =>
      disk.write(path, Buffer.concat([now(disk, path), noise(`more ${turn}`, 5_000)])),
  },
  {
    name: 'grows by much',
    do: (disk, path, turn) =>
      disk.write(path, Buffer.concat([now(disk, path), noise(`much ${turn}`, 150_000)])),
  },
  {
    name: 'is cut short',
    do: (disk, path) =>
      disk.write(path, now(disk, path).subarray(0, Math.floor(now(disk, path).length / 3))),
  },
  { name: 'is emptied', do: (disk, path) => disk.write(path, Buffer.alloc(0)) },
  {
    name: 'is rewritten in place',
    do: (disk, path, turn) => disk.write(path, like(turn % 2 === 0 ? after : before, disk, path)),
  },
  {
    name: 'is rewritten in place and its time set back',
    do: (disk, path, turn) =>
      disk.writeAndSetTimeBack(path, like(turn % 2 === 0 ? after : before, disk, path)),
  },
  {
    name: 'has its first and its last bytes changed',
    do: (disk, path, turn) => {
      const changed = Buffer.from(now(disk, path));
      for (const at of [0, changed.length - 1])
        if (at >= 0 && changed.length > 0) changed[at] = turn + 1;
      disk.write(path, changed);
    },
  },
  {
    name: 'is replaced by rename',
    do: (disk, path, turn) => disk.replace(path, like(turn % 2 === 0 ? after : before, disk, path)),
  },
  { name: 'is deleted', do: (disk, path) => disk.remove(path) },
  {
    name: 'is deleted and made again',
    do: (disk, path, turn) => {
      disk.remove(path);
      disk.write(path, turn % 2 === 0 ? after : before);
    },
  },
  { name: 'becomes a link', do: (disk, path) => disk.become(path, 'symlink', '/etc/passwd') },
  { name: 'becomes a link to itself', do: (disk, path) => disk.become(path, 'symlink', path) },
  { name: 'becomes a folder', do: (disk, path) => disk.become(path, 'directory') },
  { name: 'becomes a fifo', do: (disk, path) => disk.become(path, 'special') },
  { name: 'may not be read any more', do: (disk, path) => disk.chmod(path, 0) },
];

const errors = [
  'EACCES',
  'EPERM',
  'EBUSY',
  'EIO',
  'ESTALE',
  'EMFILE',
  'ENOTCONN',
  'ENAMETOOLONG',
] as const;

/** How one file is disturbed while it is backed up, from the given call on. */
interface Case {
  readonly name: string;
  readonly size: number;
  /** The file was written just now, within the tick of the kernel’s clock, or long ago. */
  readonly fresh: boolean;
  /** It was captured before. */
  readonly known: boolean;
  readonly at: number;
  readonly always: boolean;
  readonly meddling: Meddling | undefined;
  readonly error: string | undefined;
}

/** More than a backup of the file has calls, three readings included. */
const MOST_CALLS = 40;

function* cases(calls: number): Generator<Case> {
  for (const size of sizes) yield* casesOf(size, calls);
}

function* casesOf(size: number, calls: number): Generator<Case> {
  for (const known of [false, true]) {
    for (let at = 0; at <= calls; at += 1) {
      for (const always of [false, true]) {
        for (const fresh of [false, true]) {
          for (const meddling of meddlings)
            yield {
              name: meddling.name,
              size,
              fresh,
              known,
              at,
              always,
              meddling,
              error: undefined,
            };
        }
        for (const error of errors) {
          yield {
            name: `fails with ${error}`,
            size,
            fresh: false,
            known,
            at,
            always,
            meddling: undefined,
            error,
          };
        }
      }
    }
  }
}

/**
 * Disturbs the capture of a file at every call to the file system, in every way, once and for ever,
 * and judges: what is recorded is a state that the file once had, whole; what is not recorded is
 * named; and when it rests again it is captured by itself.
 */
export async function disturbedReads(context: TortureContext): Promise<TortureCounts> {
  const failed: string[] = [];
  let injected = 0;
  let number = 0;
  const bench = await openBench();
  try {
    const disk = new ModelDisk(bench.clock, bench.root);
    bench.through(disk);
    const calls = await countCalls(bench, disk);
    for (const one of cases(calls)) {
      number += 1;
      if (!context.mine(number)) continue;
      if (context.over())
        return { injected, passed: injected - failed.length, failed, whole: false };
      injected += 1;
      const wrong = await disturbOnce(bench, disk, one, `file ${number}`);
      if (wrong === undefined) continue;
      const when = one.always ? `at every call from ${one.at} on` : `before call ${one.at}`;
      failed.push(
        `case ${number}: a ${one.known ? 'known' : 'new'}${one.fresh ? ', fresh' : ''} file of ${one.size} bytes ${one.name} ${when}: ${wrong}`,
      );
    }
    return { injected, passed: injected - failed.length, failed, whole: true };
  } finally {
    await bench.close();
  }
}

async function countCalls(bench: Bench, disk: ModelDisk): Promise<number> {
  disk.write(`${bench.root}/count`, before);
  bench.clock.ms += 60_000;
  disk.operations = 0;
  await bench.backup('count');
  return Math.min(disk.operations, MOST_CALLS);
}

/** What went wrong, or undefined. */
async function disturbOnce(
  bench: Bench,
  disk: ModelDisk,
  one: Case,
  name: string,
): Promise<string | undefined> {
  const path = `${bench.root}/${name}`;
  const states: Buffer[] = [];
  const note = () => {
    const content = disk.contentOf(path);
    if (content !== undefined) states.push(content);
  };
  const content = before.subarray(0, one.size);
  disk.write(path, one.known ? Buffer.from('an earlier state') : content);
  if (one.known) {
    bench.clock.ms += 60_000;
    await bench.backup(name);
    disk.write(path, content);
  }
  note();
  if (!one.fresh) bench.clock.ms += 60_000;

  let turn = 0;
  disk.operations = 0;
  disk.before = ({ index, operation }) => {
    if (one.always ? index < one.at : index !== one.at) return;
    if (one.error !== undefined) throw systemError(one.error);
    // The parent folder is not the file’s.
    if (operation === 'readdir') return;
    one.meddling?.do(disk, path, turn);
    turn += 1;
    note();
  };
  const first = await bench.backup(name);
  disk.before = () => undefined;
  if (disk.opened > 0) return `${disk.opened} files were left open`;
  const wrong = await judge(bench, path, states, first.told.join(', '));
  if (wrong !== undefined) return wrong;

  bench.clock.ms += 60_000;
  disk.chmod(path, disk.kindOf(path) === 'directory' ? 0o755 : 0o644);
  bench.clock.ms += 60_000;
  const second = await bench.backup(name);
  return atRest(bench, disk, path, second.told.join(', '));
}

async function judge(
  bench: Bench,
  path: string,
  states: readonly Buffer[],
  told: string,
): Promise<string | undefined> {
  const known = await bench.queue.ledger.known(pathBytes(path));
  const isProblem = (await problemOf(bench, path)) !== undefined;
  if (told.includes('new ') || told.includes('changed ')) {
    if (known === undefined) return `told as captured (${told}), and not known`;
    if (known.kind !== 'file') return undefined;
    if (!states.some((state) => sameContent(state, known.contentTag)))
      return `a state was recorded that the file never had (${told})`;
    return isProblem ? `captured, and named as a problem too (${told})` : undefined;
  }
  if (told.includes('vanished') || told.includes('gone') || told.includes('same')) return undefined;
  // Nothing of it was captured: then it is named, or it was not there any more when we looked.
  if (told === '')
    return known === undefined
      ? undefined
      : 'nothing was told of a file that is known and was changed';
  return isProblem ? undefined : `not captured and not named (${told})`;
}

async function atRest(
  bench: Bench,
  disk: ModelDisk,
  path: string,
  told: string,
): Promise<string | undefined> {
  const known = await bench.queue.ledger.known(pathBytes(path));
  const problem = await problemOf(bench, path);
  const kind = disk.kindOf(path);
  const content = disk.contentOf(path);
  if (kind === undefined)
    return known === undefined ? undefined : `gone, and still known afterwards (${told})`;
  if (kind === 'special')
    return problem === 'special' ? undefined : `a special file is not named (${told})`;
  if (problem !== undefined) return `still named ${problem} when at rest (${told})`;
  if (known === undefined) return `not captured when at rest (${told})`;
  if (known.kind !== kind) return `known as ${known.kind}, and a ${kind} (${told})`;
  return content === undefined || sameContent(content, known.contentTag)
    ? undefined
    : `another content is known than is there (${told})`;
}

async function problemOf(bench: Bench, path: string): Promise<string | undefined> {
  for await (const problem of bench.queue.ledger.problems())
    if (pathBytes(path).equals(problem.path)) return problem.code;
  return undefined;
}

function sameContent(content: Buffer, tag: Uint8Array): boolean {
  return Buffer.compare(contentTag(sha256(content)), tag) === 0;
}

export const captureScenarios: readonly TortureScenario[] = [
  {
    name: 'disturbed-reads',
    about:
      'a file grows, shrinks, is rewritten, replaced, deleted, turned into something else, locked or unreadable before every single call that its capture makes; only whole states are recorded, the rest is named and captured when it rests',
    proves: ['P2', 'P6'],
    run: disturbedReads,
  },
];
