import type { Entry, ResultId } from '@aliquot/proto';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import type { RowDraft } from '@aliquot/shared/commit/block-seal';
import { MemberSet } from '@aliquot/shared/commit/results';
import { type CommitRows, readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { decodeCommitPlace, numberKey } from '../log/index-rows.ts';
import { memberRuns } from '../log/member-runs.ts';
import type { QueueFiles } from '../log/open-queue.ts';
import type { ResultDraft } from '../log/result-draft.ts';
import { readSigned } from '../log/stored.ts';

/*
 * The rows of folder results when they are signed. A row says of which versions it is made; those
 * stand in this agent's own commits, or in the one that is being made.
 */

/** What the row of a result is made of, as far as it is known before its commit is. */
export interface ResultMembers {
  readonly resultId: ResultId;
  /** Those that stand in earlier commits. */
  readonly before: MemberSet;
  /** How many stand in the same one. */
  readonly here: number;
  /** Some of them are nowhere: they were lost. */
  readonly lacks: boolean;
}

/**
 * Looks for the members of a result: `entries` are the numbers of the versions in the slots of the
 * commit that its row will stand in, rising. Reads each commit once that has some of them, and
 * holds one at a time.
 *
 * @throws QueueError `QUEUE_DAMAGED` for a chain log that is.
 */
export async function resultMembers(
  files: QueueFiles,
  { versions }: ResultDraft,
  resultId: ResultId,
  entries: readonly number[],
): Promise<ResultMembers> {
  const first = entries[0] ?? 0;
  const before = new MemberSet();
  const earlier = new EarlierRows(files);
  let here = 0;
  let lacks = false;
  let slot = 0;
  for (const run of memberRuns(versions)) {
    for (let number = run.from; number <= run.to && number < first; number += 1) {
      const row = await earlier.row(number);
      if (row === undefined || !isMember(row, resultId)) lacks = true;
      else before.add(row.fileId, row.size, clearHashOf(row));
    }
    for (let number = Math.max(run.from, first); number <= run.to; number += 1) {
      while (slot < entries.length && (entries[slot] as number) < number) slot += 1;
      if (entries[slot] === number) here += 1;
      else lacks = true;
    }
  }
  return { resultId, before, here, lacks };
}

function isMember(row: Entry, resultId: ResultId): boolean {
  return row.kind !== 'gone' && row.resultId !== undefined && equalBytes(row.resultId, resultId);
}

/**
 * The row of a result. What it says of its members is made of their rows, never taken from
 * elsewhere. Where those that stand before it are not those that it was judged by, because one of
 * them was lost, it is open, and says what the collector will find (I-C16): a commit that is
 * refused would stop all behind it.
 *
 * @param found The newest versions of its members that stand before it in the same commit.
 */
export function resultRow(
  draft: ResultDraft,
  { resultId, before, here, lacks }: ResultMembers,
  found: readonly Entry[],
): RowDraft {
  const isWhole = !lacks && found.length === here;
  for (const row of found) before.add(row.fileId, row.size, clearHashOf(row));
  const { sourceId, class: className, capturedAtMs, platform, grade, root, evidence } = draft;
  return {
    row: {
      kind: 'result',
      sourceId,
      class: className,
      resultId,
      size: before.size,
      capturedAtMs,
      progress: isWhole ? draft.progress : 'open',
      grade,
      members: before.count,
      membersRoot: before.root(),
    },
    list: {
      platform,
      path: root,
      resultPathLength: root.length,
      mtimeNs: 0n,
      mode: 0,
      attributes: 0,
      linkTarget: NO_BYTES,
    },
    part: 'none',
    evidence,
    read: undefined,
  };
}

const NO_BYTES = new Uint8Array(0);

/** Rows of this agent's own commits by the queue's numbers, asked for in rising order. */
class EarlierRows {
  readonly #files: QueueFiles;
  #at: { readonly numbers: readonly number[]; readonly rows: CommitRows } | undefined;
  #slot = 0;
  #sequence = 1;

  constructor(files: QueueFiles) {
    this.#files = files;
  }

  /** Undefined where it is in no commit, or was lost in one. */
  async row(number: number): Promise<Entry | undefined> {
    if (number > (this.#at?.numbers.at(-1) ?? -1)) await this.#find(number);
    const { numbers = [], rows } = this.#at ?? {};
    while (this.#slot < numbers.length && (numbers[this.#slot] as number) < number) this.#slot += 1;
    return numbers[this.#slot] === number ? rows?.entry(this.#slot) : undefined;
  }

  /** The first commit that reaches to a number, by halves: commits take numbers in their order. */
  async #find(number: number): Promise<void> {
    let low = this.#sequence;
    let high = this.#files.index.state.chainHead?.sequence ?? 0;
    this.#at = undefined;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const value = await this.#files.index.get(numberKey('c', middle));
      if (value !== undefined && decodeCommitPlace(value).lastEntry >= number) high = middle;
      else low = middle + 1;
    }
    this.#sequence = low;
    this.#slot = 0;
    const kept = await readSigned(this.#files, low);
    if (kept === undefined) return;
    this.#at = { numbers: kept.entryNumbers, rows: readCommit(kept.bytes).rows };
  }
}
