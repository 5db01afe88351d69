import {
  type ChainId,
  type ChunkId,
  type ClientFrame,
  decodeReceiptBody,
  decodeSigned,
  type RefusalCode,
  type StateRecord,
  type StoredItem,
  type TreeHead,
} from '@aliquot/proto';
import { formatCounted } from '@aliquot/shared/cli/format';
import type { Clock, Timers } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import { FETCH_FRAME_BYTES, FETCH_FRAME_ITEMS, WINDOW_BYTES, WINDOW_FRAMES } from '../limits.ts';
import type { ReleaseShelf } from '../releases/shelf.ts';
import type {
  AgentRecord,
  BranchRecord,
  ItemBody,
  LostCommit,
  OnLost,
} from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { branchNotice } from './branch-notice.ts';
import type { AgentConduct } from './conduct.ts';
import type { ContentReads } from './content-reads.ts';
import { IngestError } from './errors.ts';
import { consistencyProof } from './join.ts';
import type { Questions } from './questions.ts';
import type { Received, SecureLink } from './secure-link.ts';

/** Refusals that none of our programs earns. */
const forged: ReadonlySet<RefusalCode> = new Set([
  'bad-signature',
  'bad-commit',
  'bad-certificate',
]);

export interface AgentSessionParts {
  readonly store: VaultWith<'desk' | 'intake' | 'log' | 'reading' | 'sweep'>;
  readonly clock: Clock;
  readonly link: SecureLink;
  readonly agent: AgentRecord;
  /** The chain that it announced. */
  readonly chainId: ChainId;
  /** The head that `ready` gave. */
  readonly head: TreeHead;
  readonly rolledBack: boolean;
  readonly conduct: AgentConduct;
  readonly timers: Timers;
  readonly log: Logger;
  readonly reads: ContentReads;
  readonly releases: ReleaseShelf;
  /** Something was heard of how the agent is: what waits for that may go on. */
  readonly heard: () => Promise<void>;
  /** What operators asked it. */
  readonly questions: Questions;
}

/**
 * What an agent may do once it has proved itself. Frames are worked on one after the other, but
 * items that come close together are put in one go (`settle`): so what a session holds in memory is
 * such a window, one frame and what its inbox holds. Every answer about existence, every commit and
 * every fetch uses the same set: the lineage's own (P4).
 */
export class AgentSession {
  readonly #parts: AgentSessionParts;
  #provedHead: TreeHead;
  /** The state of its chain's history that the agent was last sent. */
  #told: BranchRecord['state'] | undefined;
  /**
   * The newest epoch of the sweep that this session answered, and the log's epoch then: no answer
   * outlives a reopened log.
   */
  #learned: { readonly gcEpoch: number; readonly logEpoch: number } | undefined;
  /** Items that came and are not put yet. */
  #window: ItemBody[] = [];
  #windowBytes = 0;

  constructor(parts: AgentSessionParts) {
    this.#parts = parts;
    this.#provedHead = parts.head;
  }

  /** Whether items wait to be put, because more may come. */
  get holds(): boolean {
    return this.#window.length > 0;
  }

  /**
   * Puts what waits. Every question to the catalog, write to a pack, message to a hashing thread
   * and word of credit wakes somebody up, which costs more than the work: so there is one for many
   * frames. Throws what `putBodies` throws.
   */
  async settle(): Promise<void> {
    const [bodies, bytes] = [this.#window, this.#windowBytes];
    if (bodies.length === 0) return;
    [this.#window, this.#windowBytes] = [[], 0];
    const { store, agent, link, conduct } = this.#parts;
    await store.intake.putBodies(agent.lineageId, bodies);
    conduct.uploaded(
      bytes,
      bodies.reduce((sum, { items }) => sum + items.length, 0),
    );
    // Credit is for speed (a sender that keeps to it never waits for a paused socket); memory is
    // bounded by the inbox either way.
    await link.send({ type: 'credit', bytes });
  }

  /** Answers one frame. Throws IngestError when the session must end. */
  async handle({ frame, body }: Received): Promise<void> {
    if (frame.type !== 'chunks') await this.settle();
    switch (frame.type) {
      case 'have':
        return this.#have(frame);
      case 'chunks':
        return this.#chunks(frame, body);
      case 'commit':
        return this.#commit(frame.requestId, body);
      case 'heartbeat':
        return this.#heartbeat(frame.requestId, body);
      case 'state':
        return this.#state(frame);
      case 'fetch':
        return this.#fetch(frame);
      case 'gcLearned':
        return this.#gcLearned(frame.gcEpoch);
      case 'releaseFetch':
        return this.#releaseFetch(frame);
      case 'settingsAnswer':
        return this.#settingsAnswer(frame);
      case 'diagnosis': {
        const { askId, code, ephemeralKey } = frame;
        return this.#parts.questions.answered(askId, {
          code,
          ephemeralKey,
          sealed: code === '' ? body.slice() : undefined,
        });
      }
      case 'auth':
        throw new IngestError('INGEST_PROTOCOL', 'the session is authenticated already', {
          refusal: 'protocol',
        });
    }
  }

