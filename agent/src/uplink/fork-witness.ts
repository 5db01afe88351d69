import type { ChainPoint, CommitHash, EntryDraft } from '@aliquot/proto';
import { NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { labelled, sha256 } from '@aliquot/shared/crypto/primitives';
import { fileIdFor, sourceIdFor } from '@aliquot/shared/keys/derive';
import type { Clock } from '@aliquot/shared/ports';
import type { AgentIdentity } from '../identity/identity.ts';
import type { CommitSigner } from '../queue/queue.ts';

const LABEL = 'aliquot/v1/fork-witness';
const NAME = Buffer.from('/fork-witness');

/**
 * A signed commit that only tells: whoever sees it beside the collector's own head knows that two folders sign under one
 * identity. It is made even when there is nothing to send, and leaves the queue as it is.
 *
 * Its predecessor is a hash that no commit has, so no collector, not even a lying one, can put it into a chain: the sequence that
 * it names stays free for the commit that this folder may yet sign (I-A4).
 */
export function forkWitness(
  identity: AgentIdentity,
  signer: CommitSigner,
  clock: Clock,
  theirs: ChainPoint,
  ours: { readonly hash: Uint8Array } | undefined,
): Uint8Array {
  const predecessor = sha256(labelled(LABEL), theirs.hash, ours?.hash ?? NO_PREDECESSOR) as CommitHash;
  const draft: EntryDraft = {
    kind: 'gone',
    sourceId: sourceIdFor(identity.pathKey, NAME),
    class: 'default',
    fileId: fileIdFor(identity.pathKey, NAME),
    size: 0,
    capturedAtMs: Math.max(0, Math.trunc(clock.nowMs())),
    completion: 'assumed',
    content: { depth: 0, refs: [] },
    list: { platform: 'posix', path: NAME, resultPathLength: 0, mtimeNs: 0n, mode: 0, attributes: 0, linkTarget: new Uint8Array(0) },
    read: undefined,
  };
  return signer.sign({ chainId: identity.chainId, sequence: theirs.sequence + 1, predecessor, forkedFrom: undefined, drafts: [draft] }).bytes;
}
