import {
  decodeEventBody,
  type EventBody,
  type TreeHead,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { verifyPolicy } from '@aliquot/shared/keys/policy';
import { leafHash } from '@aliquot/shared/log/hashing';
import { eventLeaf } from '@aliquot/shared/log/leaf';
import { verifyInclusion } from '@aliquot/shared/log/proofs';
import { fromBase64 } from '../../api/base64.ts';
import type { ProvedEvents } from '../../api/log-part.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { evidence } from '../evidence.ts';
import { leftOut } from './left-out.ts';

/** A logged event of an answer. @throws CommandError where the log does not have it. */
export function provedEvent(
  { event, leafIndex, inclusion }: ProvedEvents['events'][number],
  { size, root }: TreeHead,
): EventBody {
  const bytes = fromBase64(event);
  return evidence(() => {
    const body = decodeEventBody(bytes);
    const leaf = leafHash(eventLeaf(bytes, body.timeMs));
    verifyInclusion(leaf, leafIndex, size, inclusion.map(fromBase64), root);
    return body;
  });
}

/**
 * That the log has a policy with rules: nothing is dropped without. What these let go of cannot be
 * held against it here. @throws CommandError
 */
export async function requirePolicy(
  vault: { readonly log: Pick<VaultClient['log'], 'policies'> },
  authority: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>,
  head: TreeHead,
): Promise<void> {
  for (const one of await vault.log.policies(head.size)) {
    const event = provedEvent(one, head);
    if (event.type !== 'policySet') continue;
    const { rules } = evidence(() => verifyPolicy(authority, event, event.timeMs));
    if (rules !== undefined) return;
  }
  throw leftOut(
    'versions that it says retention has dropped, though its log has no policy that lets any go',
  );
}
