import type { ChainId, ChunkId, CommitHash, EntryDraft } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { type QueueEvent, QueueEvents } from '../../agent/src/queue/log/events.ts';
import type { QueuedItem } from '../../agent/src/queue/log/facts.ts';
import type { CommitSigner, QueuedCommit } from '../../agent/src/queue/outbox/outbox.ts';
import type { SessionQueue } from '../../agent/src/uplink/uplink-parts.ts';
import type { SampleFile } from '../../agent/testing/queue/support.ts';

const NO_PREDECESSOR = new Uint8Array(32) as CommitHash;

/**
 * What the uplink needs of a queue, in memory: hundreds of agents share a process, and nobody pulls
 * its plug.
 */
export class MemoryQueue implements SessionQueue {
  readonly #chainId: ChainId;
  readonly #items = new Map<string, QueuedItem>();
  readonly #commits: QueuedCommit[] = [];
  readonly #events = new QueueEvents();
  #drafts: EntryDraft[] = [];
  /** Items of the drafts, and of the signed commits without a receipt, by sequence. */
  #fresh: string[] = [];
  readonly #sent = new Map<number, readonly string[]>();
  #receipted = 0;

  constructor(chainId: ChainId) {
    this.#chainId = chainId;
  }

  put(file: SampleFile): void {
    for (const { id, kind, sealed } of file.items) {
      this.#items.set(hex(id), { id, kind, sealed });
      this.#fresh.push(hex(id));
    }
    this.#drafts.push(file.draft);
    this.#events.tell({ type: 'queued' });
  }

  readonly intake: SessionQueue['intake'] = {
    pending: () => {
      const signed = this.#commits
        .slice(this.#receipted)
        .reduce((sum, { entries }) => sum + entries, 0);
      return { entries: this.#drafts.length + signed, bytes: 0, oldestMs: undefined };
    },
    drains: () => undefined,
  };

  readonly chain: SessionQueue['chain'] = {
    present: () => ({ chainId: this.#chainId, forkedFrom: undefined, inherited: false }),
    head: () => {
      const last = this.#commits.at(-1);
      return last && { chainId: this.#chainId, sequence: last.sequence, hash: last.hash };
    },
    fork: () => never('forks its chain'),
  };

  readonly outbox: SessionQueue['outbox'] = {
    nextCommit: async (signer) => this.#commits[this.#receipted] ?? this.#sign(signer),
    proveAll: () => never('is repaired'),
    isDue: () => true,
    signAll: () => never('is carried'),
    unreceipted: () => never('is carried'),
    signedCommit: async (sequence) => this.#commits[sequence - 1],
    receipted: async (_receipt, { sequence }) => {
      const entries = this.#commits[sequence - 1]?.entries ?? 0;
      this.#receipted = Math.max(this.#receipted, sequence);
      for (const id of this.#sent.get(sequence) ?? []) this.#items.delete(id);
      this.#sent.delete(sequence);
      this.#events.tell({ type: 'receipted', sequence, entries });
    },
    unreceipt: async (sequence) => {
      this.#receipted = Math.min(this.#receipted, sequence);
    },
    receiptedSequence: () => this.#receipted,
    lastReceipt: () => undefined,
  };

  readonly items: SessionQueue['items'] = {
    hasItems: async (ids) => ids.map((id) => this.#items.has(hex(id))),
    readItem: async (id) => this.#items.get(hex(id)),
    readItems: (ids) => this.#read(ids),
    takeFresh: () => [],
  };

  readonly epochs: SessionQueue['epochs'] = {
    newest: () => 0,
    learn: () => never('learns epochs'),
    answer: async () => undefined,
  };

  readonly losses: SessionQueue['losses'] = {
    record: () => never('loses anything'),
    pathsOf: () => never('loses anything'),
  };

  async sync(): Promise<void> {
    // It is not durable at all.
  }

  subscribe(listener: (event: QueueEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  async *#read(ids: readonly ChunkId[]): AsyncGenerator<QueuedItem | undefined, void, void> {
    for (const id of ids) yield this.#items.get(hex(id));
  }

  #sign(signer: CommitSigner): QueuedCommit | undefined {
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
      rows: drafts,
      results: new Map(),
    });
    const commit = { sequence, hash, bytes, isLost: false, entries: drafts.length };
    this.#commits.push(commit);
    this.#sent.set(sequence, this.#fresh);
    this.#fresh = [];
    return commit;
  }
}

/** An honest collector that keeps its disk never makes an agent do these. */
function never(what: string): never {
  throw new Error(`no agent of the fleet ${what}`);
}
