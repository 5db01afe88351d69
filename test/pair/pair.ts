import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { LineageId } from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { DiskPort } from '@aliquot/shared/derived/level-port';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import {
  issueCollectorCertificate,
  verifyAgent,
  verifyCollectorCertificate,
} from '@aliquot/shared/keys/certificates';
import { systemRandom } from '@aliquot/shared/ports';
import { FIXTURE_TIME_MS, fixtureAgent } from '@aliquot/shared/testing/keys/fixtures';
import { pino } from 'pino';
import type { AgentIdentity } from '../../agent/src/identity/identity.ts';
import { openQueue } from '../../agent/src/queue/open.ts';
import type { Queue } from '../../agent/src/queue/queue.ts';
import { TrustStore } from '../../agent/src/uplink/trust.ts';
import type { UplinkState, UplinkStatus } from '../../agent/src/uplink/uplink.ts';
import type { UplinkOptions } from '../../agent/src/uplink/uplink-options.ts';
import { WebSocketUplink } from '../../agent/src/uplink/ws-uplink.ts';
import {
  cacheSecret,
  collect,
  keys,
  put,
  queueOptions,
  type SampleFile,
  temporaryFolder,
  vault,
} from '../../agent/testing/queue/support.ts';
import { SessionHub } from '../../collector/src/ingest/hub.ts';
import { systemTimers } from '../../collector/src/ingest/timers.ts';
import { attachIngest, type Ingest } from '../../collector/src/ingest/upgrade.ts';
import { initCollector } from '../../collector/src/store/collector.ts';
import type { CollectorStore } from '../../collector/src/store/collector-store.ts';
import type { StoredVault } from '../../collector/src/store/stored-vault.ts';
import type { VaultIdentity } from '../../collector/src/store/vault/vault-parts.ts';
import type { VaultStore } from '../../collector/src/store/vault-store.ts';
import { readOne } from '../../collector/testing/store/read-one.ts';

const clock = { nowMs: () => FIXTURE_TIME_MS };

/** Something that had to hold and does not. */
export class Unmet extends Error {}

export function must(holds: boolean, says: string): void {
  if (!holds) throw new Unmet(says);
}

/**
 * The real agent's queue and uplink and the real collector's ingest and store in one process, with
 * real sockets between them.
 */
export class Pair {
  readonly url: string;
  readonly hub: SessionHub;
  readonly #store: CollectorStore;
  readonly #ingest: Ingest;
  readonly #server: Server;
  readonly #remove: () => void;
  readonly #agents: PairAgent[] = [];

  private constructor(parts: {
    url: string;
    hub: SessionHub;
    store: CollectorStore;
    ingest: Ingest;
    server: Server;
    remove: () => void;
  }) {
    this.url = parts.url;
    this.hub = parts.hub;
    this.#store = parts.store;
    this.#ingest = parts.ingest;
    this.#server = parts.server;
    this.#remove = parts.remove;
  }

