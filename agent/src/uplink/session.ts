import {
  type ClientFrame,
  type CollectorCertificateBody,
  checkServerBody,
  decodeServerFrame,
  encodeClientFrame,
  encodeFrameHead,
  type ServerFrame,
  type Signed,
  splitFrame,
} from '@aliquot/proto';
import { release } from '@aliquot/shared/crypto/bytes';
import { endWith } from '@aliquot/shared/durable/unexpected';
import { FrameOpener, FrameSealer } from '@aliquot/shared/session/frames';
import { ClientHandshake, type HandshakeIdentity } from '@aliquot/shared/session/handshake';
import { ConnectionWatch } from './connection-watch.ts';
import { asUplinkError, refusalError, UplinkError } from './errors.ts';
import { FrameStream, type ReceivedAnswer } from './frame-stream.ts';
import type { LiveSessionParts, OpenedSession } from './session-parts.ts';
import type { MessageSocket } from './socket.ts';

/** Hello to `ready`: two round trips, on the slowest line that can carry a backup. */
const HANDSHAKE_MS = 30_000;

type Waiter = {
  readonly resolve: (received: ReceivedAnswer) => void;
  readonly reject: (error: UplinkError) => void;
};

/**
 * One authenticated session: handshake, frames, credit, and matching answers to requests. Judges
 * nothing that a frame says beyond the handshake; that is the uplink's.
 */
export class Session {
  readonly #parts: LiveSessionParts;
  readonly #waiters = new Map<number, Waiter>();
  readonly #streams = new Map<number, FrameStream>();
  readonly #handshake: ClientHandshake;
  readonly #closed: Promise<UplinkError>;
  #close: (error: UplinkError) => void = () => undefined;
  #socket: MessageSocket | undefined;
  #sealer: FrameSealer | undefined;
  #opener: FrameOpener | undefined;
  #collector: { readonly body: CollectorCertificateBody; readonly certificate: Signed } | undefined;
  #onReady: Waiter | undefined;
  #ended: UplinkError | undefined;
  #credit = 0;
  #creditWaiters: (() => void)[] = [];
  #requestId = 0;
  /** How many wait for frames. */
  #awaiting = 0;
  #deaf = false;
  readonly #ending = new AbortController();
  readonly #watch: ConnectionWatch;

