import type { ChainPoint, ChunkId, CollectorAddress, Signed } from '@aliquot/proto';
import type { Timers } from '@aliquot/shared/ports';
import { Serial } from '@aliquot/shared/serial';
import type { CommitSigner } from '../queue/outbox/outbox.ts';
import { beat } from './beat.ts';
import { DiagnosisAnswer } from './diagnosis-answer.ts';
import { Drain, drainUntilClosed } from './drain.ts';
import { whenDrained } from './drained.ts';
import { asUplinkError, UplinkError } from './errors.ts';
import { everyAddress } from './every-address.ts';
import { kept, learnAddresses } from './learn-addresses.ts';
import { askItems, askState, requireSelfRestore } from './own-history.ts';
import { askReleasePart } from './release-part.ts';
import { Retry } from './retry.ts';
import { Session } from './session.ts';
import { SettingsAnswer } from './settings-answer.ts';
import { commitSigner } from './signer.ts';
import { SweepAnswer } from './sweep-answer.ts';
import { tcpProbe } from './tcp.ts';
import { systemTimers } from './timers.ts';
import { isStandingNotice } from './trust.ts';
import type {
  HeartbeatCounts,
  ItemAnswer,
  StateCommit,
  Uplink,
  UplinkEvent,
  UplinkState,
  UplinkStatus,
} from './uplink.ts';
import type { UplinkOptions } from './uplink-options.ts';
import type { UplinkParts } from './uplink-parts.ts';
import { Welcome } from './welcome.ts';

/** A session that lasted this long was of use, whatever it carried. */
const USEFUL_SESSION_MS = 30_000;

/** What is said while a new chain has no commit at the collector yet. */
const heldStates = {
  code: 'chain-held',
  message:
    'this folder was copied or put back to an older state; what this PC sends is kept apart until central IT decides',
};

