import {
  type ChunkId,
  encodeClientFrame,
  encodeFrame,
  MAX_CARRIED_COMMITS,
  MAX_ITEMS,
  type StoredItem,
} from '@aliquot/proto';
import { carriedBytes } from '@aliquot/shared/carry/carried-file';
import { signCarried, signQuestion } from '@aliquot/shared/carry/statements';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { writeStreamDurably } from '@aliquot/shared/durable/write-stream';
import type { QueuedItem } from '../queue/log/facts.ts';
import type { CommitSigner, QueuedCommit } from '../queue/outbox/outbox.ts';
import { itemsOfCommit } from '../uplink/commit-items.ts';
import { UplinkError } from '../uplink/errors.ts';
import { settingsAnswer } from '../uplink/settings-answer.ts';
import { commitSigner } from '../uplink/signer.ts';
import type { CarryParts, OnCarried } from './parts.ts';

/** Small items are gathered into frames of about this size. */
const FRAME_BYTES = 256 * 1024;
/**
 * Items remembered as written already; the oldest half is forgotten when full, and may then stand
 * in the file twice.
 */
const REMEMBERED = 65_536;

export interface ExportSummary {
  readonly commits: number;
  readonly versions: number;
  readonly items: number;
  /** Of the file. */
  readonly bytes: number;
  /** Commits that did not fit into this file; they go with the next one. */
  readonly left: number;
}

/**
 * Signs everything that is queued and writes it, sealed as it is, into one file that a person can
 * carry to the collector. The queue stays as it is until the receipts come back, so this may be
 * repeated. Memory is that of one frame and one commit, whatever the queue holds.
 *
 * Errors: `UPLINK_PENDING` while central IT has not taken this PC in, and those of the disk.
 */
export async function exportQueue(
  parts: CarryParts,
  path: string,
  onProgress?: OnCarried,
  signal?: AbortSignal,
): Promise<ExportSummary> {
  const { identity, queue, trust, clock, random, port } = parts;
  // What is signed is this agent's for good, and it may yet be approved as another's successor.
  if (trust.problem?.code === 'UPLINK_PENDING')
    throw new UplinkError('UPLINK_PENDING', trust.problem.message);
  await queue.sync();
  const signer = commitSigner(identity, () => trust.verified?.head, clock, random);
  await queue.outbox.signAll(signer);
  const writer = new QueueFrames(parts, signer, signal);
  const pieces = carriedBytes('queue', writer.frames(), (digest) =>
    signCarried('queue', identity.signKey, digest),
  );
  const bytes = await writeStreamDurably(port, path, pieces, {
    random,
    onProgress: (written) => onProgress?.({ commits: writer.commits, bytes: written }),
  });
  const { commits, versions, items, left } = writer;
  return { commits, versions, items, left, bytes };
}

/**
 * The frames of a carried queue, in order: the question, then each commit behind its items, then
 * the answer to the sweep.
 */
class QueueFrames {
  readonly #parts: CarryParts;
  readonly #signer: CommitSigner;
  readonly #signal: AbortSignal | undefined;
  commits = 0;
  versions = 0;
  items = 0;
  left = 0;
  #written = new Set<string>();
  #batch: QueuedItem[] = [];
  #batchBytes = 0;

  constructor(parts: CarryParts, signer: CommitSigner, signal: AbortSignal | undefined) {
    this.#parts = parts;
    this.#signer = signer;
    this.#signal = signal;
  }

  async *frames(): AsyncGenerator<Uint8Array, void, void> {
    const { queue } = this.#parts;
    yield this.#question();
    for await (const commit of queue.outbox.unreceipted()) {
      if (this.commits >= MAX_CARRIED_COMMITS) {
        this.left += 1;
        continue;
      }
      yield* this.#itemsOf(commit);
      this.commits += 1;
      this.versions += commit.entries;
      yield encodeFrame(
        encodeClientFrame({ type: 'commit', requestId: this.commits }),
        commit.isLost ? this.#signer.lost(commit.bytes) : commit.bytes,
      );
    }
    const gcEpoch = await queue.epochs.answer();
    if (gcEpoch !== undefined) yield encodeFrame(encodeClientFrame({ type: 'gcLearned', gcEpoch }));
    // The question says that settings are in force.
    const refusal = this.#parts.desk?.lastRefusal();
    if (refusal !== undefined) yield encodeFrame(encodeClientFrame(settingsAnswer(refusal)));
  }

  #question(): Uint8Array {
    const { identity, queue, trust, software, desk } = this.#parts;
    const { verified } = trust;
    const claim = {
      enrolment: identity.enrolment,
      binding: identity.binding,
      software,
      chainId: queue.chain.present().chainId,
      treeHead: verified?.head,
      signedHead: verified?.signed,
      signedHeadCertificate: verified?.certificate,
      // Receipts that are carried bring no addresses.
      addressesRevision: 0,
      settingsSequence: desk?.sequence ?? 0,
    };
    return encodeFrame(encodeClientFrame(signQuestion(claim, identity.signKey)));
  }

  /**
   * What the queue holds of a commit's items; what it does not hold is at the collector, or the
   * collector will name it.
   */
  async *#itemsOf(commit: QueuedCommit): AsyncGenerator<Uint8Array, void, void> {
    for await (const id of itemsOfCommit(this.#parts.queue.items, commit.bytes)) {
      this.#signal?.throwIfAborted();
      if (!this.#isNew(id)) continue;
      const item = await this.#parts.queue.items.readItem(id);
      if (item === undefined) continue;
      const isFull =
        this.#batchBytes + item.sealed.length > FRAME_BYTES || this.#batch.length >= MAX_ITEMS;
      if (isFull && this.#batch.length > 0) yield this.#flush();
      this.#batch.push(item);
      this.#batchBytes += item.sealed.length;
    }
    if (this.#batch.length > 0) yield this.#flush();
  }

  #isNew(id: ChunkId): boolean {
    if (this.#written.has(mapKey(id))) return false;
    if (this.#written.size >= REMEMBERED)
      this.#written = new Set([...this.#written].slice(REMEMBERED / 2));
    this.#written.add(mapKey(id));
    return true;
  }

  #flush(): Uint8Array {
    const batch = this.#batch;
    const items = batch.map(
      ({ id, kind, sealed }): StoredItem => ({ id, kind, size: sealed.length }),
    );
    const [only] = batch;
    const bodies = batch.map(({ sealed }) => sealed);
    // A large item goes alone, and is not copied once more than it must be: what is copied waits
    // for the collector of garbage.
    const body =
      only !== undefined && batch.length === 1
        ? only.sealed
        : Buffer.concat(bodies, this.#batchBytes);
    this.items += batch.length;
    this.#batch = [];
    this.#batchBytes = 0;
    return encodeFrame(encodeClientFrame({ type: 'chunks', items }), body);
  }
}
