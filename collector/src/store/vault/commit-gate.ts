import {
  FormatError,
  type HeartbeatBody,
  type LineageId,
  type Signed,
  type TreeHead,
  type VaultDescriptorBody,
  type VaultId,
} from '@aliquot/proto';
import {
  type CommitRecipient,
  type VerifiedCommit,
  verifyCommit,
} from '@aliquot/shared/commit/commit';
import { CommitError } from '@aliquot/shared/commit/errors';
import { verifyHeartbeat } from '@aliquot/shared/commit/heartbeat';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { MAX_UNDECIDED, type StoreLimits } from '../../limits.ts';
import { type Refused, refused, speakerOf } from '../catalog/refusal.ts';
import type { CommitOptions, CommitOutcome } from '../vault-records.ts';
import { appendCommit, type ReceiptMaker } from './append-commit.ts';
import type { VaultCore } from './core.ts';
import { judgeHead } from './judge-head.ts';
import { makeReceipt, type ReceiptIssuer } from './make-receipt.ts';
import type { PendingUploads } from './pending-uploads.ts';
import type { PurgeBook } from './purge-book.ts';
import { dropPurged } from './purge-done.ts';
import { judgeRepeated } from './repeated.ts';
import { type Route, routeOf } from './route.ts';
import type { Submission } from './submission.ts';

/**
 * Everything about a commit that needs no store: signature, header, entries, wraps, and that nobody
 * but its agent declares versions of it lost.
 */
export function verifySubmission(
  bytes: Uint8Array,
  vault: VaultDescriptorBody,
  agent: AgentCertificate,
): VerifiedCommit | Refused {
  const recipients = recipientsDemandedBy(vault);
  try {
    return verifyCommit(bytes, {
      vaultId: vault.vaultId,
      agent,
      firstSubmission: true,
      recipients,
    });
  } catch (error) {
    if (error instanceof CommitError) {
      const code = error.code === 'COMMIT_SIGNATURE' ? 'bad-signature' : 'bad-commit';
      return refused(code, error.message);
    }
    if (error instanceof FormatError)
      return refused(error.code === 'FORMAT_LIMIT' ? 'limit' : 'bad-commit', error.message);
    throw error;
  }
}

/**
 * Who must find all their wraps: without the vault's, no kit could restore a commit; without the
 * catalog's, no listing names its files.
 */
function recipientsDemandedBy({
  vaultKey,
  catalogKey,
  blind,
}: VaultDescriptorBody): CommitRecipient[] {
  const vault: CommitRecipient = { recipient: 'vault', key: vaultKey };
  return blind ? [vault] : [vault, { recipient: 'catalog', key: catalogKey }];
}

/** A heartbeat that is the agent's own, or why it is none. */
export function judgeHeartbeat(
  signed: Signed,
  from: { readonly vaultId: VaultId; readonly agent: AgentCertificate },
): HeartbeatBody | Refused {
  try {
    return verifyHeartbeat(signed, from);
  } catch (error) {
    if (error instanceof CommitError)
      return refused(
        error.code === 'COMMIT_SIGNATURE' ? 'bad-signature' : 'bad-commit',
        error.message,
      );
    if (error instanceof FormatError) return refused('protocol', error.message);
    throw error;
  }
}

export interface GateContext extends ReceiptIssuer {
  readonly core: VaultCore;
  readonly uploads: PendingUploads;
  readonly purgeBook: PurgeBook;
  readonly limits: StoreLimits;
}

/**
 * Judges a submission and, when it is accepted, appends it. Runs in the vault's queue: what it
 * checks cannot change before the commit becomes visible. One that refers to very much is
 * `unfinished` until its references have been walked, beside the queue. The receipt must not leave
 * before the next sync (I-C1).
 */
