import { AliquotError, type ChunkId } from '@aliquot/proto';
import { RECORD_HEADER_BYTES } from '@aliquot/shared/records/codec';
import type { DurableReferences } from '../ledger/durable-references.ts';
import { growthSlot } from '../ledger/rows.ts';
import type { Applied } from '../log/apply.ts';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { QueueEvents } from '../log/events.ts';
import type { QueuedItem } from '../log/facts.ts';
import { rawKey } from '../log/index-rows.ts';
import { MOST_DRAFTS_BYTES, MOST_ROWS } from '../log/payloads.ts';
import { encodeResultDraft, type ResultDraft } from '../log/result-draft.ts';
import type { Joined, Turn } from '../log/turn.ts';
import { oldestMsIn } from '../log/unsigned.ts';
import { type CaptureSink, captureEnded, type Holds, QueueCapture } from './capture.ts';
import { encodedDraft, type GatheredVersion, Puts, sharedHead, withSlabKeys } from './gathered.ts';
import type {
  Capture,
  Onward,
  PendingCounts,
  PutEnds,
  PutVersion,
  QueueIntake,
  QueueUsage,
  SpaceLeft,
  WholeSlab,
} from './intake.ts';
import { type FindingStep, type FoundItems, ItemsIn, nothingFound } from './items-in.ts';
import { SpaceMeter, type SpaceOptions } from './meter.ts';
import { Refusals } from './refusals.ts';

const noBytes = new Uint8Array(0);
/** The class of a capture that names none. */
const DEFAULT_CLASS = 'default';

export interface IntakeParts {
  readonly core: QueueCore;
  readonly holds: Holds;
  readonly references: DurableReferences;
  readonly events: QueueEvents;
  readonly onward: Onward;
  readonly options: SpaceOptions;
}

interface Step extends Joined, FindingStep {}

