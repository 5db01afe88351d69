import type { ResultProgress } from '@aliquot/proto';
import type { QueueCore } from '../log/core.ts';
import type { KnownStat } from '../log/facts.ts';
import type { IndexStore } from '../log/index-store.ts';
import { encodeMembers } from '../log/member-runs.ts';
import type { KnownRecord } from '../log/payloads.ts';
import { askIndex, askIndexForMany } from '../log/questions.ts';
import type { ResultDraft } from '../log/result-draft.ts';
import { owedResults, resultStanding } from '../log/result-rows.ts';
import {
  type FolderResults,
  type FolderStanding,
  type JudgedResult,
  type PutResult,
  SeenMembers,
} from './results.ts';

export interface ResultParts {
  readonly core: QueueCore;
  /** Appends the row, inside the queue's turn. */
  readonly append: (draft: ResultDraft) => Promise<void>;
}

const NO_MEMBERS = new Uint8Array(0);
const FIRST_MEMBERS = 64;

/** Rows of folder results, over the log. */
export class DurableResults implements FolderResults {
  readonly #parts: ResultParts;

  constructor(parts: ResultParts) {
    this.#parts = parts;
  }

  put(judged: JudgedResult): Promise<PutResult> {
    return this.#parts.core.change(() => this.#put(judged));
  }

  async *owed(prefix: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
    yield* askIndexForMany(this.#parts.core, (index) => owedResults(index, prefix));
  }

  standing(root: Uint8Array): Promise<FolderStanding> {
    return askIndex(this.#parts.core, async (index) => {
      const { row, changed } = await resultStanding(index, root);
      const isSafe = row !== undefined && row.entry <= index.state.receiptedEntry;
      return { row, isSafe, isOwed: changed || row?.progress === 'open' };
    });
  }

  async #put(judged: JudgedResult): Promise<PutResult> {
    const { core, append } = this.#parts;
    // Known files are listed as they are written.
    if (core.files.index.known.staged > 0) await core.flush();
    const { index } = core.files;
    const found = await membersOf(index, judged);
    const versions = encodeMembers(found.numbers);
    const differs = judged.seen !== undefined && judged.seen !== found.seen;
    const progress: ResultProgress =
      judged.seen === undefined || differs || found.grows || versions === undefined
        ? 'open'
        : 'closed';
    const { grade } = judged;
    const mark = { progress, grade, members: versions === undefined ? 0 : found.numbers.length };
    const { row, changed } = await resultStanding(index, judged.root);
    const says =
      row === undefined
        ? mark.members === 0
        : row.progress === progress && row.grade === grade && row.members === mark.members;
    if (says && !changed) return { progress, differs, isNew: false };
    await append({
      kind: 'result',
      ...mark,
      sourceId: judged.sourceId,
      class: judged.class,
      capturedAtMs: Math.max(judged.judgedAtMs, found.newestMs),
      platform: judged.platform,
      root: judged.root,
      versions: versions ?? NO_MEMBERS,
      evidence: judged.evidence,
    });
    return { progress, differs, isNew: true };
  }
}

interface Found {
  readonly numbers: Float64Array;
  readonly seen: string;
  /** The newest version of a member was captured while it grew. */
  readonly grows: boolean;
  readonly newestMs: number;
}

/** The known members of a result, of what is written. */
async function membersOf(index: IndexStore, judged: JudgedResult): Promise<Found> {
  const { root, below, isLeftOut } = judged;
  const seen = new SeenMembers();
  let numbers = new Float64Array(FIRST_MEMBERS);
  let count = 0;
  let grows = false;
  let newestMs = 0;
  const add = ({ entry, stat }: KnownRecord): void => {
    if (stat.resultPathLength !== root.length) return;
    if (count === numbers.length) {
      const larger = new Float64Array(2 * count);
      larger.set(numbers);
      numbers = larger;
    }
    numbers[count] = entry;
    count += 1;
    grows ||= isUnproved(stat);
    newestMs = Math.max(newestMs, stat.capturedAtMs);
    if (isLeftOut(stat.path)) return;
    const path = Buffer.from(stat.path.buffer, stat.path.byteOffset, stat.path.length);
    seen.add(path.toString('latin1'), stat.kind, stat.size, stat.mtimeNs);
  };
  const self = await index.known.written(root);
  if (self !== undefined) add(self);
  for await (const batch of index.known.batches(below)) for (const known of batch) add(known);
  return { numbers: numbers.slice(0, count), seen: seen.digest(), grows, newestMs };
}

/** Captured while it grew: nobody has read the whole of it at once. */
function isUnproved({ kind, size, contentTag }: KnownStat): boolean {
  return kind === 'file' && size > 0 && contentTag.every((byte) => byte === 0);
}