export async function judgeCommit(
  gate: GateContext,
  submission: Submission,
  nowMs: number,
  options: CommitOptions = {},
): Promise<CommitOutcome | { readonly type: 'unfinished' }> {
  const { commit, bytes, contents } = submission;
  const { core } = gate;
  const { header, hash } = commit;
  const speaker = speakerOf(core.registry, header.agentId, options);
  if ('type' in speaker) return speaker;
  const { row } = speaker;

  const { agentId, chainId, sequence } = header;
  const link = await core.link(agentId, { chainId, sequence, hash });
  if (link !== undefined) return judgeRepeated(gate, submission, link, row.lineageId);
  const route = await routeOf(core, row.lineageId, header, hash);
  const unrouted = routeRefusal(gate, commit, route);
  if (unrouted !== undefined || route.type === 'unknown-parent')
    return unrouted ?? refused('bad-predecessor', 'it follows nothing here');
  if (header.treeHead !== undefined) {
    const judgement = await judgeHead(core, header.treeHead);
    if (judgement === 'ahead' || judgement === 'contradicts') {
      const lost = `the agent has verified a log of ${header.treeHead.size} leaves that this collector no longer has`;
      return refused(
        'log-rolled-back',
        `${lost}: it was put back to an older state; aliquot log reopen heals it`,
      );
    }
  }

  const live = core.registry.lineage(route.branchId)?.bytes ?? 0n;
  const claimed = live + contents.bytes;
  if (claimed > gate.limits.branchBytes) {
    const says = `with this commit its files would have up to ${claimed} bytes together`;
    return refused(
      'limit',
      `${says}, more than the ${gate.limits.branchBytes} that one history may have`,
    );
  }

  // In this job no slab loses pieces; what its versions name is needed from here on (I-C32).
  gate.uploads.thin.keep(contents.slabs.map(({ id }) => id));
  const walked = await submission.walked(core, row.lineageId);
  if (walked.type === 'missing') return walked;
  if (walked.type === 'bad') return refused('bad-commit', walked.why);
  if (walked.type === 'more') return { type: 'unfinished' };

  await gate.uploads.appendTo(core, row.lineageId);
  if (route.type === 'opens') await recordFork(core, commit, route.branchId, nowMs);
  const lossHash = commit.loss?.hash;
  const lacking = commit.loss?.lacking ?? [];
  const leaf = commitLeaf(header.agentId, hash, core.leafTime(nowMs), lossHash);
  const { lineageId, enrolledAtMs } = row;
  const earliestMs = route.parentReceivedMs ?? enrolledAtMs;
  const accepted = {
    header,
    hash,
    ...{ rows: commit.rows, lostVersions: commit.lostVersions, contents },
    lineageId,
    branchId: route.branchId,
    earliestMs,
  };
  let answer: { receipt: Signed; head: TreeHead } | undefined;
  const receiptFor: ReceiptMaker = (leafIndex, head) => {
    const place = { receivedAtMs: core.leafTime(nowMs), leafIndex, head, lossHash };
    const made = makeReceipt(gate, header, hash, place);
    answer = { receipt: made.receipt, head };
    return made;
  };
  const purged = await gate.purgeBook.takenOf(core, commit, bytes);
  const leafIndex = await appendCommit(core, accepted, { bytes, leaf }, receiptFor, purged);
  if (purged !== undefined) await dropPurged(core);
  if (answer === undefined) throw new TypeError('no receipt was made');
  const addedBytes = Number(contents.bytes);
  return { type: 'accepted', ...answer, lacking, leafIndex, repeated: false, addedBytes };
}

/** Why a commit can go nowhere, if it cannot. */
function routeRefusal(
  { core, limits }: GateContext,
  { header }: VerifiedCommit,
  route: Route,
): Refused | undefined {
  if (route.type === 'unknown-parent') {
    const { sequence } = route.parent;
    return refused(
      'bad-predecessor',
      `commit ${header.sequence} follows a commit ${sequence} that is not here: send the ones between again`,
    );
  }
  const lines = core.registry.lines(header.agentId);
  if (
    lines !== undefined &&
    lines.chainHead(header.chainId) === undefined &&
    lines.chainHeads().length >= limits.chains
  ) {
    return refused(
      'chain-forked',
      `this agent has used ${limits.chains} chains, and may begin no other; central IT must enrol its PC anew: aliquot enroll NAME --replaces NAME`,
    );
  }
  const undecided = lines?.apart().filter(({ state }) => state === 'held').length ?? 0;
  if (route.type === 'continues' || undecided < MAX_UNDECIDED) return undefined;
  return refused(
    'chain-forked',
    `this agent has ${undecided} histories that nobody has decided about; central IT must run: aliquot fork list`,
  );
}

/**
 * The event that tells of a branch held apart stands right before its first commit. A crash
 * between them left it alone.
 */
async function recordFork(
  core: VaultCore,
  { header, hash }: VerifiedCommit,
  branchId: LineageId,
  nowMs: number,
): Promise<void> {
  const { agentId, chainId, sequence } = header;
  if (core.registry.lines(agentId)?.history(branchId) !== undefined) return;
  await core.appendEvent(
    { type: 'chainForked', timeMs: nowMs, agentId, at: { chainId, sequence, hash } },
    nowMs,
  );
}
