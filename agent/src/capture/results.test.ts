import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ResultRow } from '@aliquot/proto';
import { readCommit, resultsBySlot } from '@aliquot/shared/commit/rows';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bench, openBench, portWith, systemError } from '../../testing/capture/bench.ts';
import { receiptFor, testSigner } from '../../testing/queue/support.ts';
import { pathBytes } from '../source/paths.ts';
import { nodeSource } from '../source/source-port.ts';

let bench: Bench;
const signer = testSigner();
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const at = (name: string) => join(bench.data, name);
const write = (name: string, content = name) => writeFileSync(at(name), content);

function folder(): void {
  mkdirSync(at('run.D/sub'), { recursive: true });
  for (const name of ['acq.txt', 'data.ms', 'sub/method']) write(`run.D/${name}`);
}

/** Rows of results in everything that is queued; signs and receipts it. */
async function rows(): Promise<Pick<ResultRow, 'progress' | 'grade' | 'members' | 'size'>[]> {
  const found: Pick<ResultRow, 'progress' | 'grade' | 'members' | 'size'>[] = [];
  for (;;) {
    const commit = await bench.queue.outbox.nextCommit(signer);
    if (commit === undefined) return found;
    for (const row of resultsBySlot(readCommit(commit.bytes).rows).values()) {
      const { progress, grade, members, size } = row;
      found.push({ progress, grade, members, size });
    }
    const { signed, body } = receiptFor(commit);
    await bench.queue.outbox.receipted(signed, body);
  }
}

/** The folder, `sub`, and three files that hold their own names behind `run.D/`. */
const whole = { progress: 'closed', grade: 'assumed', members: 5, size: 13 + 13 + 16 };
const owed = async () => {
  const roots: string[] = [];
  for await (const root of bench.queue.results.owed(pathBytes(bench.source.root)))
    roots.push(
      Buffer.from(root)
        .toString()
        .slice(bench.data.length + 1),
    );
  return roots;
};
/** Which files cannot be opened. */
const locked = (...names: readonly string[]) =>
  portWith({
    open: (path) => {
      if (names.some((name) => path.toString().endsWith(name))) throw systemError('EBUSY');
      return nodeSource.open(path);
    },
  });

describe('I-A16 a folder result', () => {
  test('has one row when it was captured, and none more while nothing changes', async () => {
    folder();
    write('plain.txt');
    await bench.backup();
    expect(await rows()).toEqual([whole]);
    await bench.backup();
    expect(await rows()).toEqual([]);
    expect(await owed()).toEqual([]);
  });

  test('is open while a member cannot be read, keeps the others, and closes as one when it can', async () => {
    folder();
    bench.through(locked('data.ms'));
    const first = await bench.backup();
    expect(first.told).toContain('problem run.D/data.ms');
    expect(bench.problems.codeOf(`${bench.source.root}/run.D/data.ms`)).toBe('unreadable');
    expect(await rows()).toEqual([{ ...whole, progress: 'open', members: 4, size: 29 }]);
    await bench.backup();
    // Nothing is new: no second row says the same.
    expect(await rows()).toEqual([]);
    expect(await owed()).toEqual(['run.D']);
    bench.through(nodeSource);
    await bench.backup();
    expect(await rows()).toEqual([whole]);
    expect(bench.problems.size).toBe(0);
    expect(await owed()).toEqual([]);
  });

  test('has a new row when a member changed, came or went, and a last one when all of it went', async () => {
    folder();
    write('stays.txt');
    await bench.backup();
    await rows();
    write('run.D/acq.txt', 'longer than before');
    await bench.backup();
    expect(await rows()).toEqual([{ ...whole, size: whole.size + 5 }]);
    rmSync(at('run.D/acq.txt'));
    await bench.backup();
    expect(await rows()).toEqual([{ ...whole, members: 4, size: 29 }]);
    rmSync(at('run.D'), { recursive: true });
    await bench.backup();
    expect(await rows()).toEqual([{ ...whole, members: 0, size: 0 }]);
    expect(await owed()).toEqual([]);
  });

  test('that changes between the look and its capture is open until it is judged again', async () => {
    folder();
    bench.through(
      portWith({
        open: (path) => {
          if (path.toString().endsWith('data.ms'))
            write('run.D/data.ms', 'more of it, written just now');
          return nodeSource.open(path);
        },
      }),
    );
    await bench.backup();
    const size = 13 + 28 + 16;
    expect(await rows()).toEqual([{ ...whole, progress: 'open', size }]);
    bench.through(nodeSource);
    await bench.backup();
    expect(await rows()).toEqual([{ ...whole, size }]);
  });

  test('of which only a part was looked at is judged by the next look at all of it', async () => {
    folder();
    await bench.backup();
    await rows();
    write('run.D/acq.txt', 'longer than before');
    await bench.backup(at('run.D/acq.txt'));
    expect(await rows()).toEqual([]);
    expect(await owed()).toEqual(['run.D']);
    await bench.backup();
    expect(await rows()).toEqual([{ ...whole, size: whole.size + 5 }]);
  });

  test('that was captured while nobody wrote its row, as before a crash, is judged at the next look', async () => {
    folder();
    const stop = new AbortController();
    // The run ends behind its last file, and before the rows.
    const { queue } = bench;
    bench.through(nodeSource);
    const put = queue.results.put;
    queue.results.put = () => Promise.reject(new Error('gone'));
    await expect(bench.backup(undefined, stop.signal)).rejects.toThrow('gone');
    queue.results.put = put;
    expect(await rows()).toEqual([]);
    expect(await owed()).toEqual(['run.D']);
    await bench.backup();
    expect(await rows()).toEqual([whole]);
  });

  test('that a rule makes of a folder which was captured before is captured as one', async () => {
    const rules = bench.source.rules as { folderResults: readonly string[] };
    const { folderResults } = rules;
    rules.folderResults = [];
    folder();
    await bench.backup();
    expect(await rows()).toEqual([]);
    rules.folderResults = folderResults;
    await bench.backup();
    expect(await rows()).toEqual([whole]);
    await bench.backup(at('run.D/sub'));
    expect(await rows()).toEqual([]);
  });
});
