import { setImmediate as turn } from 'node:timers/promises';
import { type ClientFrame, decodeCollectorAddressesBody, type Signed } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { endWith, isForeseen } from '@aliquot/shared/durable/unexpected';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import type { Logger } from 'pino';
import { CREDIT_BYTES, FAREWELL_MS, HANDSHAKE_MS, LINGER_BYTES } from '../limits.ts';
import { StoreError, type StoreErrorCode } from '../store/errors.ts';
import type { AgentRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { SOFTWARE } from '../version.ts';
import { AgentSession } from './agent-session.ts';
import { type Channel, CLOSE_GOING_AWAY } from './channel.ts';
import type { AgentConduct } from './conduct.ts';
import type { Approach, IngestParts, JoinedAgent } from './connection-parts.ts';
import { ContentReads } from './content-reads.ts';
import { describe } from './ending.ts';
import type { IngestErrorCode } from './errors.ts';
import { Inbox } from './inbox.ts';
import { admit, refuseEnded, standing } from './join.ts';
import type { Asking, Question } from './live-sessions.ts';
import { promoteWhenQuiet } from './promote.ts';
import { prove } from './prove.ts';
import { Questions } from './questions.ts';
import type { SecureLink } from './secure-link.ts';

const SESSION_ID_BYTES = 16;
/** A control frame of WebSocket with its head: RFC 6455, section 5.5. */
const MAX_CONTROL_BYTES = 131;

/** One agent's connection, from the first message to the last. */
export class Connection {
  readonly #parts: IngestParts;
  readonly #channel: Channel;
  readonly #inbox: Inbox;
  readonly #approach: Approach;
  #log: Logger;
  #link: SecureLink | undefined;
  #ended = false;
  #conduct: AgentConduct | undefined;
  #working = false;
  /** Why this side ended the session. */
  #because: string | undefined;
  #unsubscribe: (() => void) | undefined;
  #joined: JoinedAgent | undefined;
  readonly #questions = new Questions();

  constructor(parts: IngestParts, channel: Channel, approach: Approach = {}) {
    this.#parts = parts;
    this.#approach = approach;
    this.#channel = channel;
    this.#inbox = new Inbox(channel);
    this.#log = parts.log;
  }

  /** By which it came. */
  get host(): string | undefined {
    return this.#approach.host;
  }

  /** Takes a message from the network. */
  receive(message: Uint8Array): void {
    this.#inbox.push(message);
  }

  /**
   * Whether something of this connection is being worked on, or waits for it. Items that are held
   * until the rest of a message is here do not count: it may never come.
   */
  get busy(): boolean {
    return this.#working || this.#inbox.size > 0;
  }

  /** The network side is gone. */
  gone(): void {
    this.#ended = true;
    this.#inbox.close();
  }

  /**
   * Ends the session from this side, with a word to the agent, unless waiting for that would hold
   * the memory of a large message.
   */
  end(reason: string): void {
    if (this.#ended) return;
    this.#because = reason;
    if (this.#channel.unfinishedBytes() > LINGER_BYTES) {
      this.gone();
      this.#channel.terminate();
      return;
    }
    const farewell = this.#link?.send({ type: 'notice', code: 'session-ended', message: reason });
    this.#close(farewell, CLOSE_GOING_AWAY, reason);
  }

  tellSettings(): void {
    const joined = this.#joined;
    if (joined === undefined || this.#ended) return;
    const { current } = joined.store.desk.of(joined.agent.agentId);
    if (current === undefined || current.sequence <= joined.settingsSequence) return;
    // Once for each session, whatever becomes of them: the agent says what, and asks again with the
    // next session.
    joined.settingsSequence = current.sequence;
    joined.link.send({ type: 'settings', ...current.settings }).catch(endWith);
  }

  diagnose(question: Question): Asking {
    const { request, certificate } = question;
    const reply = this.#questions.wait(question);
    const sent = this.#ended
      ? undefined
      : this.#link?.send({ type: 'diagnose', request, certificate });
    if (sent === undefined) this.#questions.forget(question);
    sent?.catch((error: unknown) => {
      endWith(error); // else the agent has gone
      this.#questions.forget(question);
    });
    return { reply, forget: () => this.#questions.forget(question) };
  }

  tellAddresses(addresses: Signed): void {
    // gone: it asks again
    if (!this.#ended) this.#link?.send({ type: 'addresses', addresses }).catch(endWith);
  }

  /**
   * Runs the session to its end; never rejects. `onProved` is called when the agent has proved
   * itself.
   */
  async run(onProved: () => void): Promise<void> {
    const late = this.#parts.timers.after(HANDSHAKE_MS, () => {
      this.#log.warn(
        { code: 'INGEST_TIMEOUT' satisfies IngestErrorCode },
        'connection did not prove itself in time',
      );
      this.#channel.terminate();
    });
    let leave: (() => void) | undefined;
    try {
      const joined = await this.#join();
      this.#working = false;
      late();
      if (joined === undefined) return;
      onProved();
      const leaveHub = this.#parts.hub.enter(
        joined.store.descriptor.vaultId,
        joined.agent.agentId,
        joined.chainId,
        this,
      );
      leave = () => {
        leaveHub();
        joined.reads.end();
        this.#log.info(this.#because === undefined ? {} : { because: this.#because }, 'agent left');
      };
      // Anyone who was revoked or replaced while it was being let in was in no hub to be ended in.
      refuseEnded(joined.store, joined.agent);
      // From here on the hub sends newer ones.
      const addresses = joined.store.register.addresses();
      const known = addresses && decodeCollectorAddressesBody(addresses.body).revision;
      if (addresses !== undefined && known !== undefined && known > joined.addressesRevision)
        this.tellAddresses(addresses);
      this.#joined = joined;
      this.tellSettings();
      for (
        let message = await this.#nextFor(joined.session);
        message !== undefined;
        message = await this.#nextFor(joined.session)
      ) {
        this.#working = true;
        await joined.session.handle(joined.link.open(message));
        this.#approach.served?.();
        this.#working = false;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      late();
      leave?.();
      this.#unsubscribe?.();
      this.#questions.end();
      this.#inbox.close();
    }
  }

  /**
   * The next message; before it is waited for, what the session holds is put, unless more comes.
   */
  async #nextFor(session: AgentSession): Promise<Uint8Array | undefined> {
    if (session.holds && !(await this.#moreComes())) {
      this.#working = true;
      await session.settle();
      this.#working = false;
    }
    return this.#inbox.next();
  }

  /** Whether a message waits, or the network has brought a part of one by the next turn. */
  async #moreComes(): Promise<boolean> {
    const before = this.#channel.receivedBytes();
    if (this.#inbox.size === 0) await turn();
    return this.#inbox.size > 0 || this.#channel.receivedBytes() - before > MAX_CONTROL_BYTES;
  }

  /** Handshake, authentication, standing; `undefined` when the other side went away in between. */
  async #join(): Promise<JoinedAgent | undefined> {
    const { store: collector, random, clock } = this.#parts;
    const proved = await prove({
      ...{ collector, random, channel: this.#channel },
      next: () => this.#inbox.next(),
      atTurn: (work) => this.#atTurn(work),
      onLink: (link) => {
        this.#link = link;
      },
    });
    if (proved === undefined) return undefined;
    const { store, certificate, auth: frame, link } = proved;
    if (!(await this.#mayBegin(store, certificate))) return undefined;
    const nowMs = clock.nowMs();
    const agent = await this.#admit(store, certificate, frame, nowMs);
    const { head, signedHead, consistency, openings, rolledBack } = await standing(
      store,
      agent,
      frame,
      nowMs,
    );
    const conduct = this.#parts.hub.conduct.of(store.descriptor.vaultId, agent.agentId, agent.name);
    if (!conduct.isRefused) store.intake.seen(agent.agentId, nowMs);
    const { chainId } = frame;
    const chainHead = await store.intake.chainHead(agent.agentId, chainId);
    const sent = link.send({
      type: 'ready',
      sessionId: random.bytes(SESSION_ID_BYTES),
      creditBytes: CREDIT_BYTES,
      timeMs: nowMs,
      head: signedHead,
      consistency,
      openings,
      chainHead,
      gcEpoch: store.sweep.gcEpoch(agent.lineageId),
      rolledBack,
      software: SOFTWARE,
    });
    // Before anything else can happen: an epoch is either in `ready`, or announced to this session.
    this.#unsubscribe = store.sweep.onGcEpoch(agent.lineageId, (gcEpoch) => {
      // gone: the next ready tells it
      if (!this.#ended) link.send({ type: 'gcEpoch', gcEpoch }).catch(endWith);
    });
    await sent;
    const reads = new ContentReads('the agent', this.#log, this.#parts.timers);
    const { releases } = collector;
    const heard = () =>
      promoteWhenQuiet({ clock, log: this.#log, sessions: this.#parts.hub }, store);
    const log = this.#log;
    const questions = this.#questions;
    const session = new AgentSession({
      ...{ store, clock, link, agent, chainId, head, rolledBack, conduct, reads, releases },
      ...{ timers: this.#parts.timers, heard, log, questions },
    });
    await session.tellBranch();
    store.desk.said(agent.agentId, { inForce: frame.settingsSequence, software: frame.software });
    this.#log.info({ software: frame.software, rolledBack }, 'agent connected');
    return {
      store,
      agent,
      chainId,
      link,
      session,
      reads,
      addressesRevision: frame.addressesRevision,
      settingsSequence: frame.settingsSequence,
    };
  }

  /** Does `work` when it is this connection's turn; undefined when it is gone by then. */
  async #atTurn<T>(work: () => T): Promise<T | undefined> {
    const { atTurn } = this.#approach;
    this.#working = true;
    const done = atTurn === undefined ? work() : await atTurn(work);
    this.#working = false;
    return this.#ended ? undefined : done;
  }

  /** Whether an agent that has proved itself gets a session, perhaps after a wait. */
  async #mayBegin(
    { descriptor: { vaultId } }: VaultWith<'descriptor'>,
    { enrolment: { agentId, name } }: AgentCertificate,
  ): Promise<boolean> {
    this.#log = this.#log.child({ vault: hex(vaultId), agent: name });
    // From here on the log says who was turned away, and why.
    const conduct = this.#parts.hub.conduct.of(vaultId, agentId, name);
    this.#conduct = conduct;
    const { sessions } = this.#approach;
    this.#working = true;
    const key = hex(vaultId) + hex(agentId);
    if (sessions !== undefined && !(await sessions.begin(key, () => conduct.hurried())))
      this.end('another connection of this agent took over');
    return !this.#ended;
  }

  async #admit(
    store: VaultWith<'descriptor' | 'events' | 'log' | 'register'>,
    certificate: AgentCertificate,
    frame: Extract<ClientFrame, { type: 'auth' }>,
    nowMs: number,
  ): Promise<AgentRecord> {
    const { agent, readmitted } = await admit(store, certificate, frame, nowMs);
    if (readmitted) {
      this.#log.warn(
        'the log had lost the enrolment of this agent: recorded again from its certificates',
      );
      const { replaces } = certificate.enrolment;
      if (replaces !== undefined)
        this.#parts.hub.endAgent(store.descriptor.vaultId, replaces, 'replaced');
    }
    return agent;
  }

  /** One place where a session's error becomes a refusal, a close code and one line in the log. */
  #fail(error: unknown): void {
    // A fault of ours ends the process (docs/reliability.md); the line below says with which agent
    // it was met.
    endWith(error);
    if (this.#ended) {
      if (!isForeseen(error))
        this.#log.error({ err: error }, 'a fault met after the session had ended');
      return;
    }
    const { refusal, requestId, closeCode, code, message } = describe(error);
    this.#because = code;
    // A disk that is full or fails is foreseen, and met at every attempt: its one line is enough.
    // What is not foreseen needs its stack.
    const diskError =
      error instanceof StoreError && diskTrouble.has(error.code)
        ? { code, reason: error.message }
        : undefined;
    const ours = refusal === 'storage';
    // What did not come out of its seal may be the network's doing; it is refused silently.
    if (refusal === 'protocol') this.#conduct?.violated(code, message);
    if (refusal !== undefined) this.#conduct?.refused(refusal, message);
    this.#log[ours ? 'error' : 'warn'](
      diskError ?? (ours ? { code, err: error } : { code }),
      `session ended: ${message}`,
    );
    // Anyone who altered a message would alter the answer too, or learn from it; closing says
    // enough, and the agent comes again.
    const told =
      refusal === undefined
        ? undefined
        : this.#link?.send({ type: 'refused', requestId, code: refusal, message });
    this.#close(told, closeCode, code);
  }

  /** Closes once the last word is out, or without it when the other side does not take it. */
  #close(lastWord: Promise<void> | undefined, closeCode: number, reason: string): void {
    this.#ended = true;
    this.#inbox.close();
    const drop = this.#parts.timers.after(FAREWELL_MS, () => this.#channel.terminate());
    (lastWord ?? Promise.resolve()).then(
      () => this.#channel.close(closeCode, reason),
      (error: unknown) => {
        endWith(error);
        drop();
        this.#channel.terminate();
      },
    );
  }
}

const diskTrouble: ReadonlySet<string> = new Set<StoreErrorCode>([
  'STORE_NO_SPACE',
  'STORE_FAILED',
]);
