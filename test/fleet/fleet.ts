import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSigned } from '@aliquot/proto';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { issueCollectorCertificate } from '@aliquot/shared/keys/certificates';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { FIXTURE_TIME_MS, fixtureAgent } from '@aliquot/shared/testing/keys/fixtures';
import { vault } from '../../agent/testing/queue/support.ts';
import { initCollector } from '../../collector/src/store/collector.ts';
import { DemoService } from '../../demo/programs.ts';
import { freePort } from '../ports.ts';
import { agentName, type FleetNews, type FleetOrder } from './messages.ts';

export interface FleetOptions {
  readonly agents: number;
  readonly processes: number;
  readonly heartbeatMs: number;
  readonly commitMs: number;
}

/**
 * Many simulated agents, all of one address, and one built collector that can be killed and
 * started.
 */
export class Fleet {
  readonly #folder: string;
  readonly #port: number;
  readonly #listeners = new Set<(news: FleetNews) => void>();
  readonly #processes: ChildProcess[] = [];
  #server: DemoService | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
  }

  /** Makes the collector's folder with all agents enrolled, serves it, and starts the agents. */
  static async open(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(await mkdtemp(join(tmpdir(), 'aliquot-fleet-')), await freePort());
    const certificate = await fleet.#found(options.agents);
    await fleet.serve();
    const each = Math.ceil(options.agents / options.processes);
    for (let first = 0; first < options.agents; first += each) {
      const { heartbeatMs, commitMs } = options;
      const count = Math.min(each, options.agents - first);
      const order: FleetOrder = {
        url: `http://127.0.0.1:${fleet.#port}`,
        certificate,
        first,
        count,
        heartbeatMs,
        commitMs,
      };
      const child = fork(join(import.meta.dirname, 'worker.ts'), [JSON.stringify(order)], {
        execArgv: ['--conditions=aliquot-source'],
      });
      child.on('message', (news: FleetNews) => {
        for (const listener of [...fleet.#listeners]) listener(news);
      });
      fleet.#processes.push(child);
    }
    return fleet;
  }

  get #data(): string {
    return join(this.#folder, 'collector');
  }

  async #found(agents: number): Promise<string> {
    const store = await initCollector(
      this.#data,
      { name: 'fleet' },
      { files: nodeDisk, clock: systemClock, random: systemRandom },
    );
    const { descriptor, kit, authority } = vault;
    const certificate = issueCollectorCertificate(authority, {
      version: 1,
      vaultId: descriptor.vaultId,
      collectorId: store.collectorId,
      signKey: store.identity.publicKey,
      generation: 1,
      issuedAtMs: FIXTURE_TIME_MS,
    });
    await store.addVault({
      descriptor: kit.descriptor,
      certificate,
      catalogSecretKey: kit.catalogSecretKey,
    });
    const held = store.vault(descriptor.vaultId);
    await Promise.all(
      Array.from({ length: agents }, async (_, number) => {
        const { enrolment, binding } = fixtureAgent(vault, agentName(number));
        await held?.events.append({ type: 'agentExpected', timeMs: Date.now(), enrolment });
        await held?.events.append({
          type: 'agentEnrolled',
          timeMs: Date.now(),
          enrolment,
          binding,
        });
      }),
    );
    await store.close();
    return Buffer.from(encodeSigned(certificate)).toString('base64');
  }

  /** Starts the collector; resolves when it listens. */
  async serve(): Promise<void> {
    const environment = { ALIQUOT_LOG_LEVEL: 'error' };
    this.#server = new DemoService(
      'aliquot',
      ['serve', '--data', this.#data, '--listen', `127.0.0.1:${this.#port}`],
      environment,
    );
    await this.#server.event('listening');
  }

  async kill(): Promise<void> {
    await this.#server?.stop('SIGKILL');
  }

  /** Process of the collector that runs now. */
  get pid(): number {
    return this.#server?.child.pid ?? 0;
  }

  onNews(listener: (news: FleetNews) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once all these agents have been told as connected. */
  allReady(agents: number): Promise<void> {
    const ready = new Set<number>();
    return new Promise((resolve) => {
      const stop = this.onNews((news) => {
        if (news.type !== 'ready') return;
        ready.add(news.agent);
        if (ready.size < agents) return;
        stop();
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL');
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
