import type { ChainId } from '@aliquot/proto';
import type { Output } from '@aliquot/shared/cli/output';
import { FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import type { OpenBundle } from '@aliquot/shared/keys/bundle';
import { addressesOf } from '../identity/addresses.ts';
import { replacesAgent } from '../identity/enrol.ts';
import { IdentityError } from '../identity/errors.ts';
import { loadIdentity } from '../identity/identity-file.ts';
import { flush } from '../service/flush.ts';
import { UplinkError } from '../uplink/errors.ts';
import { openRealAgent, untilInterrupted } from './open.ts';
import { presenter } from './present.ts';

/**
 * Prepares the folder of an enrolled agent for the successor that a bundle is for: what the old one has signed only the old one can send, so it goes
 * now, at the bundle's addresses too. Everything else in the queue goes on under the new one. The answer is the queue's chain, or undefined
 * where there is nothing to take over. Errors: `ENROL_QUEUE_HELD` with the way out, those of opening the folder.
 */
export async function handOver(dataDir: string, bundle: OpenBundle, output: Output): Promise<ChainId | undefined> {
  const identity = await loadIdentity(nodeFiles, dataDir).catch((error: unknown) => {
    if (error instanceof IdentityError && error.code === 'IDENTITY_MISSING') return undefined;
    if (error instanceof FolderError) return undefined;
    throw error;
  });
  if (identity === undefined || !replacesAgent(bundle, identity)) return undefined;
  const agent = await openRealAgent(dataDir, undefined, { also: addressesOf(bundle) });
  try {
    const { queue } = agent;
    const waiting = () => (queue.chainHead()?.sequence ?? 0) - queue.receiptedSequence();
    if (waiting() > 0) {
      const { name } = identity.certificate.enrolment;
      output.note(`sending what ${name} had signed and has no receipt for yet`);
      await flush(agent, undefined, presenter(output).emit, untilInterrupted()).catch((cause: unknown) => {
        if (waiting() === 0) return;
        if (!(cause instanceof UplinkError) || cause.code !== 'UPLINK_REVOKED') throw cause;
        const way = `carry them first: aliquot-agent queue export FILE --data ${dataDir}, then where the collector is reached: aliquot queue import FILE --out RECEIPTS --accept-ended, then here: aliquot-agent queue import RECEIPTS --data ${dataDir}`;
        const says = `${waiting()} signed commits of ${name} have no receipt, and the collector refuses ${name} now`;
        throw new IdentityError('ENROL_QUEUE_HELD', `${says}; ${way}`, { cause });
      });
    }
    return queue.chain().chainId;
  } finally {
    await agent.close();
  }
}
