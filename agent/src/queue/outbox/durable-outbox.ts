import {
  type ChainId,
  type EntryDraft,
  encodeSigned,
  MAX_BLOCK_ROWS,
  type ReceiptBody,
  type Signed,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Clock } from '@aliquot/shared/ports';
import type { Onward } from '../intake/intake.ts';
import type { DurableLosses } from '../ledger/durable-losses.ts';
import { inheritedKnown } from '../log/apply.ts';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { QueueEvents } from '../log/events.ts';
import type { QueuedItem } from '../log/facts.ts';
import { decodeCommitPlace, numberKey } from '../log/index-rows.ts';
import type { IndexState } from '../log/index-state.ts';
import { encodeCounter, encodeReceiptRecord } from '../log/payloads.ts';
import { askIndex } from '../log/questions.ts';
import { readSigned, type StoredDraft } from '../log/stored.ts';
import { BATCH_ENTRIES, BatchSealer } from './batch.ts';
import { DurableChain } from './chain.ts';
import { DurableEpochs } from './epochs.ts';
import { DurableItems } from './items.ts';
import type { CommitSigner, LastReceipt, Outbox, QueuedCommit } from './outbox.ts';
import { type OwnVersion, ownVersionsIn, type WantedVersions } from './own-versions.ts';
import { type OwnCommit, receiptedCommitsIn } from './receipted-commits.ts';
import { MOST_VERSIONS, Recent, type WaitingVersions } from './recent.ts';
import { Signing } from './signing.ts';

/** Versions of one record that are worth a block of their own: half of what one holds. */
const SEALED_AHEAD_FROM = MAX_BLOCK_ROWS / 2;

export interface OutboxParts {
  readonly core: QueueCore;
  readonly losses: DurableLosses;
  readonly events: QueueEvents;
  readonly clock: Clock;
  /** The chain of the enrolment. */
  readonly chainId: ChainId;
  readonly openCaptures: () => Iterable<object>;
  /** Receipts came: the way in has space again, perhaps. */
  readonly released: () => Promise<void>;
  /** Commits are pending again, and hold their segments. */
  readonly heldAgain: () => Promise<void>;
}

/** Signing and receipts; takes over what intake hands on. */
export class DurableOutbox implements Outbox, Onward {
  readonly #parts: OutboxParts;
  readonly #batch: BatchSealer;
  readonly #recent: Recent;
  readonly #signing: Signing;
  /** Who asked for the last commit, and most likely signs the next. */
  #signer: CommitSigner | undefined;
  readonly items: DurableItems;
  readonly chain: DurableChain;
  readonly epochs: DurableEpochs;

  constructor(parts: OutboxParts) {
    const { core, losses, events, clock, chainId, openCaptures } = parts;
    this.#parts = parts;
    this.#batch = new BatchSealer();
    this.#recent = new Recent(() => events.tell({ type: 'fresh' }));
    this.items = new DurableItems(core, this.#recent);
    this.chain = new DurableChain(core, chainId);
    this.epochs = new DurableEpochs(core, events, openCaptures);
    this.#signing = new Signing({
      ...{ core, losses, clock },
      ...{ batch: this.#batch, recent: this.#recent, chain: this.chain },
    });
  }

