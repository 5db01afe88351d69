import type {
  ChainId,
  ChainPoint,
  ChunkId,
  CommitHash,
  EntryDraft,
  ReceiptBody,
  Signed,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { QueueEvent } from '../../agent/src/queue/log/events.ts';
import type { QueuedItem } from '../../agent/src/queue/log/facts.ts';
import type { CommitSigner, QueuedCommit } from '../../agent/src/queue/outbox/outbox.ts';
import type { Queue } from '../../agent/src/queue/queue.ts';
import type { SampleFile } from '../../agent/testing/queue/support.ts';

const NO_PREDECESSOR = new Uint8Array(32) as CommitHash;

/**
 * What the uplink needs of a queue, in memory: hundreds of agents share a process, and nobody pulls
 * its plug.
 */
export class MemoryQueue {
  readonly #chainId: ChainId;
  readonly #items = new Map<string, QueuedItem>();
  readonly #commits: QueuedCommit[] = [];
  readonly #listeners = new Set<(event: QueueEvent) => void>();
  #drafts: EntryDraft[] = [];
  /** Items of the drafts, and of the signed commits without a receipt, by sequence. */
  #fresh: string[] = [];
  readonly #sent = new Map<number, readonly string[]>();
  #receipted = 0;

  constructor(chainId: ChainId) {
    this.#chainId = chainId;
  }

  /** For an uplink, which calls nothing that is missing here. */
  asQueue(): Queue {
    return this as unknown as Queue;
  }

  put(file: SampleFile): void {
    for (const { id, kind, sealed } of file.items) {
      this.#items.set(hex(id), { id, kind, sealed });
      this.#fresh.push(hex(id));
    }
    this.#drafts.push(file.draft);
    this.#tell({ type: 'queued' });
  }

  chain(): { readonly chainId: ChainId; readonly forkedFrom: undefined } {
    return { chainId: this.#chainId, forkedFrom: undefined };
  }

  chainHead(): ChainPoint | undefined {
    const last = this.#commits.at(-1);
    return last && { chainId: this.#chainId, sequence: last.sequence, hash: last.hash };
  }

  receiptedSequence(): number {
    return this.#receipted;
  }

  lastReceipt(): undefined {
    return undefined;
  }

  pending(): { readonly entries: number; readonly bytes: number; readonly oldestMs: undefined } {
    const signed = this.#commits
      .slice(this.#receipted)
      .reduce((sum, { entries }) => sum + entries, 0);
    return { entries: this.#drafts.length + signed, bytes: 0, oldestMs: undefined };
  }

  subscribe(listener: (event: QueueEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async nextCommit(signer: CommitSigner): Promise<QueuedCommit | undefined> {
    const waiting = this.#commits[this.#receipted];
    if (waiting !== undefined) return waiting;
    const drafts = this.#drafts;
    if (drafts.length === 0) return undefined;
    this.#drafts = [];
    const sequence = this.#commits.length + 1;
    const predecessor = this.#commits.at(-1)?.hash ?? NO_PREDECESSOR;
    const { bytes, hash } = signer.sign({
      chainId: this.#chainId,
      sequence,
      predecessor,
      forkedFrom: undefined,
      drafts,
    });
    const commit = { sequence, hash, bytes, entries: drafts.length };
    this.#commits.push(commit);
    this.#sent.set(sequence, this.#fresh);
    this.#fresh = [];
    return commit;
  }

  async signedCommit(sequence: number): Promise<QueuedCommit | undefined> {
    return this.#commits[sequence - 1];
  }

  async hasItems(ids: readonly ChunkId[]): Promise<readonly boolean[]> {
    return ids.map((id) => this.#items.has(hex(id)));
  }

  async readItem(id: ChunkId): Promise<QueuedItem | undefined> {
    return this.#items.get(hex(id));
  }

  async *readItems(ids: readonly ChunkId[]): AsyncGenerator<QueuedItem | undefined, void, void> {
    for (const id of ids) yield this.readItem(id);
  }

  takeFresh(): readonly QueuedItem[] {
    return [];
  }

  async receipted(_receipt: Signed, { sequence }: ReceiptBody): Promise<void> {
    const entries = this.#commits[sequence - 1]?.entries ?? 0;
    this.#receipted = Math.max(this.#receipted, sequence);
    for (const id of this.#sent.get(sequence) ?? []) this.#items.delete(id);
    this.#sent.delete(sequence);
    this.#tell({ type: 'receipted', sequence, entries });
  }

  async unreceipt(sequence: number): Promise<void> {
    this.#receipted = Math.min(this.#receipted, sequence);
  }

  gcEpoch(): number {
    return 0;
  }

  async gcAnswer(): Promise<undefined> {
    return undefined;
  }

  #tell(event: QueueEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
