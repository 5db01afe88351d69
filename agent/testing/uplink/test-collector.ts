/**
 * A small collector in this process, true to the wire and easy to corrupt. Nothing outside tests
 * imports this file.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  type ChunkId,
  type ClientFrame,
  decodeClientFrame,
  decodeHeartbeatBody,
  decodeSigned,
  encodeEventBody,
  encodeFrame,
  encodeServerFrame,
  type HeartbeatBody,
  MAX_RELEASE_DATA_BYTES,
  type ReceiptBody,
  type ServerFrame,
  type Signed,
  splitFrame,
  splitItems,
  type TreeHead,
} from '@aliquot/proto';
import { type VerifiedCommit, verifyCommit } from '@aliquot/shared/commit/commit';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import {
  type AgentCertificate,
  collectorIdOf,
  issueEpochOpening,
} from '@aliquot/shared/keys/certificates';
import { commitLeaf, eventLeaf } from '@aliquot/shared/log/leaf';
import { leafHash, MemoryHashStore, MerkleLog } from '@aliquot/shared/log/merkle';
import { signHead, signReceipt } from '@aliquot/shared/log/receipt';
import { FrameOpener, FrameSealer } from '@aliquot/shared/session/frames';
import { ServerHandshake } from '@aliquot/shared/session/handshake';
import {
  FIXTURE_TIME_MS,
  type FixtureVault,
  seededRandom,
} from '@aliquot/shared/testing/keys/fixtures';
import { type WebSocket, WebSocketServer } from 'ws';
import { isProved } from '../../src/queue/log/formats.ts';
import { chainHeadOf, commitOf, type Held, lineFor, linesOf } from './test-lines.ts';

export type Reply = (frame: ServerFrame, body?: Uint8Array) => void;

/** A session after its `auth`. */
export interface JoinedConnection {
  readonly agent: AgentCertificate;
  readonly chainId: string;
  /** The head that the last frame proved. */
  readonly proved: TreeHead;
  readonly reply: Reply;
}

export class TestCollector {
  readonly vault: FixtureVault;
  readonly frames: ClientFrame[] = [];
  readonly settingsAnswers: Extract<ClientFrame, { type: 'settingsAnswer' }>[] = [];
  readonly diagnoses: {
    readonly frame: Extract<ClientFrame, { type: 'diagnosis' }>;
    readonly body: Uint8Array;
  }[] = [];
  readonly heartbeats: HeartbeatBody[] = [];
  /** Files of releases by their names. */
  readonly releases = new Map<string, Uint8Array>();
  key: SigningKey;
  certificate: Signed;
  creditBytes = 16 * 1024 * 1024;
  /** Answers every connection with this refusal. */
  refuse: Extract<ServerFrame, { type: 'refused' }> | undefined;
  /** Bends a frame before it is sealed. */
  bend: (frame: ServerFrame) => ServerFrame = (frame) => frame;
  /** Bends the sealed bytes on the wire; undefined swallows them. */
  bendWire: (message: Uint8Array, index: number) => Uint8Array | undefined = (message) => message;
  /** Bends what it took in, before it makes leaf and receipt of it. */
  bendTaken: (taken: VerifiedCommit) => VerifiedCommit = (taken) => taken;
  /** Ends the connection instead of answering this frame. */
  hangUpOn: (frame: ClientFrame) => boolean = () => false;
  /** Whether it notices that agents know more than it. */
  admitsRollback = true;
  connections = 0;
  /** The newest epoch of the sweep. */
  gcEpoch = 0;
  /** What agents answered to it, oldest first. */
  readonly learned: { readonly chainId: string; readonly gcEpoch: number }[] = [];
  #held: Held = { leaves: [], items: new Map(), commits: [], apart: [], epoch: 0, openings: [] };
  #sessions = new Set<Reply>();
  #server: WebSocketServer | undefined;
  #sockets = new Set<WebSocket>();
  #waiting: { readonly when: () => boolean; readonly resolve: () => void }[] = [];

  constructor(vault: FixtureVault) {
    this.vault = vault;
    this.key = vault.collector;
    this.certificate = vault.collectorCertificate;
  }

  async listen(port = 0): Promise<string> {
    this.#server = new WebSocketServer({ port, host: '127.0.0.1', path: '/v1/agent' });
    this.#server.on('connection', (socket) => this.#serve(socket));
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    const address = this.#server?.address() as AddressInfo | undefined;
    return address?.port ?? 0;
  }

