/**
 * An enrolled agent with queue and uplink in a temporary folder. Nothing outside tests imports this
 * file.
 */

import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { verifyAgent, verifyCollectorCertificate } from '@aliquot/shared/keys/certificates';
import type { Timers } from '@aliquot/shared/ports';
import { FIXTURE_TIME_MS, fixtureAgent, seededRandom } from '@aliquot/shared/testing/keys/fixtures';
import type { AgentIdentity } from '../../src/identity/identity.ts';
import { openQueue } from '../../src/queue/open.ts';
import type { Queue, QueueOptions } from '../../src/queue/queue.ts';
import { TrustStore } from '../../src/uplink/trust.ts';
import type { UplinkState, UplinkStatus } from '../../src/uplink/uplink.ts';
import type { UplinkOptions } from '../../src/uplink/uplink-options.ts';
import { WebSocketUplink } from '../../src/uplink/ws-uplink.ts';
import { cacheSecret, keys, queueOptions, temporaryFolder, vault } from '../queue/support.ts';

export { vault };

export function testIdentity(url: string, selfRestore = true): AgentIdentity {
  const agent = fixtureAgent(vault, 'lcms-1', { selfRestore });
  const { descriptor } = vault;
  return {
    server: { url, tlsCa: '', tlsPins: [] },
    descriptor,
    certificate: verifyAgent(
      descriptor.authorityKey,
      descriptor.vaultId,
      agent.enrolment,
      agent.binding,
    ),
    enrolment: agent.enrolment,
    binding: agent.binding,
    collector: verifyCollectorCertificate(
      descriptor.authorityKey,
      descriptor.vaultId,
      vault.collectorCertificate,
    ),
    signKey: agent.signKey,
    boxKey: agent.boxKey,
    chainId: agent.chainId,
    takesOver: undefined,
    keys,
    pathKey: new Uint8Array(32).fill(7),
    cacheSecret,
  };
}

interface Waiting {
  readonly milliseconds: number;
  readonly action: () => void;
}

/** Timers that fire when the test says so. */
export class ManualTimers implements Timers {
  readonly waiting: Waiting[] = [];
  readonly #watchers = new Set<() => void>();

  after(milliseconds: number, action: () => void): () => void {
    const timer = { milliseconds, action };
    this.waiting.push(timer);
    for (const watch of [...this.#watchers]) watch();
    return () => {
      const at = this.waiting.indexOf(timer);
      if (at >= 0) this.waiting.splice(at, 1);
    };
  }

  /** Resolves with the first timer that waits for at least so long, now or later. */
  longer(milliseconds: number): Promise<Waiting> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.waiting.find((timer) => timer.milliseconds >= milliseconds);
        if (found === undefined) return;
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Fires every timer that waits now. */
  fire(): void {
    for (const { action } of this.waiting.splice(0)) action();
  }
}

export interface UplinkTestAgent {
  readonly queue: Queue;
  readonly uplink: WebSocketUplink;
  readonly trust: TrustStore;
  readonly timers: ManualTimers;
  readonly dir: string;
  /** Resolves with the status once the uplink is in one of these states. */
  until(...states: UplinkState[]): Promise<UplinkStatus>;
  /** Stops all and opens it again over the same folder. */
  restart(changes?: Partial<UplinkOptions>): Promise<UplinkTestAgent>;
  close(): Promise<void>;
}

export async function startAgent(
  url: string,
  options: {
    readonly selfRestore?: boolean;
    readonly dir?: string;
    readonly uplink?: Partial<UplinkOptions>;
    readonly queue?: Partial<QueueOptions>;
    readonly start?: boolean;
  } = {},
): Promise<UplinkTestAgent> {
  const made = options.dir === undefined ? temporaryFolder() : undefined;
  const dir = options.dir ?? made?.dir ?? '';
  const identity = testIdentity(url, options.selfRestore);
  const queue = await openQueue(queueOptions(dir, { chainId: identity.chainId, ...options.queue }));
  const trust = await TrustStore.open(nodeFiles, dir, identity);
  const timers = new ManualTimers();
  const clock = { nowMs: () => FIXTURE_TIME_MS };
  const random = seededRandom(`uplink ${dir}`);
  const uplink = new WebSocketUplink({
    identity,
    queue,
    trust,
    clock,
    random,
    timers,
    software: 'test 1',
    ...options.uplink,
  });
  if (options.start !== false) uplink.start();
  const halt = async (): Promise<void> => {
    await uplink.stop();
    await queue.close();
  };
  return {
    queue,
    uplink,
    trust,
    timers,
    dir,
    until: (...states) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!states.includes(uplink.status().state)) return;
          stop();
          resolve(uplink.status());
        };
        const stop = uplink.subscribe(look);
        look();
      }),
    restart: async (changes) => {
      await halt();
      return startAgent(url, { ...options, dir, uplink: { ...options.uplink, ...changes } });
    },
    close: async () => {
      await halt();
      made?.remove();
    },
  };
}
