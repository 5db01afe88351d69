import { decodeSigned } from '@aliquot/proto';
import { verifyAgent, verifyCollectorCertificate } from '@aliquot/shared/keys/certificates';
import { systemClock, systemRandom } from '@aliquot/shared/ports';
import { fixtureAgent } from '@aliquot/shared/testing/keys/fixtures';
import type { TrustStore, VerifiedHead } from '../../agent/src/uplink/trust.ts';
import { WebSocketUplink } from '../../agent/src/uplink/ws-uplink.ts';
import { cacheSecret, keys, sample, vault } from '../../agent/testing/queue/support.ts';
import { MemoryQueue } from './memory-queue.ts';
import { agentName, type FleetNews, type FleetOrder } from './messages.ts';

/**
 * One process of simulated agents: the real uplink with its real backoff, lookout and timers, over
 * queues in memory. Each sends heartbeats and small commits now and then, and tells its parent
 * whenever it is connected, receipted or set back.
 */

const order = JSON.parse(process.argv[2] ?? '') as FleetOrder;
const { descriptor } = vault;
const collector = verifyCollectorCertificate(
  descriptor.authorityKey,
  descriptor.vaultId,
  decodeSigned(Buffer.from(order.certificate, 'base64')),
);

const tell = (news: FleetNews): void => void process.send?.(news);
/** Around a mean, so that agents do not move in step. */
const around = (milliseconds: number): number => milliseconds * (0.5 + Math.random());

/** What the uplink believes, kept in memory. */
function memoryTrust(): TrustStore {
  const trust = {
    lastCollector: collector,
    problem: undefined,
    verified: undefined as VerifiedHead | undefined,
    async remember(_collector: unknown, _certificate: unknown, verified: VerifiedHead | undefined) {
      trust.verified = verified;
    },
    async setProblem() {},
    addresses: {
      revision: 0,
      candidates: () => [{ url: order.url, tlsCa: '', tlsPins: [] }],
      likely: { url: order.url },
      learn: async () => false,
      worked: async () => {},
    },
  };
  return trust as unknown as TrustStore;
}

function simulate(number: number): void {
  const { enrolment, binding, signKey, boxKey, chainId } = fixtureAgent(vault, agentName(number));
  const queue = new MemoryQueue(chainId);
  const identity = {
    server: { url: order.url, tlsCa: '', tlsPins: [] },
    ...{ descriptor, enrolment, binding, collector, signKey, boxKey, chainId, keys, cacheSecret },
    certificate: verifyAgent(descriptor.authorityKey, descriptor.vaultId, enrolment, binding),
    pathKey: new Uint8Array(32).fill(7),
    takesOver: undefined,
  };
  const parts = {
    clock: systemClock,
    random: systemRandom,
    software: 'simulated',
  };
  const uplink = new WebSocketUplink({
    identity,
    queue,
    trust: memoryTrust(),
    ...parts,
  });
  let connected = false;
  uplink.subscribe((event) => {
    const atMs = Date.now();
    if (event.type === 'receipt')
      tell({ type: 'receipt', agent: number, atMs, versions: event.entries });
    if (event.type !== 'state') return;
    const { state, problem } = event.status;
    if (state === 'ready' && !connected) tell({ type: 'ready', agent: number, atMs, versions: 0 });
    if (state !== 'ready' && state !== 'connecting')
      tell({ type: 'setback', agent: number, atMs, why: why(problem) });
    connected = state === 'ready';
  });
  uplink.start();
  const beat = (): void => {
    uplink
      .heartbeat({ files: 1, bytes: 1, unprotected: 0, pending: 0, unsettled: 0, problems: [] })
      .catch(() => undefined);
    setTimeout(beat, around(order.heartbeatMs));
  };
  let written = 0;
  const write = (): void => {
    written += 1;
    queue.put(sample(`/data/${number}/${written}`, 1, 2_000));
    setTimeout(write, around(order.commitMs));
  };
  setTimeout(beat, around(order.heartbeatMs));
  setTimeout(write, around(order.commitMs));
}

function why(problem: { readonly code: string; readonly message: string } | undefined): string {
  const detail = /HTTP \d+|ECONN[A-Z]+|unsigned: [A-Z_]+/.exec(problem?.message ?? '')?.[0];
  return `${problem?.code ?? 'none'}${detail === undefined ? '' : ` ${detail}`}`;
}

// Started one after the other, as PCs are; what is measured is how they come back together.
let started = 0;
const startNext = (): void => {
  simulate(order.first + started);
  started += 1;
  if (started < order.count) setTimeout(startNext, 10);
};
startNext();
process.once('disconnect', () => process.exit(0));
