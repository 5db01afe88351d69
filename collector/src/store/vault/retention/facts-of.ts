import { type Range, ranges, readKey } from '../../catalog/catalog-keys.ts';
import type { CatalogRow } from '../../catalog/catalog-store.ts';
import { decodeEarlier, decodeHead, GROUP_SLOTS } from '../../catalog/version-rows.ts';
import type { JudgedSubject, UnreadSubject } from '../../vault-retention.ts';
import type { VaultCore } from '../core.ts';
import { chainTo, link, receiptsIn } from './chains.ts';
import { ClearNames, clearLeaf, type IsMeant } from './clear-rows.ts';
import { ExpiredMarks } from './expired-marks.ts';
import { type FactsAsked, SubjectJudge } from './file-facts.ts';
import { LeafSet } from './leaf-set.ts';
import { VersionColumns } from './version-columns.ts';

/** Does a piece of long work when it is its turn (`Turns.step`). */
export type LongStep = <T>(work: () => Promise<T>) => Promise<T>;

/** Versions of which facts are in memory at once: some 90 MB. */
const MOST_ROWS = 1_500_000;
/** Rows of the catalog that are read in one step; a row of links holds up to 256. */
const ROWS_A_STEP = 64;
/** Few enough for what is made of them to be gone before V8 looks what of it still lives. */
const SUBJECTS_A_STEP = 64;
const IDS = 2 ** 32;

/**
 * Everything that a history has, judged: its results first, for their members stay with them, then
 * its files. What comes while it goes on may be passed over, and what cannot be read is: passed
 * over means that it stays.
 *
 * Reads the catalog's rows and each commit of the history in order, once for each 1.5 million
 * versions, in steps that give way to others.
 */
export async function* factsOf(
  core: VaultCore,
  asked: FactsAsked,
  step: LongStep,
  mostRows = MOST_ROWS,
): AsyncGenerator<JudgedSubject | UnreadSubject, void, void> {
  const history = core.registry.lineage(asked.branchId)?.number;
  if (history === undefined) return;
  const names = new ClearNames();
  const marks = await ExpiredMarks.of(core, history, asked.policies);
  const judge = new SubjectJudge(core, asked, names, marks);
  const reader = new HistoryReader({ core, history, names, judge, step, mostRows, asked });
  yield* reader.all();
}

interface Reading {
  readonly core: VaultCore;
  readonly history: number;
  readonly names: ClearNames;
  readonly judge: SubjectJudge;
  readonly step: LongStep;
  readonly mostRows: number;
  readonly asked: FactsAsked;
}

/** A part of all ids by their first four bytes: from one on, below the other. */
interface IdPart {
  readonly from: number;
  readonly below: number;
}

class HistoryReader {
  readonly #of: Reading;
  readonly #leaves = new LeafSet();

  constructor(of: Reading) {
    this.#of = of;
  }

  async *all(): AsyncGenerator<JudgedSubject | UnreadSubject, void, void> {
    const { history, mostRows } = this.#of;
    const [results, files] = await this.#survey();
    const everything: IdPart = { from: 0, below: IDS };
    if (results + files <= mostRows) {
      const columns = await this.#load(undefined, results + files);
      if (columns !== undefined) {
        yield* this.#subjects(columns, ranges.results(history), true);
        yield* this.#subjects(columns, ranges.heads(history), false);
        return;
      }
    }
    const parts = Math.ceil((1.2 * Math.max(results, files)) / mostRows);
    if (results > 0) yield* this.#inParts(split(everything, parts), true);
    yield* this.#inParts(split(everything, parts), false);
  }

