import type { ChainId } from '@aliquot/proto';
import type { Output } from '@aliquot/shared/cli/output';
import { FolderError } from '@aliquot/shared/durable/errors';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import type { AnyBundle } from '@aliquot/shared/keys/bundle';
import type { Agent } from '../folder/agent.ts';
import { addressesOf } from '../identity/addresses.ts';
import { replacesAgent } from '../identity/enrol.ts';
import { IdentityError } from '../identity/errors.ts';
import { loadIdentity } from '../identity/identity-file.ts';
import { UplinkError } from '../uplink/errors.ts';
import { sendAll } from '../uplink/reach.ts';
import { openRealAgent, untilInterrupted } from './open.ts';

/**
 * Prepares the folder of an enrolled agent for the successor that a bundle is for: what the old one
 * has signed only the old one can send, so it goes now, at the bundle's addresses too. Everything
 * else in the queue goes on under the new one. The answer is the queue's chain, or undefined where
 * there is nothing to take over. Errors: `ENROL_QUEUE_HELD` with the way out, `ENROL_UNREACHABLE`,
 * those of opening the folder.
 */
export async function handOver(
  dataDir: string,
  bundle: AnyBundle,
  output: Output,
): Promise<ChainId | undefined> {
  const identity = await loadIdentity(nodeFiles, dataDir).catch((error: unknown) => {
    if (error instanceof IdentityError && error.code === 'IDENTITY_MISSING') return undefined;
    if (error instanceof FolderError) return undefined;
    throw error;
  });
  if (identity === undefined || !replacesAgent(bundle, identity)) return undefined;
  const agent = await openRealAgent(dataDir, undefined, { also: addressesOf(bundle) });
  try {
    const { queue } = agent;
    const waiting = () => (queue.chain.head()?.sequence ?? 0) - queue.outbox.receiptedSequence();
    if (waiting() > 0)
      await sendSigned(agent, identity.certificate.enrolment.name, waiting, output);
    return queue.chain.present().chainId;
  } finally {
    await agent.close();
  }
}

/** Sends until nothing signed waits for its receipt. */
async function sendSigned(
  { uplink, dataDir }: Agent,
  name: string,
  waiting: () => number,
  output: Output,
): Promise<void> {
  output.note(`sending what ${name} had signed and has no receipt for yet`);
  const gaveUp = await sendAll(uplink, untilInterrupted()).catch((cause: unknown) => {
    if (!(cause instanceof UplinkError) || cause.code !== 'UPLINK_REVOKED') throw cause;
    return cause;
  });
  if (waiting() === 0) return;
  const says = `${waiting()} signed ${waiting() === 1 ? 'commit' : 'commits'} of ${name} had to go first, and did not`;
  if (gaveUp !== undefined && gaveUp.code !== 'UPLINK_REVOKED')
    throw new IdentityError('ENROL_UNREACHABLE', `${says}: ${gaveUp.message}`, { cause: gaveUp });
  const way = [
    `aliquot-agent queue export FILE --data ${dataDir}`,
    'where the collector is reached: aliquot queue import FILE --out RECEIPTS --accept-ended',
    `here: aliquot-agent queue import RECEIPTS --data ${dataDir}`,
  ];
  throw new IdentityError(
    'ENROL_QUEUE_HELD',
    `${says}: the collector refuses ${name} now. Carry them: ${way.join('; ')}; then enrol again`,
    {
      cause: gaveUp,
    },
  );
}
