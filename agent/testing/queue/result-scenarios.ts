import { type CrashScenario, tortureOf } from '@aliquot/shared/testing/enumerate';
import type { SeededRandom } from '@aliquot/shared/testing/random';
import type { TortureScenario } from '@aliquot/shared/testing/scenario';
import type { Queue, QueueOptions } from '../../src/queue/queue.ts';
import { expectThat, QueueLife } from './queue-life.ts';
import { judgedResult, memberOf, rowsInChain, signedCommits } from './results.ts';
import { collect, putTogether, type SampleFile } from './support.ts';

const ROOT = '/data/run.D';
const SYNCED_TOGETHER = 200;

/**
 * A queue whose files are members of one folder result. `look` does what a scan does: it captures
 * what is not known as it is, and has the row written that is owed then.
 */
class ResultLife extends QueueLife {
  /** The folder's files as they are at their source. */
  readonly #there = new Map<string, SampleFile>();

  constructor(dir: string, random: SeededRandom, options: Partial<QueueOptions> = {}) {
    super(dir, random, options);
    const begin = 'rows of results are made of what stands before them';
    this.step(begin, async () => undefined, 'I-A16', areHonest);
  }

  /** Files are written into the folder, anew or over. */
  write(...names: readonly string[]): this {
    return this.step(`write ${names.length} files`, async () => {
      for (const name of names)
        this.#there.set(name, memberOf(ROOT, this.file(`run.D/${name}`, 0)));
    });
  }

  /** Captures what is new of these, as much of a scan as is done before it ends early. */
  captureSome(from: number, to: number): this {
    return this.step(`capture files ${from} to ${to}`, async (queue) => {
      await this.#capture(queue, [...this.#there.values()].slice(from, to));
    });
  }

  /** A whole look at the folder; `unread` cannot be opened. */
  look(...unread: readonly string[]): this {
    return this.step(`look at the folder`, async (queue) => {
      const all = [...this.#there];
      const readable = all.filter(([name]) => !unread.includes(name)).map(([, file]) => file);
      await this.#capture(queue, readable);
      const owed = await collect(queue.results.owed(Buffer.from(ROOT)));
      if (owed.length === 0) return;
      const files = all.map(([, file]) => file);
      const judged = judgedResult(ROOT, files, unread.length > 0 ? { seen: undefined } : {});
      const { differs } = await queue.results.put(judged);
      expectThat(!differs, 'what was captured is not what is there');
      await queue.sync();
    });
  }

  /** Everything is sent: the result is whole, and one row more than was needed does no harm. */
  isWhole(): this {
    const check = async (queue: Queue): Promise<boolean> => {
      const last = (await rowsInChain(signedCommits(queue))).at(-1);
      const owed = await collect(queue.results.owed(Buffer.from(ROOT)));
      return (
        last?.progress === 'closed' &&
        last.fits &&
        last.members === this.#there.size &&
        owed.length === 0
      );
    };
    return this.step('the result is whole', async () => undefined, 'the last row', check);
  }

  async #capture(queue: Queue, files: readonly SampleFile[]): Promise<void> {
    const known = new Map<string, number>();
    for await (const { path, capturedAtMs } of queue.ledger.knownUnder(Buffer.from(`${ROOT}/`)))
      known.set(Buffer.from(path).toString(), capturedAtMs);
    const changed = files.filter(
      (file) => known.get(Buffer.from(file.path).toString()) !== file.known.capturedAtMs,
    );
    // One record between two syncs: behind a hole that a power failure leaves in more of them,
    // sound ones are kept, and the hole is reported (FORMAT.md, "Queue segment").
    for (let from = 0; from < changed.length; from += SYNCED_TOGETHER) {
      await putTogether(queue, changed.slice(from, from + SYNCED_TOGETHER));
      await queue.sync();
    }
  }
}

/** No row says more than what stands before it in the chain, at any moment. */
async function areHonest(queue: Queue): Promise<boolean> {
  return (await rowsInChain(signedCommits(queue))).every(({ fits }) => fits);
}

const named = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `file ${String(from + at).padStart(4, '0')}`);

/** A result over several commits, whose members change, cannot be read, and are lost. */
const queueResults: CrashScenario = {
  name: 'queue-results',
  about:
    'as queue-day, for a queue whose files are members of a folder result: a row of it is made of exactly the versions before it, closed only when all were captured as they are, and owed until then',
  proves: ['P1', 'P2', 'P6'],
  begin: async (root, random) =>
    new ResultLife(root, random)
      .write('a', 'b', 'c', 'd')
      .captureSome(0, 2)
      .sign()
      .look('c')
      .drain()
      .look()
      .sign()
      .write('b')
      .look()
      .drain()
      .write('d', 'e')
      .look()
      .write('a')
      .look()
      .drain()
      .lose(2)
      .look()
      .drain()
      .isWhole(),
};

/** Five thousand members: more than one commit holds. */
const queueResultsMany: CrashScenario = {
  name: 'queue-results-many',
  about:
    'as queue-results, for a result of 5,000 members over several commits: whatever ends the agent in between, no half of it is closed, and in the end all of it is',
  proves: ['P1', 'P2', 'P6'],
  begin: async (root, random) =>
    new ResultLife(root, random, { segmentBytes: 1 << 20, keptBytes: 1 << 24 })
      .write(...named(0, 5000))
      .captureSome(0, 1200)
      .sign()
      .captureSome(1200, 2500)
      .drain()
      .look()
      .drain()
      .write(...named(40, 60), ...named(3000, 3001))
      .look()
      .drain()
      .isWhole(),
};

export const resultScenarios: readonly TortureScenario[] = [queueResults, queueResultsMany].map(
  tortureOf,
);