  /** Finds the leaves that matter; counts the versions of results, and of files. */
  async #survey(): Promise<readonly [results: number, files: number]> {
    const { history } = this.#of;
    let [results, files] = [0, 0];
    const heads = async (range: Range): Promise<number> => {
      let count = 0;
      await this.#each(range, ([, value]) => {
        this.#leaves.add(decodeHead(value).leafIndex);
        count += 1;
      });
      return count;
    };
    results += await heads(ranges.results(history));
    files += await heads(ranges.heads(history));
    await this.#each(ranges.earlier(history), ([key, value]) => {
      this.#leaves.add(readKey.group(key).leafIndex);
      for (const earlier of decodeEarlier(value).values()) {
        this.#leaves.add(earlier.leafIndex);
        if (earlier.kind === 'result') results += 1;
        else files += 1;
      }
    });
    return [results, files];
  }

  async *#inParts(
    parts: readonly IdPart[],
    isResult: boolean,
  ): AsyncGenerator<JudgedSubject | UnreadSubject, void, void> {
    const waiting = [...parts];
    const { mostRows } = this.#of;
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      const { from, below } = part;
      const columns = await this.#load((id, ofResult) => {
        const first = firstBytes(id);
        return ofResult === isResult && first >= from && first < below;
      }, mostRows);
      const range = isResult
        ? ranges.resultsBetween(this.#of.history, from, below)
        : ranges.headsBetween(this.#of.history, from, below);
      if (columns !== undefined) yield* this.#subjects(columns, range, isResult);
      // Too many for the memory that there is. Of ids that begin alike somebody has made them so.
      else if (below - from > 1) waiting.unshift(...split(part, 2));
      else yield* this.#subjects(new VersionColumns(), range, isResult);
    }
  }

  /** The versions whose ids are meant, so many perhaps; undefined: too many. */
  async #load(isMeant: IsMeant | undefined, expected: number): Promise<VersionColumns | undefined> {
    const { core, history, names, step, mostRows } = this.#of;
    const columns = new VersionColumns(expected);
    for (const leafIndex of this.#leaves) {
      await step(async () => {
        const leaf = await clearLeaf(core, leafIndex, names, isMeant);
        if (leaf === undefined) return;
        let begun = false;
        leaf.each((facts) => {
          if (!begun) columns.begin(leafIndex, leaf.receivedMs);
          begun = true;
          columns.add(facts);
        });
      });
      if (columns.rows > 2 * mostRows) return undefined;
    }
    const receivedMs = receiptsIn(core);
    await this.#each(ranges.earlier(history), async ([key, value]) => {
      const { leafIndex, group } = readKey.group(key);
      for (const [inGroup, earlier] of decodeEarlier(value)) {
        const version = { leafIndex, slot: group * GROUP_SLOTS + inGroup };
        await link(columns, version, earlier, receivedMs);
      }
    });
    return columns;
  }

  async *#subjects(
    columns: VersionColumns,
    range: Range,
    isResult: boolean,
  ): AsyncGenerator<JudgedSubject | UnreadSubject, void, void> {
    const { core, judge, step, asked } = this.#of;
    const rows = core.catalog.scan(range);
    for (let isDone = false; !isDone; ) {
      const judged = await step(async () => {
        const found: (JudgedSubject | UnreadSubject)[] = [];
        while (found.length < SUBJECTS_A_STEP) {
          const next = await rows.next();
          isDone = next.done === true;
          if (next.done === true) break;
          const [key, value] = next.value;
          const id = isResult ? readKey.result(key) : readKey.file(key);
          const chain = chainTo(columns, decodeHead(value));
          if (chain === undefined) {
            if (isResult) judge.loseRows(id);
            found.push({ branchId: asked.branchId, id, isResult, facts: undefined });
          } else found.push(await judge.judge({ id, isResult }, chain));
        }
        return found;
      });
      yield* judged;
    }
  }

  /** Shows the rows of a range, in steps. */
  async #each(range: Range, take: (row: CatalogRow) => void | Promise<void>): Promise<void> {
    const rows = this.#of.core.catalog.scan(range);
    for (let isDone = false; !isDone; )
      await this.#of.step(async () => {
        for (let count = 0; count < ROWS_A_STEP; count += 1) {
          const next = await rows.next();
          isDone = next.done === true;
          if (next.done === true) return;
          await take(next.value);
        }
      });
  }
}

function split({ from, below }: IdPart, parts: number): IdPart[] {
  const cut = (at: number): number => from + Math.floor(((below - from) * at) / parts);
  return Array.from({ length: parts }, (_, at) => ({ from: cut(at), below: cut(at + 1) }));
}

function firstBytes(id: Uint8Array): number {
  return (id[0] ?? 0) * 2 ** 24 + (((id[1] ?? 0) << 16) | ((id[2] ?? 0) << 8) | (id[3] ?? 0));
}