  async stop(): Promise<void> {
    this.dropAll();
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  /** Cuts every connection. */
  dropAll(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  /** A copy of all that is held, to be put back later. */
  snapshot(): Held {
    const { leaves, items, commits, apart, epoch, openings } = this.#held;
    const lines = apart.map((line) => [...line]);
    return {
      leaves: [...leaves],
      items: new Map(items),
      commits: [...commits],
      apart: lines,
      epoch,
      openings: [...openings],
    };
  }

  putBack(held: Held): void {
    const apart = held.apart.map((line) => [...line]);
    this.#held = {
      ...held,
      leaves: [...held.leaves],
      items: new Map(held.items),
      commits: [...held.commits],
      apart,
    };
  }

  /** The histories that are held apart from the trunk. */
  get apart(): readonly (readonly VerifiedCommit[])[] {
    return this.#held.apart.map((line) => line.map(({ verified }) => verified));
  }

  /** Tells every session of a new epoch of the sweep. */
  announce(gcEpoch: number): void {
    this.gcEpoch = gcEpoch;
    for (const reply of this.#sessions) reply({ type: 'gcEpoch', gcEpoch });
  }

  /** The slots of a commit that hold a version. */
  slotsOf(at: number): readonly number[] {
    const commit = this.commits[at];
    return commit === undefined ? [] : slotsOf(commit);
  }

  get commits(): readonly VerifiedCommit[] {
    return this.#held.commits.map(({ verified }) => verified);
  }

  get commitBytes(): readonly Uint8Array[] {
    return this.#held.commits.map(({ bytes }) => bytes);
  }

  get itemCount(): number {
    return this.#held.items.size;
  }

  forgetItem(id: ChunkId): void {
    this.#held.items.delete(hex(id));
  }

  /** The authority heals a rollback: opens the next log epoch, naming these heads as lost. */
  async reopen(lost: readonly TreeHead[]): Promise<void> {
    const { vaultId } = this.vault.descriptor;
    const base = await this.head();
    const body = {
      version: 1,
      vaultId,
      logEpoch: base.logEpoch + 1,
      base,
      lost,
      approvedAtMs: FIXTURE_TIME_MS,
    } as const;
    const opening = issueEpochOpening(this.vault.authority, body);
    const leaf = eventLeaf(
      encodeEventBody({ type: 'epochOpened', timeMs: FIXTURE_TIME_MS, opening }),
      FIXTURE_TIME_MS,
    );
    this.#held.openings.push({ opening, leaf, index: this.#held.leaves.length });
    this.#held.leaves.push(leaf);
    this.#held.epoch += 1;
  }

  async head(): Promise<TreeHead> {
    const log = await this.log();
    return { logEpoch: this.#held.epoch, size: log.size, root: log.root };
  }

  /** Resolves when the condition holds, looked at after every frame and connection. */
  until(when: () => boolean): Promise<void> {
    if (when()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ when, resolve }));
  }

  #check(): void {
    for (const waiting of [...this.#waiting]) {
      if (!waiting.when()) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve();
    }
  }

  async log(): Promise<MerkleLog> {
    const log = await MerkleLog.open(new MemoryHashStore());
    await log.append(this.#held.leaves.map(leafHash));
    return log;
  }

  #signedHead(head: TreeHead): Signed {
    const { vaultId } = this.vault.descriptor;
    return signHead(this.key, {
      version: 1,
      vaultId,
      collectorId: collectorIdOf(this.key.publicKey),
      timeMs: FIXTURE_TIME_MS,
      head,
    });
  }

  #serve(socket: WebSocket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    const { authorityKey } = this.vault.descriptor;
    const handshake = new ServerHandshake({
      signKey: this.key,
      vault: () => ({ authorityKey, certificate: this.certificate }),
      random: seededRandom(`collector ${this.connections}`),
    });
    let keys: { readonly sealer: FrameSealer; readonly opener: FrameOpener } | undefined;
    let joined: JoinedConnection | undefined;
    let sent = 0;
    let turn: Promise<void> = Promise.resolve();
    const out = (message: Uint8Array): void => {
      const bent = this.bendWire(message, sent);
      sent += 1;
      if (bent !== undefined) socket.send(bent);
    };
    const reply: Reply = (frame, body) => {
      const bent = this.bend(frame);
      if (keys !== undefined) out(keys.sealer.seal(encodeFrame(encodeServerFrame(bent), body)));
    };
    const handle = async (data: Buffer): Promise<void> => {
      if (keys === undefined) {
        const established = handshake.onClientHello(new Uint8Array(data));
        keys = {
          sealer: new FrameSealer(established.keys, 'server'),
          opener: new FrameOpener(established.keys, 'server'),
        };
        out(established.hello);
        return;
      }
      const { header, body } = splitFrame(keys.opener.open(data));
      const frame = decodeClientFrame(header);
      this.frames.push(frame);
      if (this.hangUpOn(frame)) {
        socket.terminate();
        return;
      }
      if (frame.type === 'auth') {
        const agent = handshake.verifyAuth(frame);
        if (this.refuse !== undefined) {
          reply(this.refuse);
          return;
        }
        joined = {
          agent,
          chainId: hex(frame.chainId),
          proved: await this.ready(frame, reply),
          reply,
        };
        this.#sessions.add(reply);
      } else if (joined !== undefined) {
        joined = { ...joined, proved: await this.answer(frame, body.slice(), joined) };
      }
    };
    socket.on('message', (data: Buffer) => {
      turn = turn.then(() => handle(data)).catch(() => socket.terminate());
      turn.then(() => this.#check());
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#sessions.delete(reply);
      this.#check();
    });
    socket.on('error', () => undefined);
  }

  /** Answers an `auth`, or the question of a carried queue; gives the head that it told. */
  async ready(auth: Extract<ClientFrame, { type: 'auth' }>, reply: Reply): Promise<TreeHead> {
    const log = await this.log();
    const head = await this.head();
    const seen = auth.treeHead;
    const openings = this.#held.openings.slice(seen?.logEpoch ?? 0);
    const base = openings[0]?.index;
    const ahead =
      seen !== undefined &&
      base === undefined &&
      (seen.logEpoch > head.logEpoch || seen.size > head.size);
    const from =
      seen === undefined
        ? 0
        : base !== undefined && seen.size > base
          ? base
          : Math.min(seen.size, head.size);
    reply({
      type: 'ready',
      sessionId: new Uint8Array(16),
      creditBytes: this.creditBytes,
      timeMs: FIXTURE_TIME_MS,
      head: this.#signedHead(head),
      consistency: ahead || from === 0 ? [] : await log.consistencyProof(from, head.size),
      openings: await Promise.all(
        openings.map(async ({ opening, leaf, index }) => ({
          opening,
          leaf,
          inclusion: await log.inclusionProof(index, head.size),
        })),
      ),
      chainHead: chainHeadOf(this.#held, auth.chainId),
      gcEpoch: this.gcEpoch,
      rolledBack: ahead && this.admitsRollback,
      software: 'aliquot 0.1.0',
    });
    const isApart = this.#held.apart.some((line) =>
      line.some(({ verified }) => hex(verified.header.chainId) === hex(auth.chainId)),
    );
    if (isApart)
      reply({
        type: 'notice',
        code: 'chain-held',
        message: 'two histories under one identity; central IT decides',
      });
    return head;
  }

  /** Answers any other frame; gives the head that the answer proves. */
  async answer(frame: ClientFrame, body: Uint8Array, session: JoinedConnection): Promise<TreeHead> {
    const { proved, reply } = session;
    switch (frame.type) {
      case 'have':
        reply({
          type: 'haveAnswer',
          requestId: frame.requestId,
          missing: frame.ids.flatMap((id, index) => (this.#held.items.has(hex(id)) ? [] : [index])),
        });
        return proved;
      case 'chunks':
        for (const { id, kind, bytes } of splitItems(frame.items, body)) {
          if (!isProved({ id, kind, sealed: bytes })) throw new Error('an item that is not its id');
          this.#held.items.set(hex(id), { kind, bytes: bytes.slice() });
        }
        reply({ type: 'credit', bytes: body.length });
        return proved;
      case 'gcLearned':
        this.learned.push({ chainId: session.chainId, gcEpoch: frame.gcEpoch });
        return proved;
      case 'releaseFetch': {
        const file = this.releases.get(frame.name);
        const bytes =
          file?.subarray(frame.offset, frame.offset + MAX_RELEASE_DATA_BYTES) ?? new Uint8Array(0);
        reply({ type: 'releaseData', requestId: frame.requestId, size: file?.length ?? 0 }, bytes);
        return proved;
      }
      case 'diagnosis':
        this.diagnoses.push({ frame, body: body.slice() });
        return proved;
      case 'settingsAnswer':
        this.settingsAnswers.push(frame);
        return proved;
      case 'heartbeat':
        this.heartbeats.push(decodeHeartbeatBody(decodeSigned(body).body));
        reply({ type: 'heartbeatAck', requestId: frame.requestId });
        return proved;
      case 'commit':
        return this.#commit(frame.requestId, body, session);
      case 'state':
        for (const { bytes, verified } of linesOf(this.#held).flat()) {
          const live = slotsOf(verified);
          reply(
            { type: 'commitData', requestId: frame.requestId, live, receivedAtMs: FIXTURE_TIME_MS },
            bytes,
          );
        }
        reply({ type: 'stateEnd', requestId: frame.requestId });
        return proved;
      case 'fetch': {
        const found = frame.ids.flatMap((id) => {
          const item = this.#held.items.get(hex(id));
          return item === undefined ? [] : [{ id, ...item }];
        });
        const missing = frame.ids.filter((id) => !this.#held.items.has(hex(id)));
        const items = found.map(({ id, kind, bytes }) => ({ id, kind, size: bytes.length }));
        reply(
          { type: 'chunkData', requestId: frame.requestId, items, last: true, missing },
          Buffer.concat(found.map(({ bytes }) => bytes)),
        );
        return proved;
      }
      case 'auth':
        throw new Error('auth twice');
    }
  }

  async #commit(
    requestId: number,
    bytes: Uint8Array,
    { agent, proved, reply }: JoinedConnection,
  ): Promise<TreeHead> {
    const { vaultId } = this.vault.descriptor;
    const verified = this.bendTaken(verifyCommit(bytes, { vaultId, agent }));
    let stored = commitOf(this.#held, verified.hash);
    if (stored === undefined) {
      const line = lineFor(this.#held, verified);
      if (line === undefined) {
        reply({
          type: 'refused',
          requestId,
          code: 'bad-predecessor',
          message: 'nobody knows what this goes on from',
        });
        return proved;
      }
      const ids = [...rowsIn(verified.rows)].flatMap(({ entry }) =>
        entry.content.refs.map(({ id }) => id),
      );
      // The files of a slab name it each.
      const named = new Map(ids.map((id) => [hex(id), id]));
      const missing = [...named.values()].filter((id) => !this.#held.items.has(hex(id)));
      if (missing.length > 0) {
        reply({ type: 'commitMissing', requestId, ids: missing });
        return proved;
      }
      const { header, loss: lost } = verified;
      const leafOfIt = commitLeaf(header.agentId, verified.hash, FIXTURE_TIME_MS, lost?.hash);
      this.#held.leaves.push(leafOfIt);
      stored = { hash: verified.hash, bytes, verified, receipt: await this.#receipt(verified) };
      if (line.length === 0 && line !== this.#held.commits) this.#held.apart.push(line);
      line.push(stored);
    }
    const log = await this.log();
    const head = await this.head();
    const { loss } = stored.verified;
    const { agentId } = verified.header;
    const leaf = hex(commitLeaf(agentId, stored.hash, FIXTURE_TIME_MS, loss?.hash));
    const index = this.#held.leaves.findIndex((candidate) => hex(candidate) === leaf);
    reply({
      type: 'receipt',
      requestId,
      receipt: stored.receipt,
      inclusion: await log.inclusionProof(index, head.size),
      consistency: proved.size === 0 ? [] : await log.consistencyProof(proved.size, head.size),
      head: this.#signedHead(head),
      lacking: loss?.lacking ?? [],
    });
    return head;
  }

  async #receipt({ header, hash, loss }: VerifiedCommit): Promise<Signed> {
    const head = await this.head();
    const { vaultId, agentId, chainId, sequence } = header;
    const body: ReceiptBody = {
      ...{ version: 1, vaultId, agentId, chainId, sequence },
      collectorId: collectorIdOf(this.key.publicKey),
      commitHash: hash,
      receivedAtMs: FIXTURE_TIME_MS,
      leafIndex: head.size - 1,
      head,
      copies: 1,
      lossHash: loss?.hash,
    };
    return signReceipt(this.key, body);
  }
}

function slotsOf({ rows }: VerifiedCommit): number[] {
  return [...rowsIn(rows)].map(({ slot }) => slot);
}
