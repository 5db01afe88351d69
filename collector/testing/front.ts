import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asAgentId, asLineageId, type KitContents, type ServerFrame } from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { newSigningKey, signingKeyFromSeed } from '@aliquot/shared/crypto/sign';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type OpenBundle, openBundle, sealBundle } from '@aliquot/shared/keys/bundle';
import {
  issueCollectorCertificate,
  issueEnrolment,
  verifyDescriptor,
} from '@aliquot/shared/keys/certificates';
import { pathKeyFor } from '@aliquot/shared/keys/derive';
import { createKit } from '@aliquot/shared/keys/kit';
import type { Timers } from '@aliquot/shared/ports';
import { systemRandom } from '@aliquot/shared/ports';
import { type Logger, pino } from 'pino';
import { Health, strangersTo } from '../src/health/health.ts';
import { Connection } from '../src/ingest/connection.ts';
import type { IngestParts } from '../src/ingest/connection-parts.ts';
import { SessionHub } from '../src/ingest/hub.ts';
import { initCollector, openCollector } from '../src/store/collector.ts';
import type { CollectorStore } from '../src/store/collector-store.ts';
import type { VaultStore } from '../src/store/vault-store.ts';
import { SessionTestAgent } from './agent.ts';
import { type Wire, type WirePair, wirePair } from './wire.ts';

const START_MS = Date.UTC(2026, 10, 21, 12);

/** Timers that a test moves by hand. */
export class HandTimers implements Timers {
  #pending = new Map<number, { readonly milliseconds: number; readonly action: () => void }>();
  #next = 0;

  after(milliseconds: number, action: () => void): () => void {
    const id = this.#next++;
    this.#pending.set(id, { milliseconds, action });
    return () => void this.#pending.delete(id);
  }

  /** Lets every wait that is pending now be over, or those that are not longer. */
  elapse(longestMs = Infinity): void {
    const due = [...this.#pending].filter(([, { milliseconds }]) => milliseconds <= longestMs);
    for (const [id] of due) this.#pending.delete(id);
    for (const [, { action }] of due) action();
  }
}

/**
 * A collector's front over a real store in a temporary folder, with a vault whose kit is at hand.
 * No sockets.
 */
export class Front {
  readonly dir: string;
  readonly kit: KitContents;
  readonly hub: SessionHub;
  readonly timers = new HandTimers();
  readonly logged: string[] = [];
  readonly log: Logger;
  nowMs = START_MS;
  /** What the collector's health looks at; its store works on the real ones. */
  files: FilePort = { ...nodeDisk, freeBytes: async () => 2 ** 40 };
  store: CollectorStore;

  private constructor(dir: string, store: CollectorStore, kit: KitContents) {
    this.dir = dir;
    this.store = store;
    this.kit = kit;
    this.log = pino({ level: 'debug' }, { write: (line) => void this.logged.push(line) });
    this.hub = new SessionHub(this.clock);
  }

  static async open(options: { blind?: boolean } = {}): Promise<Front> {
    const dir = await mkdtemp(join(tmpdir(), 'aliquot-front-'));
    const kit = createKit(
      { name: 'lab', blind: options.blind === true, nowMs: START_MS },
      systemRandom,
    );
    let front: Front | undefined;
    const clock = { nowMs: () => front?.nowMs ?? START_MS };
    const store = await initCollector(
      join(dir, 'data'),
      { name: 'test' },
      { files: nodeDisk, clock, random: systemRandom },
    );
    front = new Front(dir, store, kit);
    await front.addVault();
    return front;
  }

  /** Of the collector itself; no TLS. */
  get health(): Health {
    return new Health({
      files: this.files,
      store: this.store,
      clock: this.clock,
      certificate: undefined,
      strangers: () => strangersTo(this.store, this.hub),
    });
  }

  get clock() {
    return { nowMs: () => this.nowMs };
  }

  get vault(): VaultStore {
    const vault = this.store.vault(verifyDescriptor(this.kit.descriptor).vaultId);
    if (vault === undefined) throw new Error('no vault');
    return vault;
  }

  get authority() {
    return signingKeyFromSeed(this.kit.authoritySeed);
  }

  get catalogKey() {
    return boxKeyFromSecret(this.kit.catalogSecretKey);
  }

