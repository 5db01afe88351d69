import {
  type ChunkId,
  type CollectorId,
  type CommitHeader,
  decodeReceiptBody,
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
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { AgentCertificate } from '@aliquot/shared/keys/certificates';
import { commitLeaf } from '@aliquot/shared/log/leaf';
import { signReceipt } from '@aliquot/shared/log/receipt';
import { MAX_UNDECIDED, type StoreLimits } from '../../limits.ts';
import { noSums } from '../catalog/catalog-rows.ts';
import { contentsOf, type NamedContents } from '../catalog/named-contents.ts';
import { ReferenceWalk, type WalkStep } from '../catalog/reference-walk.ts';
import { type Refused, refused, speakerOf } from '../catalog/refusal.ts';
import type { CommitOptions, CommitOutcome } from '../vault-records.ts';
import type { ReceiptMaker, VaultCore } from './core.ts';
import { judgeHead } from './judge-head.ts';
import type { PendingUploads } from './pending-uploads.ts';
import { type Route, routeOf } from './route.ts';

/** Durable copies that a receipt states: this collector's disk. */
const COPIES = 1;

/**
 * Everything about a commit that needs no store: signature, header, entries, wraps. Whether entries
 * may be missing is judged later.
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
      mayLackEntries: true,
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

export interface GateContext {
  readonly core: VaultCore;
  readonly uploads: PendingUploads;
  readonly vaultId: VaultId;
  readonly collectorId: CollectorId;
  readonly identity: SigningKey;
  readonly limits: StoreLimits;
}

/** A commit that came, while it is judged. */
export class Submission {
  readonly commit: VerifiedCommit;
  readonly bytes: Uint8Array;
  readonly contents: NamedContents;
  #walk: ReferenceWalk;

  constructor(commit: VerifiedCommit, bytes: Uint8Array) {
    this.commit = commit;
    this.bytes = bytes;
    this.contents = contentsOf(commit.rows);
    this.#walk = new ReferenceWalk(this.contents);
  }

  /**
   * Looks at the next references, and records what was proved. Is `done` only when all of it holds
   * at once: what the steps before the last have seen may be gone with a failure of the disk since.
   * So the last turn looks again at everything that the commit itself names, which its size bounds.
   */
  async walk(gate: GateContext, lineageId: LineageId): Promise<WalkStep> {
    const walk = this.#walk;
    let step = await this.#step(gate, lineageId);
    if (step.type !== 'done' || !walk.paused) return step;
    this.#walk = new ReferenceWalk(this.contents);
    do step = await this.#step(gate, lineageId);
    while (step.type === 'more');
    return step;
  }

  async #step(gate: GateContext, lineageId: LineageId): Promise<WalkStep> {
    const { core, uploads } = gate;
    const source = core.items.referenceSource(ownedOrPending(gate, lineageId));
    const step = await this.#walk.step(source);
    const proved = this.#walk.takeProved();
    if (proved === undefined) return step;
    await uploads.appendTo(core, lineageId);
    await core.appendReferences(lineageId, proved);
    return step;
  }
}

/**
 * Judges a submission and, when it is accepted, appends it. Runs in the vault's queue: what it
 * checks cannot change before the commit becomes visible. One that refers to very much is judged in
 * several turns, between which others have theirs: `unfinished` until the last. The receipt must
 * not leave before the next sync (I-C1).
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

  const repeated = await earlierReceipt(core, commit);
  if (repeated !== undefined) return repeated;
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

  const { lacking } = commit.rows;
  if (lacking > 0 && !precedesLoss(header, core.head)) {
    return refused(
      'bad-commit',
      `commit ${header.sequence} arrives without ${lacking} of its entries, and this log lost nothing since`,
    );
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

  const walked = await submission.walk(gate, row.lineageId);
  if (walked.type === 'missing') return walked;
  if (walked.type === 'bad') return refused('bad-commit', walked.why);
  if (walked.type === 'more') return { type: 'unfinished' };

  await gate.uploads.appendTo(core, row.lineageId);
  if (route.type === 'opens') await recordFork(core, commit, route.branchId, nowMs);
  const leaf = commitLeaf(hash, core.leafTime(nowMs));
  const { lineageId, enrolledAtMs } = row;
  const earliestMs = route.parentReceivedMs ?? enrolledAtMs;
  const accepted = {
    header,
    hash,
    ...{ rows: commit.rows, contents },
    lineageId,
    branchId: route.branchId,
    earliestMs,
  };
  let answer: { receipt: Signed; head: TreeHead } | undefined;
  const receiptFor: ReceiptMaker = (leafIndex, head) => {
    const receiptBody = {
      version: 1 as const,
      vaultId: gate.vaultId,
      collectorId: gate.collectorId,
      agentId: header.agentId,
      chainId: header.chainId,
      sequence: header.sequence,
      commitHash: hash,
      receivedAtMs: core.leafTime(nowMs),
      leafIndex,
      head,
      copies: COPIES,
    };
    const receipt = signReceipt(gate.identity, receiptBody);
    answer = { receipt, head };
    return { receipt, receiptBody };
  };
  const leafIndex = await core.appendCommit(accepted, bytes, leaf, receiptFor);
  if (answer === undefined) throw new TypeError('no receipt was made');
  const addedBytes = Number(contents.bytes);
  return { type: 'accepted', ...answer, leafIndex, repeated: false, addedBytes };
}

/**
 * Whether the log lost its tail after this commit was made: only then can versions of it be gone
 * that once had a receipt, and only then may it come without them, so that the chain can go on. A
 * commit that names no head was made before any.
 */
export function precedesLoss(header: CommitHeader, current: TreeHead): boolean {
  return (header.treeHead?.logEpoch ?? noSums.logEpoch) < current.logEpoch;
}

/** The very receipt that this commit got before, if it did. */
async function earlierReceipt(
  core: VaultCore,
  { header, hash }: VerifiedCommit,
): Promise<CommitOutcome | undefined> {
  const link = await core.link(header.agentId, {
    chainId: header.chainId,
    sequence: header.sequence,
    hash,
  });
  if (link === undefined) return undefined;
  const { receipt } = await core.storedCommit(link.leafIndex);
  return {
    type: 'accepted',
    receipt,
    leafIndex: link.leafIndex,
    head: decodeReceiptBody(receipt.body).head,
    repeated: true,
    addedBytes: 0,
  };
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

function ownedOrPending({ core, uploads }: GateContext, lineageId: LineageId) {
  return async (ids: readonly ChunkId[]) => {
    const rows = await core.items.owned(lineageId, ids);
    return rows.map((row, index) => {
      const id = ids[index];
      return (
        row ?? (id !== undefined && uploads.has(lineageId, id) ? ('uploaded' as const) : undefined)
      );
    });
  };
}