/** Open captures, what they add, and whether there is space for it. */
export class DurableIntake implements QueueIntake, CaptureSink {
  readonly #parts: IntakeParts;
  readonly #meter: SpaceMeter;
  readonly #refusals: Refusals;
  readonly #items: ItemsIn;
  #oldestMs: number | undefined;
  /** Versions of this turn; empty between turns. */
  #gathered: GatheredVersion[] = [];
  /** What their drafts take. */
  #gatheredBytes = 0;
  readonly #turn: Turn<Step> = {
    before: (steps) => this.#items.find(steps),
    after: () => this.#putGathered(),
  };

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#meter = new SpaceMeter(parts.options, parts.core, parts.holds);
    this.#refusals = new Refusals((className) => this.#meter.space(className));
    this.#items = new ItemsIn(parts, {
      fits: (className, bytes, waiting) => this.#meter.fits(className, bytes, waiting),
      require: (capture, bytes, waiting) =>
        this.#requireSpace(capture, capture.class, bytes, waiting),
    });
  }

  capture(className: string = DEFAULT_CLASS): Capture {
    const capture = new QueueCapture(this, className);
    this.#parts.holds.captures.add(capture);
    return capture;
  }

  async space(className: string = DEFAULT_CLASS): Promise<SpaceLeft> {
    const space = await this.#meter.space(className);
    if (await this.#refusals.relieved()) this.#parts.events.tell({ type: 'space' });
    return space;
  }

  drains(isDraining: boolean): void {
    if (this.#meter.draining === isDraining) return;
    this.#meter.draining = isDraining;
    if (!isDraining) return;
    // In its turn, for while it starts again after a full disk nothing can be asked; whoever waits
    // asks again by himself.
    this.#parts.core
      .change(async () => this.#tellSpace())
      .catch((error: unknown) => {
        if (!(error instanceof AliquotError)) throw error;
      });
  }

  pending(): PendingCounts {
    const { pendingEntries, pendingBytes } = this.#parts.core.files.index.state;
    return {
      entries: pendingEntries,
      bytes: pendingBytes,
      oldestMs: pendingEntries === 0 ? undefined : this.#oldestMs,
    };
  }

  usage(): Promise<QueueUsage> {
    return this.#meter.usage();
  }

  // ---- inside the queue's turn, for the composition and the way out ----

  /**
   * Ends every open capture: the files were opened again, and what they put is not there any more.
   */
  endAll(): void {
    for (const capture of [...this.#parts.holds.captures]) capture.abort();
  }

  /** What waits and what is held as the index says now; drops what need not stay. */
  async begin(): Promise<void> {
    await this.heldAgain();
    await this.#meter.dropKept();
  }

  /** After whatever may hold older segments again. */
  async heldAgain(): Promise<void> {
    const { core, holds } = this.#parts;
    await holds.find(core.files);
    this.#oldestMs = await oldestMsIn(core.files.index);
  }

  /** Receipts came: some segments need not stay, and whoever found no space may try again. */
  async released(): Promise<void> {
    this.#oldestMs = await oldestMsIn(this.#parts.core.files.index);
    await this.#meter.dropKept();
    this.#tellSpace();
  }

  #tellSpace(): void {
    const refused = this.#refusals.clear();
    if (refused || this.#parts.references.any) this.#parts.events.tell({ type: 'space' });
  }

  // ---- one item or version ----

  putItems(capture: QueueCapture, items: readonly QueuedItem[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        // Before the next step: a version that was put behind it must not go without it (I-A1).
        capture.abort();
        reject(error);
      };
      const ids = items.map(({ id }) => id);
      this.#step(ids, failed, async (found) => {
        await this.#items.put(capture, items, found);
        resolve();
      });
    });
  }

  putVersions(
    capture: QueueCapture,
    versions: readonly PutVersion[],
    slab: WholeSlab | undefined,
  ): Promise<PutEnds> {
    return new Promise((resolve) => {
      const puts = new Puts(versions.length, resolve);
      let next = 0;
      const failed = (error: unknown): void => {
        while (next < versions.length) puts.end(next++, error);
      };
      this.#step([], failed, async () => {
        for (; next < versions.length; next += 1) {
          const { draft, known } = versions[next] as PutVersion;
          const version = { draft, known, capture, slab, puts, at: next, bytes: noBytes };
          const ended = this.#putOne(version);
          const error = ended instanceof Promise ? await ended : ended;
          if (error !== undefined) puts.end(next, error);
        }
      });
    });
  }

  /**
   * Gathers a version for which there is space; else why it is not. Mostly there is nothing to wait
   * for.
   */
  #putOne(version: GatheredVersion): unknown {
    const { core } = this.#parts;
    try {
      // The one before may have met a full disk.
      if (core.ready() === undefined) {
        version.bytes = encodedDraft(version);
        const { draft, bytes, slab } = version;
        if (
          this.#sharesRecord(draft.class, bytes.length, slab) &&
          this.#meter.fits(draft.class, bytes.length + this.#gatheredBytes)
        )
          return this.#gather(version);
      }
    } catch (error) {
      return core.told(error);
    }
    return this.#putWaiting(version);
  }

  async #putWaiting(version: GatheredVersion): Promise<unknown> {
    const { core } = this.#parts;
    try {
      await core.ready();
      const { capture, draft, slab } = version;
      version.bytes = encodedDraft(version);
      // That a file is gone is a fact without bytes: always taken (I-A10).
      const room = version.bytes.length + this.#gatheredBytes;
      if (draft.kind !== 'gone' && !this.#meter.fits(draft.class, room))
        await this.#requireSpace(capture, draft.class, room);
      if (!this.#sharesRecord(draft.class, version.bytes.length, slab)) await this.#putGathered();
      this.#gather(version);
      return undefined;
    } catch (error) {
      return core.told(error);
    }
  }

  #gather(version: GatheredVersion): void {
    this.#gathered.push(version);
    this.#gatheredBytes += version.bytes.length;
  }

  ended(capture: QueueCapture): void {
    this.#parts.holds.ended(capture);
    this.#parts.onward.captureEnded(capture);
  }

  /**
   * Small files come by the thousand: what is put in a row takes one turn, and asks the index once.
   */
  #step(
    ids: readonly ChunkId[],
    reject: (error: unknown) => void,
    run: (found: FoundItems) => Promise<void>,
  ): void {
    const { core } = this.#parts;
    const work: Step = {
      ids,
      found: nothingFound,
      reject,
      run: async () => {
        try {
          // So may an earlier step of this turn.
          const waiting = core.ready();
          if (waiting !== undefined) await waiting;
          await run(work.found);
        } catch (error) {
          reject(core.told(error));
        }
      },
    };
    core.join(work, this.#turn);
  }

  /** Versions that are put in a row share a record, as far as they fit. */
  #sharesRecord(className: string, bytes: number, slab: WholeSlab | undefined): boolean {
    const first = this.#gathered[0];
    return (
      first === undefined ||
      (first.draft.class === className &&
        this.#gathered.length + this.#needed(slab) <= MOST_ROWS &&
        this.#gatheredBytes + bytes <= MOST_DRAFTS_BYTES)
    );
  }

  /** Pieces of one slab stand together where they can: then its key stands for theirs. */
  #needed(slab: WholeSlab | undefined): number {
    if (slab === undefined || this.#gathered.at(-1)?.slab === slab) return 1;
    return Math.min(slab.pieces, MOST_ROWS);
  }

  /** Appends what was gathered; whoever put it hears how that ended. Does not reject. */
  async #putGathered(): Promise<void> {
    // A start after a full disk has ended captures, and nobody knows whether their items are there.
    const gathered = this.#gathered.filter((version) => {
      if (version.capture.dropped) version.puts.end(version.at, captureEnded());
      return !version.capture.dropped;
    });
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (gathered.length === 0) return;
    let told: unknown;
    try {
      await this.#putVersions(gathered);
    } catch (error) {
      told = this.#parts.core.told(error);
    }
    for (const { puts, at } of gathered) puts.end(at, told);
  }

  async #putVersions(versions: readonly GatheredVersion[]): Promise<void> {
    const { core, holds, references, onward } = this.#parts;
    const { index, segments } = core.files;
    const entry = index.state.nextEntry;
    const { captures, ...together } = sharedHead(versions, segments.activeNumber);
    const { holdSegment, capturedAtMs } = together;
    const drafts = withSlabKeys(versions);
    const { head, payload } = await onward.seal(
      {
        ...{ entry, ...together },
        class: versions[0]?.draft.class ?? DEFAULT_CLASS,
        rows: versions.map(({ draft, known }) => ({
          path: draft.list.path,
          known,
          resultPathLength: draft.list.resultPathLength,
          result: undefined,
        })),
      },
      drafts.map(({ encoded }) => encoded),
    );
    holds.version(holdSegment);
    const applied = ({ unreferenced = [] }: Applied): void => {
      for (const { capture, draft } of versions) {
        const { path } = draft.list;
        if (capture.growth !== undefined) {
          const { key, name } = growthSlot(path);
          index.put(key, Buffer.concat([name, capture.growth]));
        }
        references.replaced(path, unreferenced.includes(path));
      }
      this.#oldestMs = Math.min(this.#oldestMs ?? capturedAtMs, capturedAtMs);
      onward.versionsPut(
        entry,
        drafts.map(({ draft, encoded }) => ({ draft, bytes: encoded.length })),
      );
      for (const capture of captures) holds.counted(capture);
    };
    await core.append('version', payload, undefined, applied, head);
    // Behind the versions, which protect what they name; and in portions, for a file of 100 GB has
    // some 400,000.
    for (const capture of captures) {
      for (const { index: cacheIndex, value } of capture.cached()) {
        index.put(rawKey('x', cacheIndex), value);
        if (core.isFullyStaged) await core.flush();
      }
    }
  }

  /**
   * Inside the queue's turn: appends the row of a folder result, in a record of its own. A fact
   * without bytes: always taken (I-A10).
   */
  async putResult(draft: ResultDraft): Promise<void> {
    const { core, holds, onward } = this.#parts;
    const entry = core.files.index.state.nextEntry;
    const holdSegment = core.files.segments.activeNumber;
    const { root: path, capturedAtMs, class: className, progress, grade, members } = draft;
    const result = { progress, grade, members };
    const encoded = encodeResultDraft(draft);
    const { head, payload } = await onward.seal(
      {
        ...{ entry, holdSegment, itemBytes: 0, capturedAtMs, class: className },
        rows: [{ path, known: undefined, resultPathLength: path.length, result }],
      },
      [encoded],
    );
    holds.version(holdSegment);
    const applied = (): void => {
      this.#oldestMs = Math.min(this.#oldestMs ?? capturedAtMs, capturedAtMs);
      onward.versionsPut(entry, [{ draft, bytes: encoded.length }]);
    };
    await core.append('version', payload, undefined, applied, head);
  }

  /** A capture that does not fit has ended: nothing of it is kept. */
  async #requireSpace(
    capture: QueueCapture,
    className: string,
    bytes: number,
    waiting = 0,
  ): Promise<void> {
    try {
      await this.#meter.require(className, bytes, waiting);
    } catch (error) {
      if (error instanceof QueueError && error.code === 'QUEUE_FULL') {
        // The ones before it had their room.
        await this.#putGathered();
        capture.abort();
        const wanted = capture.itemBytes + waiting + bytes + RECORD_HEADER_BYTES;
        await this.#refusals.add(className, wanted);
      }
      throw error;
    }
  }
}
