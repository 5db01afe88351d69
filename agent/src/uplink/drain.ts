import type {
  ChainPoint,
  ChunkId,
  CollectorCertificateBody,
  ServerFrame,
  Signed,
  TreeHead,
} from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { Timers } from '@aliquot/shared/ports';
import type { Losses } from '../queue/ledger/ledger.ts';
import { isProved } from '../queue/log/formats.ts';
import type {
  CommitChain,
  CommitSigner,
  Outbox,
  QueuedCommit,
  QueuedItems,
} from '../queue/outbox/outbox.ts';
import type { Queue } from '../queue/queue.ts';
import { itemsOfCommit, slotsNeeding } from './commit-items.ts';
import { refusalError, UplinkError } from './errors.ts';
import { judgeReceipt } from './judge.ts';
import type { Session } from './session.ts';
import type { SweepAnswer } from './sweep-answer.ts';
import type { TrustStore } from './trust.ts';
import type { Recover } from './uplink.ts';
import { Uploader } from './upload.ts';

/** What bringing the queue to the collector needs of it. */
export interface DrainQueue {
  readonly outbox: Pick<Outbox, 'nextCommit' | 'signedCommit' | 'receipted' | 'receiptedSequence'>;
  readonly items: QueuedItems;
  readonly chain: Pick<CommitChain, 'head'>;
  readonly losses: Pick<Losses, 'record' | 'pathsOf'>;
}

export interface DrainParts {
  readonly queue: DrainQueue;
  readonly session: Session;
  readonly trust: TrustStore;
  readonly signer: CommitSigner;
  readonly recover: Recover | undefined;
  readonly collector: CollectorCertificateBody;
  readonly certificate: Signed;
  /** The head that `ready` proved. */
  readonly head: TreeHead;
  /**
   * The collector's newest commit of our chain, settled by `Welcome`: undefined when it has none of
   * this chain id yet.
   */
  readonly chainHead: ChainPoint | undefined;
  readonly onReceipt: (sequence: number, entries: number, receivedAtMs: number) => void;
}

/** What is sent at a time before its commit: little enough that a commit need not wait. */
const AHEAD_BYTES = 4 * 1024 * 1024;

/**
 * Brings the queue to the collector, commit by commit, in the order of the chain: first what the
 * collector does not have of the signed ones (after a lost receipt one, after a rollback many),
 * byte for byte; then new ones. While there are none, items go ahead of their commit, straight from
 * memory: so a large file is sent while it is read, and little is read back from the disk.
 */
export class Drain {
  readonly #parts: DrainParts;
  readonly #uploader: Uploader;
  #head: TreeHead;
  /** The newest commit that this session knows to be at the collector and receipted here. */
  #confirmed: number;

