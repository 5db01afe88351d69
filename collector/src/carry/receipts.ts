import {
  CARRIED_LENGTH_BYTES,
  decodeReceiptBody,
  decodeSignedCommit,
  encodeFrame,
  encodeServerFrame,
  encodeSigned,
  lengthOfCarried,
  MAX_CARRIED_COMMITS,
  type ServerFrame,
} from '@aliquot/proto';
import { carriedBytes } from '@aliquot/shared/carry/carried-file';
import { signCarried } from '@aliquot/shared/carry/statements';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { RestError } from '../api/rest-error.ts';
import { branchNotice } from '../ingest/branch-notice.ts';
import { standing } from '../ingest/join.ts';
import type { CommitOptions } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { type Asked, admitAsked, type CarryContext } from './part.ts';

const LEAF_BYTES = 8;
const SESSION_ID = new Uint8Array(1);

/**
 * The file of receipts for a carried queue, piece by piece. The request: the question as in the
 * file (length and frame), then the leaf indexes of its commits, 8 bytes each, as the answers to
 * the parts gave them.
 *
 * Anyone who asks gets only what is the agent's: leaves of other agents are refused.
 */
export async function carriedReceipts(
  context: CarryContext,
  vault: VaultWith<
    'descriptor' | 'desk' | 'events' | 'intake' | 'log' | 'register' | 'signedCertificate' | 'sweep'
  >,
  body: Uint8Array,
  options: CommitOptions,
): Promise<AsyncGenerator<Uint8Array, void, void>> {
  const end = CARRIED_LENGTH_BYTES + lengthOfCarried(body);
  const question = body.subarray(CARRIED_LENGTH_BYTES, end);
  const asked = await admitAsked(context, vault, question, options);
  const leaves = leavesOf(body.subarray(end));
  await vault.intake.sync();
  const frames = receiptFrames(context, vault, asked, question, leaves);
  return carriedBytes('receipts', frames, (digest) =>
    signCarried('receipts', context.store.identity, digest),
  );
}

function leavesOf(bytes: Uint8Array): readonly number[] {
  if (bytes.length % LEAF_BYTES !== 0 || bytes.length > MAX_CARRIED_COMMITS * LEAF_BYTES)
    throw new RestError('REST_BAD_REQUEST', 'the list of leaves is not one');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / LEAF_BYTES }, (_none, at) => {
    const leaf = Number(view.getBigUint64(at * LEAF_BYTES));
    if (!Number.isSafeInteger(leaf))
      throw new RestError('REST_BAD_REQUEST', 'the list of leaves is not one');
    return leaf;
  });
}

async function* receiptFrames(
  context: CarryContext,
  vault: VaultWith<
    'descriptor' | 'desk' | 'events' | 'intake' | 'log' | 'signedCertificate' | 'sweep'
  >,
  { agent, question }: Asked,
  asked: Uint8Array,
  leaves: readonly number[],
): AsyncGenerator<Uint8Array, void, void> {
  const nowMs = context.clock.nowMs();
  const { head, signedHead, consistency, openings, rolledBack } = await standing(
    vault,
    agent,
    question,
    nowMs,
  );
  yield asked;
  yield encodeSigned(vault.signedCertificate);
  yield frameOf({
    type: 'ready',
    sessionId: SESSION_ID,
    creditBytes: 0,
    timeMs: nowMs,
    head: signedHead,
    consistency,
    openings,
    chainHead: await vault.intake.chainHead(agent.agentId, question.chainId),
    gcEpoch: vault.sweep.gcEpoch(agent.lineageId),
    rolledBack,
    software: context.software,
  });
  const history = vault.intake.branchOf(agent.agentId, question.chainId);
  if (history !== undefined) yield frameOf(branchNotice(agent, history));
  const { current } = vault.desk.of(agent.agentId);
  if (current !== undefined && current.sequence > question.settingsSequence)
    yield frameOf({ type: 'settings', ...current.settings });
  if (rolledBack) return;
  for (const [at, leaf] of leaves.entries()) {
    const { record } = leaf < head.size ? await vault.log.leafAt(leaf) : { record: undefined };
    if (
      record?.type !== 'commit' ||
      !equalBytes(decodeReceiptBody(record.receipt.body).agentId, agent.agentId)
    )
      throw new RestError('REST_BAD_REQUEST', `leaf ${leaf} is no commit of agent ${agent.name}`);
    const inclusion = await vault.log.inclusion(leaf, head.size);
    yield frameOf({
      type: 'receipt',
      requestId: at + 1,
      receipt: record.receipt,
      inclusion,
      consistency: [],
      head: signedHead,
      lacking: decodeSignedCommit(record.commit).lacking,
    });
  }
}

function frameOf(frame: ServerFrame): Uint8Array {
  return encodeFrame(encodeServerFrame(frame));
}