  /** `over`: opens the vault on something else than the collector's folder. */
  static async open(over?: (vault: VaultIdentity) => Promise<StoredVault>): Promise<Pair> {
    const { dir, remove } = temporaryFolder();
    const made = await initCollector(
      join(dir, 'collector'),
      { name: 'pair' },
      { files: nodeDisk, clock, random: systemRandom },
    );
    const certificate = issueCollectorCertificate(vault.authority, {
      version: 1,
      vaultId: vault.descriptor.vaultId,
      collectorId: made.collectorId,
      signKey: made.identity.publicKey,
      generation: 1,
      issuedAtMs: FIXTURE_TIME_MS,
    });
    const held = await made.addVault({
      descriptor: vault.kit.descriptor,
      certificate,
      catalogSecretKey: vault.kit.catalogSecretKey,
    });
    const store = over === undefined ? made : withVault(made, await over({ ...held, ...made }));
    const hub = new SessionHub(clock);
    const server = createServer();
    const log = pino({ level: 'silent' });
    const ingest = attachIngest(server, {
      store,
      hub,
      clock,
      random: systemRandom,
      timers: systemTimers,
      log,
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return new Pair({ url: `http://127.0.0.1:${port}`, hub, store, ingest, server, remove });
  }

  get vault(): VaultStore {
    const held = this.#store.vault(vault.descriptor.vaultId);
    if (held === undefined) throw new Error('the collector has no vault');
    return held;
  }

  /** An enrolled agent; not started. */
  async agent(name: string, options: PairAgentOptions = {}): Promise<PairAgent> {
    const agent = await PairAgent.open(this.vault, name, { url: this.url, ...options });
    this.#agents.push(agent);
    return agent;
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) await agent.close();
    await this.#ingest.stop();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#store.close();
    this.#remove();
  }
}

/** A collector whose only vault lies elsewhere. */
function withVault(store: CollectorStore, held: StoredVault): CollectorStore {
  const { dir, name, collectorId, identity, adminTokenHash, releases } = store;
  return {
    ...{ dir, name, collectorId, identity, adminTokenHash, releases },
    vault: (id) => (equalBytes(id, held.descriptor.vaultId) ? held : undefined),
    vaults: () => [held],
    ailing: () => [],
    addVault: async () => held,
    close: async () => {
      await held.close();
      await store.close();
    },
  };
}

/** What is not as it usually is. */
export interface PairAgentOptions extends Partial<Pick<UplinkOptions, 'timers' | 'courtesy'>> {
  /** Where it looks for the collector. */
  readonly url?: string;
  readonly selfRestore?: boolean;
  /** What its queue writes through. */
  readonly port?: DiskPort;
}

/** One agent of a pair. */
export class PairAgent {
  readonly queue: Queue;
  readonly uplink: WebSocketUplink;
  readonly identity: AgentIdentity;
  readonly #held: VaultStore;
  readonly #remove: () => void;
  #stop: () => void = () => undefined;
  /** Failed sessions since it was opened. */
  setbacks = 0;

  private constructor(parts: {
    readonly queue: Queue;
    readonly uplink: WebSocketUplink;
    readonly identity: AgentIdentity;
    readonly held: VaultStore;
    readonly remove: () => void;
  }) {
    this.queue = parts.queue;
    this.uplink = parts.uplink;
    this.identity = parts.identity;
    this.#held = parts.held;
    this.#remove = parts.remove;
  }

  static async open(
    held: VaultStore,
    name: string,
    { url = '', selfRestore = true, port = nodeDisk, ...uplinkOptions }: PairAgentOptions,
  ): Promise<PairAgent> {
    const { dir, remove } = temporaryFolder();
    const made = fixtureAgent(vault, name, { selfRestore });
    const { enrolment, binding } = made;
    await held.events.append({ type: 'agentExpected', timeMs: FIXTURE_TIME_MS, enrolment });
    await held.events.append({
      type: 'agentEnrolled',
      timeMs: FIXTURE_TIME_MS,
      enrolment,
      binding,
    });
    const { descriptor } = vault;
    const identity: AgentIdentity = {
      server: { url, tlsCa: '', tlsPins: [] },
      descriptor,
      certificate: verifyAgent(descriptor.authorityKey, descriptor.vaultId, enrolment, binding),
      enrolment,
      binding,
      collector: verifyCollectorCertificate(
        descriptor.authorityKey,
        descriptor.vaultId,
        held.signedCertificate,
      ),
      signKey: made.signKey,
      boxKey: made.boxKey,
      chainId: made.chainId,
      takesOver: undefined,
      keys,
      pathKey: new Uint8Array(32).fill(7),
      cacheSecret,
    };
    const queue = await openQueue(queueOptions(dir, { chainId: made.chainId, port }));
    const trust = await TrustStore.open(nodeDisk, dir, identity);
    const uplink = new WebSocketUplink({
      identity,
      queue,
      trust,
      clock,
      random: systemRandom,
      software: 'pair',
      ...uplinkOptions,
    });
    return new PairAgent({ queue, uplink, identity, held, remove });
  }