  /** What a bundle for a new agent holds, registered as expected. */
  async bundle(
    name: string,
    options: {
      selfRestore?: boolean;
      expiresAtMs?: number;
      replaces?: SessionTestAgent;
      register?: boolean;
    } = {},
  ): Promise<OpenBundle> {
    const agentId = asAgentId(systemRandom.bytes(16));
    const old = options.replaces?.bundle.enrolment;
    const lineageId = old?.lineageId ?? asLineageId(agentId);
    const enrolmentKey = newSigningKey(systemRandom);
    const enrolment = issueEnrolment(this.authority, {
      version: 1,
      vaultId: this.vault.descriptor.vaultId,
      agentId,
      lineageId,
      replaces: old?.agentId,
      name,
      enrolmentKey: enrolmentKey.publicKey,
      selfRestore: options.selfRestore ?? true,
      dedupEpoch: 1,
      issuedAtMs: this.nowMs,
      expiresAtMs: options.expiresAtMs ?? this.nowMs + 24 * 3600 * 1000,
    });
    if (options.register !== false)
      await this.vault.events.append({ type: 'agentExpected', timeMs: this.nowMs, enrolment });
    const text = sealBundle({
      version: 1,
      url: 'http://127.0.0.1:1',
      tlsCa: '',
      tlsPins: [],
      descriptor: this.kit.descriptor,
      collectorCertificate: this.vault.signedCertificate,
      enrolment,
      enrolmentSeed: enrolmentKey.seed,
      dedupSecrets: this.kit.dedupSecrets,
      pathKey: pathKeyFor(this.kit.pathSecret, { lineageId }),
      addresses: undefined,
      settings: undefined,
    });
    return openBundle(text);
  }

  /** An agent that is enrolled, straight in the store. */
  async agent(
    name: string,
    options: { selfRestore?: boolean; replaces?: SessionTestAgent } = {},
  ): Promise<SessionTestAgent> {
    const agent = new SessionTestAgent(await this.bundle(name, options));
    await this.vault.events.append({
      type: 'agentEnrolled',
      timeMs: this.nowMs,
      enrolment: agent.bundle.signedEnrolment,
      binding: agent.binding,
    });
    return agent;
  }

  /** A connection to the front; its session runs until either side ends it. */
  connect(): {
    wire: Wire;
    pair: WirePair;
    done: Promise<void>;
    proved: () => boolean;
    busy: () => boolean;
  } {
    let connection: Connection | undefined;
    const pair = wirePair(
      (message) => connection?.receive(message),
      () => connection?.gone(),
    );
    const parts: IngestParts = {
      store: this.store,
      hub: this.hub,
      clock: this.clock,
      random: systemRandom,
      timers: this.timers,
      log: this.log,
    };
    const made = new Connection(parts, pair.channel);
    connection = made;
    let proved = false;
    const done = made.run(() => {
      proved = true;
    });
    return { wire: pair.wire, pair, done, proved: () => proved, busy: () => made.busy };
  }

  /** Closes the store, lets something happen to its folder, and opens what is there then. */
  async restart(meanwhile: () => Promise<unknown> = async () => undefined): Promise<void> {
    this.hub.endAll('restart');
    await this.store.close();
    await meanwhile();
    this.store = await openCollector(join(this.dir, 'data'), {
      files: nodeDisk,
      clock: this.clock,
      random: systemRandom,
    });
  }

  async close(): Promise<void> {
    this.hub.endAll('test over');
    await this.store.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  private async addVault(): Promise<void> {
    const descriptor = verifyDescriptor(this.kit.descriptor);
    const certificate = issueCollectorCertificate(this.authority, {
      version: 1,
      vaultId: descriptor.vaultId,
      collectorId: this.store.collectorId,
      signKey: this.store.identity.publicKey,
      generation: 1,
      issuedAtMs: this.nowMs,
    });
    const catalogSecretKey = descriptor.blind ? undefined : this.kit.catalogSecretKey;
    await this.store.addVault({ descriptor: this.kit.descriptor, certificate, catalogSecretKey });
  }
}

/** The refusal that ends a session, and the close code. */
export async function ending(
  agent: SessionTestAgent,
  connection: ReturnType<Front['connect']>,
): Promise<{ refused: ServerFrame; code: number }> {
  const { frame } = await agent.next();
  return { refused: frame, code: (await connection.wire.closed).code };
}