  constructor(parts: LiveSessionParts) {
    this.#parts = parts;
    const { descriptor } = parts.identity;
    this.#handshake = new ClientHandshake({
      vaultId: descriptor.vaultId,
      authorityKey: descriptor.authorityKey,
      lastCollector: parts.trust.lastCollector,
      random: parts.random,
    });
    this.#closed = new Promise((resolve) => {
      this.#close = resolve;
    });
    this.#watch = new ConnectionWatch(parts.timers, parts.patienceMs, () => {
      this.end(new UplinkError('UPLINK_SILENT', 'the collector has gone silent'));
    });
  }

  /** Resolves with the reason when the session has ended. */
  get closed(): Promise<UplinkError> {
    return this.#closed;
  }

  /** Whether the server at the address has proved to be this vault's collector. */
  get proved(): boolean {
    return this.#collector !== undefined;
  }

  /** Whether nobody waits for an answer. */
  get idle(): boolean {
    return this.#waiters.size === 0 && this.#streams.size === 0;
  }

  /** Connects and authenticates. Rejects with an `UplinkError`; the session is then over. */
  async open(): Promise<OpenedSession> {
    const cancel = this.#parts.timers.after(HANDSHAKE_MS, () => {
      this.end(
        new UplinkError(
          'UPLINK_UNREACHABLE',
          `the collector at ${this.#parts.address.url} does not answer in time`,
        ),
      );
    });
    try {
      const { frame } = await new Promise<ReceivedAnswer>((resolve, reject) => {
        this.#onReady = { resolve, reject };
        this.#connect();
      });
      if (frame.type !== 'ready' || this.#collector === undefined)
        throw this.#protocol(`a ${frame.type} frame before ready`);
      this.#credit = frame.creditBytes;
      return {
        ready: frame,
        collector: this.#collector.body,
        certificate: this.#collector.certificate,
      };
    } catch (error) {
      const reason = asUplinkError(error);
      this.end(reason);
      throw reason;
    } finally {
      cancel();
    }
  }

  /** Sends a frame that gets no answer. */
  send(frame: ClientFrame, ...body: readonly Uint8Array[]): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#sealer === undefined || this.#socket === undefined)
      return Promise.reject(new UplinkError('UPLINK_OFFLINE', 'no session yet'));
    const bytes = lengthOf(body);
    const message = this.#sealer.seal(encodeFrameHead(encodeClientFrame(frame), bytes), ...body);
    this.#parts.onSent(message.length, frame.type === 'chunks' ? bytes : 0);
    const socket = this.#socket;
    return this.#watch.during(async () => {
      await socket.send(message);
      release(message);
    });
  }

  /**
   * Sends sealed items, whose bytes are the parts of the body, once the collector has room for
   * them. They must fit its whole credit.
   */
  async sendItems(
    frame: Extract<ClientFrame, { type: 'chunks' }>,
    body: readonly Uint8Array[],
  ): Promise<void> {
    await this.#parts.pace?.beforeSending(this.#ending.signal);
    const bytes = lengthOf(body);
    while (this.#credit < bytes && this.#ended === undefined) {
      await this.#awaited(() => new Promise<void>((resolve) => this.#creditWaiters.push(resolve)));
    }
    this.#credit -= bytes;
    await this.send(frame, ...body);
  }

  /**
   * Sends a request and resolves with its answer; `refused` comes as a frame, for the caller to
   * judge.
   */
  async request(make: (requestId: number) => ClientFrame, body?: Uint8Array): Promise<ServerFrame> {
    return (await this.ask(make, body)).frame;
  }

  /** As `request`, with the body of the answer. */
  async ask(make: (requestId: number) => ClientFrame, body?: Uint8Array): Promise<ReceivedAnswer> {
    const requestId = this.#nextRequest();
    const answer = new Promise<ReceivedAnswer>((resolve, reject) => {
      this.#waiters.set(requestId, { resolve, reject });
    });
    answer.catch(() => undefined); // awaited below, unless sending fails first
    try {
      await this.send(make(requestId), ...(body === undefined ? [] : [body]));
      return await this.#awaited(() => answer);
    } finally {
      this.#waiters.delete(requestId);
    }
  }

  /** Sends a request that is answered by many frames; the reader's pace holds the network back. */
  async *stream(
    make: (requestId: number) => ClientFrame,
  ): AsyncGenerator<ReceivedAnswer, void, void> {
    const requestId = this.#nextRequest();
    const stream = new FrameStream(() => this.#regulate());
    if (this.#ended !== undefined) throw this.#ended;
    this.#streams.set(requestId, stream);
    try {
      await this.send(make(requestId));
      for (;;) yield await this.#awaited(() => stream.next());
    } finally {
      this.#streams.delete(requestId);
      stream.stop();
    }
  }

  end(reason: UplinkError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#ending.abort();
    this.#watch.stop();
    this.#socket?.terminate();
    this.#onReady?.reject(reason);
    for (const waiter of this.#waiters.values()) waiter.reject(reason);
    for (const stream of this.#streams.values()) stream.fail(reason);
    this.#waiters.clear();
    this.#wakeCredit();
    this.#close(reason);
  }

  #connect(): void {
    try {
      this.#socket = this.#parts.connect(this.#parts.address, {
        onOpen: () => {
          this.#watch.heard();
          this.#deliver(this.#handshake.start());
        },
        onMessage: (message) => this.#guard(() => this.#message(message)),
        onSign: () => this.#watch.heard(),
        onClose: (error) => this.end(error),
      });
    } catch (error) {
      endWith(error);
      this.end(
        error instanceof UplinkError
          ? error
          : new UplinkError('UPLINK_UNREACHABLE', 'the collector cannot be reached', {
              cause: error,
            }),
      );
    }
  }

  #deliver(message: Uint8Array): void {
    this.#parts.onSent(message.length, 0);
    this.#socket?.send(message).catch((error: unknown) => {
      endWith(error);
      this.end(
        error instanceof UplinkError
          ? error
          : new UplinkError('UPLINK_CLOSED', 'the connection ended', { cause: error }),
      );
    });
  }

  #message(message: Uint8Array): void {
    if (this.#ended !== undefined) return;
    if (this.#opener === undefined) {
      this.#serverHello(message);
      return;
    }
    const { header, body } = splitFrame(this.#opener.open(message));
    const frame = decodeServerFrame(header);
    checkServerBody(frame, body);
    this.#dispatch({ frame, body });
  }

  #serverHello(message: Uint8Array): void {
    const { identity, trust, software } = this.#parts;
    const established = this.#handshake.onServerHello(message);
    this.#collector = { body: established.collector, certificate: established.certificate };
    this.#sealer = new FrameSealer(established.keys, 'client');
    this.#opener = new FrameOpener(established.keys, 'client');
    const known = trust.verified;
    const claim: HandshakeIdentity = {
      enrolment: identity.enrolment,
      binding: identity.binding,
      signKey: identity.signKey,
      chainId: this.#parts.chainId,
      software,
      treeHead: known?.head,
      signedHead: known?.signed,
      signedHeadCertificate: known?.certificate,
      addressesRevision: trust.addresses.revision,
      settingsSequence: this.#parts.settingsSequence,
    };
    this.#deliver(
      this.#sealer.seal(encodeFrameHead(encodeClientFrame(this.#handshake.auth(claim)), 0)),
    );
  }

  #dispatch(received: ReceivedAnswer): void {
    const { frame } = received;
    switch (frame.type) {
      case 'ready':
        if (this.#onReady === undefined) throw this.#protocol('a second ready');
        this.#onReady.resolve(received);
        this.#onReady = undefined;
        return;
      case 'credit':
        this.#credit += frame.bytes;
        this.#wakeCredit();
        return;
      case 'notice':
        this.#parts.onNotice(frame.code, frame.message);
        return;
      case 'gcEpoch':
        this.#parts.onGcEpoch(frame.gcEpoch);
        return;
      case 'addresses':
        this.#parts.onAddresses(frame.addresses);
        return;
      case 'diagnose':
        this.#parts.onDiagnose({ request: frame.request, certificate: frame.certificate });
        return;
      case 'settings':
        this.#parts.onSettings({ settings: frame.settings, certificate: frame.certificate });
        return;
      case 'refused':
        if (frame.requestId === 0 || this.#onReady !== undefined)
          throw refusalError(frame.code, frame.message);
        break;
      default:
        break;
    }
    const stream = this.#streams.get(frame.requestId);
    const waiter = this.#waiters.get(frame.requestId);
    if (stream !== undefined) stream.push(received);
    else if (waiter !== undefined) waiter.resolve(received);
    else if (frame.requestId > this.#requestId || frame.requestId === 0)
      throw this.#protocol(`a ${frame.type} frame that nobody asked for`);
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.end(asUplinkError(error));
    }
  }

  /** Waits for something that only a frame can bring. */
  async #awaited<T>(work: () => Promise<T>): Promise<T> {
    this.#awaiting += 1;
    this.#regulate();
    try {
      return await this.#watch.during(work);
    } finally {
      this.#awaiting -= 1;
      this.#regulate();
    }
  }

  /**
   * Holds the network back while a reader has enough to read, unless another one waits: all share
   * one connection, and who reads an answer slowly may be waiting for another one meanwhile.
   */
  #regulate(): void {
    const deaf = this.#awaiting === 0 && [...this.#streams.values()].some(({ full }) => full);
    if (deaf === this.#deaf) return;
    this.#deaf = deaf;
    if (deaf) this.#socket?.pause();
    else this.#socket?.resume();
    this.#watch.deaf(deaf);
  }

  #wakeCredit(): void {
    const waiters = this.#creditWaiters;
    this.#creditWaiters = [];
    for (const wake of waiters) wake();
  }

  #nextRequest(): number {
    this.#requestId += 1;
    return this.#requestId;
  }

  #protocol(what: string): UplinkError {
    return new UplinkError('UPLINK_PROTOCOL', `the collector sent ${what}; update the older side`);
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