/** The `Uplink` over WebSocket sessions. */
export class WebSocketUplink implements Uplink {
  readonly #options: UplinkOptions;
  readonly #timers: Timers;
  readonly #retry: Retry;
  readonly #listeners = new Set<(event: UplinkEvent) => void>();
  #state: UplinkState = 'stopped';
  #problem: UplinkStatus['problem'];
  #failure: UplinkError | undefined;
  readonly #welcome: Welcome;
  #session: Session | undefined;
  #address: CollectorAddress | undefined;
  /** What the collector of this session says that stands until central IT acts. */
  #standing: { readonly code: string; readonly message: string } | undefined;
  /** Of this session, once it has answered its epoch: who waits for no more may end it then. */
  #drain: Drain | undefined;
  /** The last write of the problem that stands; it does not reject. */
  #keeping: Promise<void> = Promise.resolve();
  #running: Promise<void> | undefined;
  #stopping = false;
  /** Between `start` and `stop`. */
  #wanted = false;
  /** Something runs instead of a session. */
  #resting = false;
  readonly #instead = new Serial();
  #sentBytes = 0;
  #sentContentBytes = 0;
  #connectedSinceMs: number | undefined;
  #nextAttemptMs: number | undefined;
  #collectorChainHead: ChainPoint | undefined;
  #clockSkewMs: number | undefined;
  #collectorSoftware: string | undefined;
  #useful = false;
  /** One for all sessions: what it sealed ahead, no other signs. */
  readonly #signer: CommitSigner;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    const { identity, trust, clock, random, probe } = options;
    this.#signer = commitSigner(identity, () => trust.verified?.head, clock, random);
    this.#retry = new Retry({
      servers: () => trust.addresses.candidates(),
      timers: this.#timers,
      random,
      probe: probe ?? tcpProbe,
    });
    this.#welcome = new Welcome(options);
    this.#problem = options.trust.problem;
  }

  start(): Promise<void> {
    this.#wanted = true;
    this.#begin();
    return this.#instead.run(async () => undefined);
  }

  #begin(): void {
    if (!this.#wanted || this.#resting || this.#running !== undefined) return;
    this.#stopping = false;
    this.#retry.calm();
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#change('stopped', undefined);
    });
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stopping = true;
    this.#session?.end(new UplinkError('UPLINK_STOPPED', 'the agent is stopping'));
    this.#retry.hurry();
    await this.#running;
  }

  nudge(): void {
    if (this.#state === 'ready' || this.#state === 'connecting' || this.#state === 'stopped')
      return;
    // Said before the attempt begins: a waiter must not take the last answer for the next one.
    this.#change('connecting', undefined, true);
    this.#retry.hurry();
  }

  status(): UplinkStatus {
    const { identity, queue, trust } = this.#options;
    return {
      state: this.#state,
      url: this.#url,
      problem: this.#problem,
      connectedSinceMs: this.#connectedSinceMs,
      lastReceiptMs: queue.outbox.lastReceipt()?.receivedAtMs,
      sentBytes: this.#sentBytes,
      sentContentBytes: this.#sentContentBytes,
      nextAttemptMs: this.#nextAttemptMs,
      verifiedHead: trust.verified?.head,
      collectorChainHead: this.#collectorChainHead,
      clockSkewMs: this.#clockSkewMs,
      collectorSoftware: this.#state === 'ready' ? this.#collectorSoftware : undefined,
      vaultId: identity.descriptor.vaultId,
    };
  }

  subscribe(listener: (event: UplinkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  drained(signal?: AbortSignal): Promise<void> {
    const ends: readonly UplinkState[] = ['refused', 'rolled-back', 'pending'];
    return whenDrained(
      this.#options.queue,
      (listener) => this.subscribe(listener),
      () => {
        if (this.#state === 'stopped')
          return new UplinkError('UPLINK_STOPPED', 'the uplink is not running');
        if (ends.includes(this.#state)) return this.#failure;
        return this.#state === 'ready' && this.#drain?.caughtUp === true ? 'caught-up' : 'going-on';
      },
      signal,
    );
  }

  async heartbeat(counts: HeartbeatCounts): Promise<void> {
    await beat(this.#readySession(), this.#options, counts);
    this.#useful = true;
  }

  async *state(atMs: number): AsyncGenerator<StateCommit, void, void> {
    requireSelfRestore(this.#options.identity);
    const message =
      'versions of another installation of this agent were left out; central IT can restore them';
    yield* askState(this.#readySession(), this.#options.identity, atMs, () =>
      this.#tell({ type: 'notice', code: 'foreign-commit', message }),
    );
  }

  async *fetch(ids: readonly ChunkId[]): AsyncGenerator<ItemAnswer, void, void> {
    requireSelfRestore(this.#options.identity);
    yield* askItems(() => this.#readySession(), ids);
  }

  /** Takes newer addresses and tries them at once where there is no session. */
  async setAddresses(signed: Signed): Promise<{ readonly news: boolean; readonly first: string }> {
    const { addresses } = this.#options.trust;
    const news = await addresses.learn(signed);
    if (news) this.nudge();
    return { news, first: (addresses.candidates()[0] ?? addresses.likely).url };
  }

  async releasePart(
    name: string,
    offset: number,
  ): Promise<{ readonly size: number; readonly bytes: Uint8Array }> {
    return await askReleasePart(this.#readySession(), name, offset);
  }

  instead<T>(work: (parts: UplinkParts) => Promise<T>): Promise<T> {
    return this.#instead.run(async () => {
      this.#resting = true;
      try {
        // A session would hold its own idea of the newest head and of what is receipted.
        if (this.#running !== undefined) await this.#end();
        return await work({ ...this.#options, welcome: this.#welcome });
      } finally {
        this.#resting = false;
        this.#problem = this.#options.trust.problem;
        this.#begin();
      }
    });
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const failure = await everyAddress(
        this.#options.trust.addresses.candidates(),
        async (address) => {
          this.#address = address;
          const ended = await this.#runSession(address);
          this.#address = undefined;
          return { failure: ended, final: this.#stopping || this.#session?.proved === true };
        },
      );
      this.#session = undefined;
      this.#drain = undefined;
      this.#connectedSinceMs = undefined;
      if (this.#stopping) return;
      // The queue has a new chain, which the next session announces; how often that may happen,
      // `Welcome` says.
      if (failure.code === 'UPLINK_CHAIN_RENEWED') continue;
      // Once for each that the authority signed: where the new ones do not answer, the old one is
      // the next.
      if (failure.code === 'UPLINK_MOVED') continue;
      const { setback, delayMs } = this.#retry.after(failure, this.#useful);
      this.#nextAttemptMs = this.#options.clock.nowMs() + delayMs;
      this.#change(setback === 'transient' ? 'offline' : setback, failure);
      if (setback !== 'transient') await this.#keepProblem();
      // Asked to stop while that was kept: the wait ends at once.
      await this.#retry.wait(delayMs, failure);
      this.#nextAttemptMs = undefined;
    }
  }

  /** The address of the present session or attempt, else the one that served last. */
  get #url(): string {
    return (this.#address ?? this.#options.trust.addresses.likely).url;
  }

  /** One session from connect to end; the answer is why it ended. */
  async #runSession(address: CollectorAddress): Promise<UplinkError> {
    const { identity, trust, random, software, queue, clock, courtesy, desk, diagnostics } =
      this.#options;
    this.#useful = false;
    this.#standing = undefined;
    this.#change('connecting', undefined, true);
    // Loaded here: commands that never connect do not wait for it.
    const connect = this.#options.connect ?? (await import('./socket.ts')).connectWebSocket;
    if (this.#stopping) return new UplinkError('UPLINK_STOPPED', 'the agent is stopping');
    const session = new Session({
      identity,
      address,
      chainId: queue.chain.present().chainId,
      trust,
      random,
      software,
      timers: this.#timers,
      connect,
      patienceMs: this.#retry.patienceMs,
      pace: courtesy,
      onSent: (bytes, content) => {
        courtesy?.sent(bytes);
        this.#sentBytes += bytes;
        this.#sentContentBytes += content;
      },
      onNotice: (code, message) => this.#noticed(code, message),
      onGcEpoch: (gcEpoch) => {
        sweep.told(gcEpoch).catch((error: unknown) => session.end(asUplinkError(error)));
      },
      settingsSequence: desk?.sequence ?? 0,
      onSettings: (settings) => {
        told.settings(settings).catch((error: unknown) => session.end(asUplinkError(error)));
      },
      onDiagnose: (asked) => {
        diagnosis.asked(asked).catch((error: unknown) => session.end(asUplinkError(error)));
      },
      onAddresses: (addresses) => {
        learnAddresses(addresses, {
          ...{ book: trust.addresses, here: address, session, random, timers: this.#timers },
          isCaughtUp: () => this.#drain?.caughtUp === true,
        }).catch((error: unknown) => session.end(asUplinkError(error)));
      },
    });
    const sweep = new SweepAnswer(queue.epochs, session);
    const told = new SettingsAnswer(desk, session);
    const diagnosis = new DiagnosisAnswer({ identity, diagnostics, clock, random }, session);
    this.#session = session;
    try {
      const { ready, collector, certificate } = await session.open();
      this.#clockSkewMs = ready.timeMs - clock.nowMs();
      this.#collectorSoftware = ready.software;
      const head = await this.#welcome.believe(ready, collector, certificate);
      await kept(trust.addresses.worked(address));
      this.#collectorChainHead = ready.chainHead;
      await this.#welcome.settleChain(ready);
      // The collector says so itself once it has a commit of the new chain; who ends right after
      // that commit would miss it.
      if (
        ready.chainHead === undefined &&
        queue.chain.present().forkedFrom !== undefined &&
        !queue.chain.present().inherited
      )
        this.#standing ??= heldStates;
      await sweep.settled(ready.gcEpoch);
      this.#connectedSinceMs = clock.nowMs();
      const drain = new Drain({
        ...{ queue, session, trust, collector, certificate, head, chainHead: ready.chainHead },
        signer: this.#signer,
        recover: this.#options.recover,
        onReceipt: (sequence, entries, receivedAtMs) => {
          this.#useful = true;
          this.#welcome.receipted();
          this.#tell({ type: 'receipt', sequence, entries, receivedAtMs });
        },
      });
      this.#stand();
      await drainUntilClosed({ queue, drain, sweep, session, timers: this.#timers }, () => {
        this.#drain = drain;
        this.#tell({ type: 'state', status: this.status() });
      });
      return await session.closed;
    } catch (error) {
      const reason = asUplinkError(error);
      session.end(reason);
      return reason;
    } finally {
      const since = this.#connectedSinceMs;
      if (since !== undefined && clock.nowMs() - since >= USEFUL_SESSION_MS) this.#useful = true;
      // Who has stopped it may remove the folder.
      await this.#keeping;
    }
  }

  /**
   * What stands with the collector until central IT decides is a problem here too, while all goes
   * on (P6).
   */
  #noticed(code: string, message: string): void {
    this.#tell({ type: 'notice', code, message });
    if (!isStandingNotice(code)) return;
    this.#standing = { code, message };
    // It may be here before the session is ready, which then takes it up.
    if (this.#state === 'ready') this.#stand();
  }

  /** Shows what the collector says that stands, or that nothing does, and keeps it. */
  #stand(): void {
    this.#change('ready', this.#standing);
    this.#keeping = this.#keepProblem().catch((error: unknown) =>
      this.#session?.end(asUplinkError(error)),
    );
  }

  #keepProblem(): Promise<void> {
    return kept(this.#options.trust.setProblem(this.#problem));
  }

  #readySession(): Session {
    if (this.#state === 'ready' && this.#session !== undefined) return this.#session;
    const why = this.#problem?.message ?? `no session with the collector at ${this.#url} yet`;
    throw this.#failure ?? new UplinkError('UPLINK_OFFLINE', why);
  }

  #change(
    state: UplinkState,
    failure: { readonly code: string; readonly message: string } | undefined,
    keepProblem = false,
  ): void {
    this.#state = state;
    this.#options.queue.intake.drains(state === 'ready');
    if (!keepProblem) {
      this.#failure = failure instanceof UplinkError ? failure : undefined;
      const same = failure !== undefined && this.#problem?.code === failure.code;
      const sinceMs =
        same && this.#problem !== undefined ? this.#problem.sinceMs : this.#options.clock.nowMs();
      this.#problem = failure && { code: failure.code, message: failure.message, sinceMs };
    }
    this.#tell({ type: 'state', status: this.status() });
  }

  #tell(event: UplinkEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