  /**
   * Tells the agent when its chain's history is held apart, or a clone's: after `ready`, and when a
   * commit has made it so.
   */
  async tellBranch(): Promise<void> {
    const { store, agent, chainId, link } = this.#parts;
    const history = store.intake.branchOf(agent.agentId, chainId);
    if (history?.state === this.#told) return;
    this.#told = history?.state;
    if (history === undefined) return;
    await link.send(branchNotice(agent, history));
  }

  /**
   * A log that lost its tail hears no answers: what the agent had receipts for may be gone with it.
   */
  async #gcLearned(gcEpoch: number): Promise<void> {
    const { store, agent, chainId, rolledBack } = this.#parts;
    if (rolledBack) return;
    this.#learned = { gcEpoch, logEpoch: store.log.treeHead().logEpoch };
    store.sweep.gcLearned(agent.agentId, chainId, gcEpoch);
  }

  /** Any agent may have any part of a release: it is no secret, and proves itself. */
  async #releaseFetch({
    requestId,
    name,
    offset,
  }: Extract<ClientFrame, { type: 'releaseFetch' }>): Promise<void> {
    const { releases, link } = this.#parts;
    const part = await releases.read(name, offset);
    await link.send(
      { type: 'releaseData', requestId, size: part?.size ?? 0 },
      part?.bytes ?? new Uint8Array(0),
    );
  }

  async #have(frame: Extract<ClientFrame, { type: 'have' }>): Promise<void> {
    const { store, agent, link } = this.#parts;
    const held = await store.intake.has(agent.lineageId, frame.ids);
    const missing = frame.ids.map((_id, index) => index).filter((index) => held[index] !== true);
    await link.send({ type: 'haveAnswer', requestId: frame.requestId, missing });
  }

  async #chunks(
    { items }: Extract<ClientFrame, { type: 'chunks' }>,
    body: Uint8Array,
  ): Promise<void> {
    this.#window.push({ items, body });
    this.#windowBytes += body.length;
    if (this.#windowBytes >= WINDOW_BYTES || this.#window.length >= WINDOW_FRAMES)
      await this.settle();
  }

  async #commit(requestId: number, body: Uint8Array): Promise<void> {
    const { store, agent, link, clock } = this.#parts;
    if (this.#parts.rolledBack) {
      const message =
        'the collector lost part of its log; central IT must run `aliquot log reopen` before commits go on';
      await link.send({ type: 'refused', requestId, code: 'log-rolled-back', message });
      return;
    }
    const { conduct, timers } = this.#parts;
    const { pauseMs } = conduct;
    if (pauseMs > 0) await new Promise<void>((over) => timers.after(pauseMs, over));
    const outcome = await store.intake.commit(agent.agentId, body, clock.nowMs());
    if (outcome.type === 'missing') {
      conduct.inVain(outcome.ids.length, `it lacks ${formatCounted(outcome.ids.length, 'item')}`);
      return link.send({ type: 'commitMissing', requestId, ids: outcome.ids });
    }
    if (outcome.type === 'refused') {
      conduct.inVain(0, `${outcome.message} (${outcome.code})`);
      this.#parts.conduct.refused(outcome.code, outcome.message);
      if (forged.has(outcome.code)) this.#parts.conduct.violated(outcome.code, outcome.message);
      return link.send({
        type: 'refused',
        requestId,
        code: outcome.code,
        message: outcome.message,
      });
    }
    this.#parts.conduct.accepted();
    if (!outcome.repeated) this.#parts.conduct.committed(outcome.addedBytes);
    // An answer given before the chain had a commit of its own counts from its first commit on.
    const learned = this.#learned;
    if (learned?.logEpoch === store.log.treeHead().logEpoch)
      store.sweep.gcLearned(agent.agentId, this.#parts.chainId, learned.gcEpoch);
    // Head and tree head are read without a pause between them, so they are of the same size.
    const head = store.log.treeHead();
    const signedHead = store.log.head(clock.nowMs());
    const [inclusion, consistency] = await Promise.all([
      store.log.inclusion(outcome.leafIndex, head.size),
      consistencyProof(store, this.#provedHead.size, head.size),
    ]);
    this.#provedHead = head;
    await link.send({
      type: 'receipt',
      requestId,
      receipt: outcome.receipt,
      inclusion,
      consistency,
      head: signedHead,
      lacking: outcome.lacking,
    });
    await this.tellBranch();
  }

  async #heartbeat(requestId: number, body: Uint8Array): Promise<void> {
    const { store, agent, link, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const refusal = await store.intake.heartbeat(agent.agentId, decodeSigned(body), nowMs);
    if (refusal === undefined) this.#parts.conduct.accepted();
    else this.#parts.conduct.refused(refusal.code, refusal.message);
    await link.send(
      refusal === undefined
        ? { type: 'heartbeatAck', requestId }
        : { type: 'refused', requestId, ...refusal },
    );
    if (refusal === undefined) await this.#parts.heard();
  }

  /** There is no answer: the agent says it again with its next session. */
  async #settingsAnswer({
    type: _type,
    ...answer
  }: Extract<ClientFrame, { type: 'settingsAnswer' }>): Promise<void> {
    const { store, agent, clock, log } = this.#parts;
    const { sequence, outcome, code } = answer;
    store.desk.said(agent.agentId, {
      reply: { ...answer, atMs: clock.nowMs() },
      ...(outcome === 'applied' ? { inForce: sequence } : {}),
    });
    if (outcome === 'applied') log.info({ sequence }, 'settings applied');
    else log.warn({ sequence, outcome, code }, 'settings not applied');
    await this.#parts.heard();
  }

  async #state(frame: Extract<ClientFrame, { type: 'state' }>): Promise<void> {
    const { link } = this.#parts;
    if (await this.#selfRestoreIsOff(frame.requestId)) return;
    const lost = new Set<number>();
    const onLost = ({ sequence }: LostCommit) => void lost.add(sequence);
    const atMs = frame.atMs === 0 ? undefined : frame.atMs;
    for await (const record of this.#ownState(atMs, onLost)) {
      const { receivedAtMs } = decodeReceiptBody(record.receipt.body);
      await link.send(
        { type: 'commitData', requestId: frame.requestId, live: record.live, receivedAtMs },
        record.commit,
      );
    }
    const { requestId } = frame;
    if (lost.size === 0) return link.send({ type: 'stateEnd', requestId });
    const message = `the collector cannot read ${lost.size} commits of this PC any more, the first is ${Math.min(...lost)}; central IT can restore the rest`;
    await link.send({ type: 'refused', requestId, code: 'storage', message });
  }

  /**
   * The chain's own history; behind one that is held apart, what else the trunk has: until the fork
   * it was this PC's too.
   */
  async *#ownState(atMs: number | undefined, onLost: OnLost): AsyncGenerator<StateRecord> {
    const { store, agent, chainId } = this.#parts;
    const history = store.intake.branchOf(agent.agentId, chainId);
    if (history !== undefined) yield* store.reading.state(history.branchId, atMs, onLost);
    yield* history === undefined
      ? store.reading.state(agent.lineageId, atMs, onLost)
      : store.reading.stateWithout(agent.lineageId, history.branchId, atMs, onLost);
  }

  async #fetch(frame: Extract<ClientFrame, { type: 'fetch' }>): Promise<void> {
    const { store, agent, link } = this.#parts;
    if (await this.#selfRestoreIsOff(frame.requestId)) return;
    this.#parts.reads.read(frame.ids.length);
    const own = await store.intake.has(agent.lineageId, frame.ids);
    const missing: ChunkId[] = frame.ids.filter((_id, index) => own[index] !== true);
    let items: StoredItem[] = [];
    let bodies: Uint8Array[] = [];
    let size = 0;
    const flush = async (last: boolean): Promise<void> => {
      const sent = {
        type: 'chunkData',
        requestId: frame.requestId,
        items,
        last,
        missing: last ? missing : [],
      } as const;
      const body = bodies;
      [items, bodies, size] = [[], [], 0];
      await link.send(sent, ...body);
    };
    for await (const item of store.reading.readItems(
      frame.ids.filter((_id, index) => own[index] === true),
    )) {
      if (item.type !== 'item') {
        missing.push(item.id);
        continue;
      }
      if (
        items.length > 0 &&
        (size + item.bytes.length > FETCH_FRAME_BYTES || items.length >= FETCH_FRAME_ITEMS)
      )
        await flush(false);
      items.push({ id: item.id, kind: item.kind, size: item.bytes.length });
      bodies.push(item.bytes);
      size += item.bytes.length;
    }
    await flush(true);
  }

  /**
   * P4: only the certificate that the authority signed lets an agent read, and then only its own.
   */
  async #selfRestoreIsOff(requestId: number): Promise<boolean> {
    const { agent, link } = this.#parts;
    if (agent.enrolmentBody.selfRestore) return false;
    const message = `agent ${agent.name} may not restore by itself; ask central IT`;
    await link.send({ type: 'refused', requestId, code: 'self-restore-off', message });
    return true;
  }
}