  async nextCommit(signer: CommitSigner): Promise<QueuedCommit | undefined> {
    const { core } = this.#parts;
    this.#signer = signer;
    const isSigned = (): boolean =>
      (this.#state.chainHead?.sequence ?? 0) > this.#state.receiptedSequence;
    if (!(await core.change(async () => isSigned()))) await this.#signing.prove();
    return core.change(async () => {
      if (!isSigned() && !(await this.#signing.sign(signer))) return undefined;
      return readSigned(core.files, this.#state.receiptedSequence + 1);
    });
  }

  proveAll(): Promise<void> {
    return this.#signing.proveAll();
  }

  isDue(): boolean {
    const { nextEntry, signedEntry } = this.#state;
    if (nextEntry - 1 - signedEntry >= BATCH_ENTRIES) return true;
    const { done } = this.#parts.openCaptures()[Symbol.iterator]().next();
    return done === true;
  }

  async signAll(signer: CommitSigner): Promise<number> {
    const { core } = this.#parts;
    const through = await core.change(async () => this.#state.nextEntry - 1);
    const more = async (): Promise<boolean> => {
      await this.#signing.prove();
      return core.change(
        async () => this.#state.signedEntry < through && (await this.#signing.sign(signer)),
      );
    };
    for (let count = 0; ; count += 1) if (!(await more())) return count;
  }

  async *unreceipted(): AsyncGenerator<QueuedCommit, void, void> {
    const last = this.#state.chainHead?.sequence ?? 0;
    for (let sequence = this.receiptedSequence() + 1; sequence <= last; sequence += 1) {
      const commit = await this.signedCommit(sequence);
      if (commit !== undefined) yield commit;
    }
  }

  signedCommit(sequence: number): Promise<QueuedCommit | undefined> {
    const { core } = this.#parts;
    return core.change(() => readSigned(core.files, sequence));
  }

  receipted(receipt: Signed, body: ReceiptBody): Promise<void> {
    const { core, events, released } = this.#parts;
    return core.change(async () => {
      const value = await core.files.index.get(numberKey('c', body.sequence));
      const commit = value === undefined ? undefined : decodeCommitPlace(value);
      const { receiptedSequence } = this.#state;
      if (
        commit === undefined ||
        !equalBytes(commit.hash, body.commitHash) ||
        body.sequence > receiptedSequence + 1
      ) {
        throw new QueueError(
          'QUEUE_FOREIGN_RECEIPT',
          `the receipt for commit ${body.sequence} does not belong to this agent's chain`,
        );
      }
      const { sequence, receivedAtMs, copies } = body;
      await core.appendChain(
        'receipt',
        encodeReceiptRecord({ sequence, receivedAtMs, copies, receipt: encodeSigned(receipt) }),
      );
      if (sequence <= receiptedSequence) return;
      events.tell({ type: 'receipted', sequence, entries: commit.entries });
      await released();
      await this.epochs.tellIfReady();
    });
  }

  unreceipt(sequence: number): Promise<void> {
    const { core, events, heldAgain } = this.#parts;
    return core.change(async () => {
      const { receiptedSequence, inheritedSequence } = this.#state;
      const isLost = Math.max(sequence, inheritedSequence) < receiptedSequence;
      if (!isLost && !(await this.#forgets(sequence))) return;
      await core.appendChain('unreceipted', encodeCounter(sequence));
      await heldAgain();
      this.epochs.reset();
      events.tell({ type: 'queued' });
    });
  }

  receiptedSequence(): number {
    return this.#state.receiptedSequence;
  }

  lastReceipt(): LastReceipt | undefined {
    return this.#state.lastReceipt;
  }

  async ownVersions(wanted: WantedVersions): Promise<readonly OwnVersion[]> {
    const { core } = this.#parts;
    await core.change(() => core.flush());
    return askIndex(core, () => ownVersionsIn(core.files, wanted));
  }

  async *receiptedCommits(atMs: number): AsyncGenerator<OwnCommit, void, void> {
    const { core } = this.#parts;
    await core.change(() => core.flush());
    yield* receiptedCommitsIn(core.files, atMs);
  }

  // ---- what intake hands on, inside the queue's turn ----

  seal(...[fields, drafts]: Parameters<Onward['seal']>): ReturnType<Onward['seal']> {
    return this.#batch.seal(this.#parts.core.files, fields, drafts);
  }

  itemPut(item: QueuedItem): void {
    this.#recent.putItem(item);
  }

  versionsPut(first: number, drafts: readonly StoredDraft[]): void {
    // With more before them they would be dropped until it is their turn.
    const isSoon = first - this.#state.signedEntry <= MOST_VERSIONS;
    const signer = isSoon ? this.#signer : undefined;
    this.#recent.putVersions(first, sealedAhead(signer, drafts) ?? { drafts });
    this.epochs.version(first + drafts.length - 1);
    this.#signing.put(first);
  }

  /**
   * A sync had nothing left to do. What it was to make durable another step has flushed, perhaps
   * while it was still being captured, when a commit was not due.
   */
  remind(): void {
    const { nextEntry, signedEntry } = this.#state;
    if (nextEntry - 1 > signedEntry && this.isDue()) this.#parts.events.tell({ type: 'queued' });
  }

  captureEnded(capture: object): void {
    this.epochs.captureEnded(capture);
  }

  /** What every start does, also the one after a full disk. */
  async begin(): Promise<void> {
    this.#recent.clear();
    this.#batch.forget();
    this.#signing.forget();
    this.epochs.waitFor([]);
    await this.#batch.eraseSent(this.#parts.core.files);
  }

  get #state(): IndexState {
    return this.#parts.core.files.index.state;
  }

  /**
   * Whether files are known yet whose newest version the earlier agent signed behind this commit.
   */
  async #forgets(sequence: number): Promise<boolean> {
    const { core } = this.#parts;
    if (sequence >= this.#state.inheritedSequence) return false;
    await core.flush();
    for await (const _ of inheritedKnown(core.files.index, sequence)) return true;
    return false;
  }
}

/**
 * Sealed as soon as they are there: as objects they would take some kilobytes each until they are
 * signed, which costs V8 as much as all the rest. Undefined for few versions, which share a block
 * with what comes behind them, and for rows of results.
 */
function sealedAhead(
  signer: CommitSigner | undefined,
  stored: readonly StoredDraft[],
): WaitingVersions | undefined {
  if (signer === undefined || stored.length < SEALED_AHEAD_FROM) return undefined;
  const drafts: EntryDraft[] = [];
  let bytes = 0;
  for (const one of stored) {
    if (one.draft.kind === 'result') return undefined;
    drafts.push(one.draft);
    bytes += one.bytes;
  }
  return { blocks: signer.seal(drafts), signer, count: drafts.length, bytes };
}