  /** Captures files, durably. */
  async capture(...files: readonly SampleFile[]): Promise<void> {
    for (const file of files) await put(this.queue, file);
    await this.queue.sync();
  }

  /** Starts the uplink; it tries again at once whenever a session fails. */
  start(): void {
    this.#stop = this.uplink.subscribe((event) => {
      if (event.type !== 'state' || event.status.state !== 'offline') return;
      this.setbacks += 1;
      // After the uplink has begun to wait.
      setImmediate(() => this.uplink.nudge());
    });
    this.uplink.start();
  }

  async stop(): Promise<void> {
    this.#stop();
    await this.uplink.stop();
  }

  /** Commits of this agent's chain that the collector has. */
  async commits(): Promise<number> {
    const { agentId } = this.identity.certificate.enrolment;
    return (await this.#held.intake.chainHead(agentId, this.identity.chainId))?.sequence ?? 0;
  }

  /** How many of these items the collector has from this agent. */
  async itemsAt({ items }: SampleFile): Promise<number> {
    const { lineageId } = this.identity.certificate.enrolment;
    const has = await this.#held.intake.has(
      lineageId,
      items.map(({ id }) => id),
    );
    return has.filter(Boolean).length;
  }

  until(...states: readonly UplinkState[]): Promise<UplinkStatus> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!states.includes(this.uplink.status().state)) return;
        stop();
        resolve(this.uplink.status());
      };
      const stop = this.uplink.subscribe(look);
      look();
    });
  }

  /**
   * Throws `Unmet` unless each of these versions is at the collector exactly once, whole, and
   * receipted on both sides.
   */
  async mustHold(files: readonly SampleFile[]): Promise<void> {
    const { agentId, lineageId } = this.identity.certificate.enrolment;
    must(
      this.queue.intake.pending().entries === 0,
      `${this.queue.intake.pending().entries} versions are still queued`,
    );
    const ours = this.queue.chain.head();
    const theirs = await this.#held.intake.chainHead(agentId, this.identity.chainId);
    const same =
      ours !== undefined &&
      theirs !== undefined &&
      ours.sequence === theirs.sequence &&
      equalBytes(ours.hash, theirs.hash);
    must(
      same,
      `the agent's chain ends at ${ours?.sequence}, the collector's at ${theirs?.sequence}`,
    );
    must(
      this.queue.outbox.receiptedSequence() === ours?.sequence,
      `receipts end at ${this.queue.outbox.receiptedSequence()}`,
    );
    for (const file of files) await this.#mustHold(file, lineageId);
  }

  async #mustHold(file: SampleFile, lineageId: LineageId): Promise<void> {
    const name = Buffer.from(file.path).toString();
    const known = await this.queue.ledger.known(file.path);
    must(known?.state === 'safe', `${name} is ${known?.state ?? 'not known'} on the agent`);
    const wanted = file.draft.content.refs.map(({ id }) => hex(id)).join();
    let times = 0;
    for (const { commit } of await collect(
      this.#held.reading.versions(lineageId, file.draft.fileId),
    )) {
      const { rows } = verifyCommit(commit, {
        vaultId: this.identity.descriptor.vaultId,
        agent: this.identity.certificate,
      });
      times += [...rowsIn(rows)].filter(
        ({ entry }) =>
          equalBytes(entry.fileId, file.draft.fileId) &&
          entry.content.refs.map(({ id }) => hex(id)).join() === wanted,
      ).length;
    }
    must(times === 1, `${name} is at the collector ${times} times`);
    for (const { id, sealed } of file.items) {
      const item = await readOne(this.#held, id);
      must(
        item.type === 'item' && equalBytes(item.bytes, sealed),
        `an item of ${name} is not what was sent`,
      );
    }
  }

  async close(): Promise<void> {
    await this.stop();
    await this.queue.close();
    this.#remove();
  }
}