  constructor(parts: DrainParts) {
    this.#parts = parts;
    this.#uploader = new Uploader(parts.session, parts.queue.items);
    this.#head = parts.head;
    this.#confirmed = Math.min(
      parts.chainHead?.sequence ?? Number.MAX_SAFE_INTEGER,
      parts.queue.outbox.receiptedSequence(),
    );
  }

  /** Whether every signed commit is confirmed; more may be queued unsigned. */
  get caughtUp(): boolean {
    return this.#confirmed >= (this.#parts.queue.chain.head()?.sequence ?? 0);
  }

  /**
   * Sends one commit. False when there is nothing to send. Throws `UplinkError`, and what the queue
   * throws.
   */
  async step(): Promise<boolean> {
    const { queue, signer } = this.#parts;
    const commit = this.caughtUp
      ? await queue.outbox.nextCommit(signer)
      : await queue.outbox.signedCommit(this.#confirmed + 1);
    if (commit === undefined) return false;
    if (commit.sequence !== this.#confirmed + 1) {
      throw new UplinkError(
        'UPLINK_CHAIN_FORKED',
        `commit ${this.#confirmed + 1} of this agent's chain is not in its folder; run aliquot-agent fsck`,
      );
    }
    await this.#deliver(commit);
    this.#confirmed = commit.sequence;
    return true;
  }

  /**
   * Sends what was captured lately and no commit names yet, a few mebibytes. False when there is
   * next to nothing.
   */
  async ahead(): Promise<boolean> {
    const items = this.#parts.queue.items.takeFresh(AHEAD_BYTES);
    if (items.length === 0) return false;
    await this.#uploader.ahead(items);
    return true;
  }

  async #deliver(commit: QueuedCommit): Promise<void> {
    const { queue, session, signer } = this.#parts;
    for await (const id of itemsOfCommit(queue.items, commit.bytes)) {
      const wait = this.#uploader.offer(id);
      if (wait !== undefined) await wait;
    }
    await this.#uploader.finish();
    // Where the collector has it whole nothing is lost: its receipt says so.
    let bytes = commit.isLost ? signer.lost(commit.bytes) : commit.bytes;
    /**
     * What the collector named as missing and was then given, or was told is lost, so that no
     * answer can repeat for ever.
     */
    const given = new Set<string>();
    for (;;) {
      const answer = await session.request((requestId) => ({ type: 'commit', requestId }), bytes);
      switch (answer.type) {
        case 'receipt':
          return this.#receipt(commit, answer);
        case 'refused':
          throw refusalError(answer.code, answer.message);
        case 'commitMissing':
          bytes = await this.#supply(commit, bytes, answer.ids, given);
          break;
        default:
          throw new UplinkError(
            'UPLINK_PROTOCOL',
            `the collector answers a commit with ${answer.type}`,
          );
      }
    }
  }

  async #receipt(
    commit: QueuedCommit,
    frame: Extract<ServerFrame, { type: 'receipt' }>,
  ): Promise<void> {
    const { queue, trust, collector, certificate } = this.#parts;
    const { header } = readCommit(commit.bytes);
    const { receipt, head, lacking } = judgeReceipt(
      frame,
      { header, hash: commit.hash },
      this.#head,
      collector,
    );
    this.#head = head;
    await trust.remember(collector, certificate, { head, signed: frame.head, certificate });
    // What was sent without, perhaps before a crash: it has no version there, whoever said so.
    await queue.losses.record(commit.sequence, lacking);
    await queue.outbox.receipted(frame.receipt, receipt);
    this.#parts.onReceipt(commit.sequence, commit.entries, receipt.receivedAtMs);
  }

  /**
   * Gives the collector what it names as missing: from the segments, else from the sources. What
   * neither has is recorded as lost, and the commit goes on with the agent's signed statement of
   * that, so that the chain can.
   */
  async #supply(
    commit: QueuedCommit,
    bytes: Uint8Array,
    ids: readonly ChunkId[],
    given: Set<string>,
  ): Promise<Uint8Array> {
    const { queue } = this.#parts;
    const absent: ChunkId[] = [];
    for (const id of ids) {
      if (given.has(mapKey(id)))
        throw new UplinkError(
          'UPLINK_PROTOCOL',
          'the collector asks again for an item that it was just sent',
        );
      given.add(mapKey(id));
      const item = await queue.items.readItem(id);
      if (item === undefined) absent.push(id);
      else await this.#uploader.send(item);
    }
    const lost = absent.length === 0 ? [] : await this.#recover(commit, bytes, absent);
    await this.#uploader.finish();
    if (lost.length === 0) {
      if (ids.length === 0)
        throw new UplinkError(
          'UPLINK_PROTOCOL',
          'the collector refuses a commit but names nothing that it lacks',
        );
      return bytes;
    }
    const need = await slotsNeeding(queue.items, bytes, lost);
    const slots = need.sure.length > 0 ? need.sure : need.possible;
    if (slots.length === 0)
      throw new UplinkError(
        'UPLINK_PROTOCOL',
        'the collector lacks items that the commit does not name',
      );
    await queue.losses.record(commit.sequence, slots);
    return this.#parts.signer.withoutVersions(bytes, slots);
  }

  /** Reads sources again; answers with what stays missing. */
  async #recover(
    commit: QueuedCommit,
    bytes: Uint8Array,
    ids: readonly ChunkId[],
  ): Promise<readonly ChunkId[]> {
    const { queue, recover } = this.#parts;
    const wanted = new Map(ids.map((id) => [mapKey(id), id]));
    if (recover === undefined) return ids;
    const need = await slotsNeeding(queue.items, bytes, ids);
    const paths = await queue.losses.pathsOf(commit.sequence, need.runs.flat());
    let at = 0;
    const runs = need.runs.map(({ length }) => {
      at += length;
      return paths.slice(at - length, at).filter((path) => path !== undefined);
    });
    for await (const item of recover({ ids, runs })) {
      if (!wanted.has(mapKey(item.id)) || !isProved(item)) continue;
      wanted.delete(mapKey(item.id));
      await this.#uploader.send(item);
    }
    return [...wanted.values()];
  }
}

export interface DrainLoopParts {
  readonly queue: Pick<Queue, 'subscribe'> & { readonly outbox: Pick<Outbox, 'isDue'> };
  readonly timers: Timers;
  readonly drain: Drain;
  readonly sweep: SweepAnswer;
  readonly session: Session;
}

/** So long a commit may wait to become a full one. */
const PATIENCE_MS = 2000;

/**
 * Sends whatever is queued, and what comes to be queued, until the session is closed. `onRest` is
 * called each time that nothing is left to send. Rejects with what `Drain` met.
 */
export async function drainUntilClosed(parts: DrainLoopParts, onRest: () => void): Promise<void> {
  const { queue, drain, sweep, session, timers } = parts;
  let open = true;
  // Whether there may be a commit to send. To look for one signs what is queued, so that is not
  // done for each mebibyte.
  let look = true;
  let wakeUp: () => void = () => undefined;
  const stopListening = queue.subscribe(({ type }) => {
    if (type === 'queued' || type === 'gcReady') look = true;
    if (look || type === 'fresh') wakeUp();
  });
  // While results are captured, what is queued waits a moment for more, but never for ever.
  let patient = true;
  let stopWaiting: (() => void) | undefined;
  const mayLook = (): boolean => {
    if (!look) return false;
    if (!drain.caughtUp || !patient || queue.outbox.isDue()) return true;
    stopWaiting ??= timers.after(PATIENCE_MS, () => {
      stopWaiting = undefined;
      patient = false;
      wakeUp();
    });
    return false;
  };
  session.closed.then(() => {
    open = false;
    wakeUp();
  });
  try {
    while (open) {
      // Listening begins before looking, so that nothing queued in between is missed.
      const queued = new Promise<void>((resolve) => {
        wakeUp = resolve;
      });
      if (mayLook()) {
        patient = true;
        look = false;
        look = (await drain.step()) || look;
        await sweep.answer();
      }
      if (mayLook() || (await drain.ahead())) continue;
      onRest();
      if (open) await queued;
    }
  } finally {
    stopListening();
    stopWaiting?.();
  }
}
