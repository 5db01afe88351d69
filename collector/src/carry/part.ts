import {
  AliquotError,
  type ClientFrame,
  checkClientBody,
  decodeClientFrame,
  FormatError,
  splitCarriedFrames,
  splitFrame,
  splitItems,
} from '@aliquot/proto';
import { CarryError } from '@aliquot/shared/carry/errors';
import { type CarriedQuestion, verifyQuestion } from '@aliquot/shared/carry/statements';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { Clock } from '@aliquot/shared/ports';
import type { Logger } from 'pino';
import type { CarriedCommit, PartAnswer } from '../api/carried.ts';
import { RestError } from '../api/rest-error.ts';
import { IngestError } from '../ingest/errors.ts';
import { admit, standing } from '../ingest/join.ts';
import { hasEnded } from '../store/catalog/refusal.ts';
import type { CollectorStore } from '../store/collector-store.ts';
import type { AgentRecord, CommitOptions } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';

/** What taking in a carried queue needs of the collector. */
export interface CarryContext {
  readonly store: Pick<CollectorStore, 'identity'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Name and version of this program, as agents see it. */
  readonly software: string;
}

/** The agent behind a carried queue, and what it asks. */
export interface Asked {
  readonly agent: AgentRecord;
  readonly question: CarriedQuestion;
  /** Whether the operator lets in what an agent that was revoked or replaced had signed. */
  readonly options: CommitOptions;
}

/**
 * Works on one part of a carried queue: its first frame is the question, signed by the agent, then
 * come some of the file's frames in their order. What an agent may do in a session it may do here,
 * and nothing else: the operator who carries the file cannot add to it. Every part may be repeated.
 *
 * Ends at the first commit that is not accepted: what follows it in the chain could not be either.
 */
export async function takePart(
  context: CarryContext,
  vault: VaultWith<'descriptor' | 'desk' | 'events' | 'intake' | 'log' | 'register' | 'sweep'>,
  body: Uint8Array,
  options: CommitOptions,
): Promise<PartAnswer> {
  const [first, ...frames] = splitCarriedFrames(body);
  const asked = await admitAsked(context, vault, first, options);
  if (asked.agent.state !== 'enrolled') {
    const { name, state } = asked.agent;
    context.log.warn(
      { vault: hex(vault.descriptor.vaultId), agent: name, state },
      'an operator lets in what an ended agent had signed',
    );
  }
  const { settingsSequence: inForce, software } = asked.question;
  vault.desk.said(asked.agent.agentId, { inForce, software });
  const commits: CarriedCommit[] = [];
  for (const bytes of frames) {
    const { header, body: carried } = splitFrame(bytes);
    const frame = decodeClientFrame(header);
    checkClientBody(frame, carried);
    const outcome = await takeFrame(context, vault, asked, frame, carried);
    if (outcome === undefined) continue;
    commits.push(outcome);
    if (outcome.type !== 'accepted') break;
  }
  return { agent: asked.agent.name, commits };
}

/**
 * Who asks, proved, enrolled here, and not revoked or replaced, unless the operator lets that be.
 */
export async function admitAsked(
  context: CarryContext,
  vault: VaultWith<'descriptor' | 'events' | 'log' | 'register'>,
  frame: Uint8Array | undefined,
  options: CommitOptions,
): Promise<Asked> {
  const question = frame && decodeClientFrame(splitFrame(frame).header);
  if (question?.type !== 'auth')
    throw new RestError('REST_BAD_REQUEST', 'a carried queue begins with a question');
  const { descriptor } = vault;
  try {
    const certificate = verifyQuestion(question, descriptor.authorityKey, descriptor.vaultId);
    const { agent } = await admit(vault, certificate, question, context.clock.nowMs(), options);
    return { agent, question, options };
  } catch (cause) {
    if (cause instanceof CarryError || cause instanceof IngestError) {
      const way =
        cause instanceof IngestError && hasEnded(cause.refusal)
          ? '; to keep what it had captured all the same: --accept-ended'
          : '';
      throw new RestError('REST_CARRY_REFUSED', cause.message + way, { cause });
    }
    throw cause;
  }
}

async function takeFrame(
  context: CarryContext,
  vault: VaultWith<'descriptor' | 'desk' | 'events' | 'intake' | 'log' | 'sweep'>,
  asked: Asked,
  frame: ClientFrame,
  body: Uint8Array,
): Promise<CarriedCommit | undefined> {
  const { agent, question } = asked;
  switch (frame.type) {
    case 'chunks':
      await putItems(vault, agent, frame, body);
      return undefined;
    case 'commit':
      return takeCommit(context, vault, asked, body);
    case 'gcLearned':
      if (await answersNow(context, vault, asked))
        vault.sweep.gcLearned(agent.agentId, question.chainId, frame.gcEpoch);
      return undefined;
    case 'settingsAnswer': {
      const { type: _type, ...reply } = frame;
      vault.desk.said(agent.agentId, { reply: { ...reply, atMs: context.clock.nowMs() } });
      return undefined;
    }
    default:
      throw new RestError('REST_BAD_REQUEST', `a carried queue holds no ${frame.type} frame`);
  }
}

/**
 * Whether an answer to the sweep is about the log as it is now. One that lost its tail hears none:
 * what the agent had receipts for may be gone with it. An answer from before such a loss was healed
 * does not count either, for those receipts gave it; that costs a wait.
 */
async function answersNow(
  context: CarryContext,
  vault: VaultWith<'descriptor' | 'events' | 'log'>,
  { agent, question }: Asked,
): Promise<boolean> {
  const { rolledBack } = await standing(vault, agent, question, context.clock.nowMs());
  return !rolledBack && question.treeHead?.logEpoch === vault.log.treeHead().logEpoch;
}

async function putItems(
  vault: VaultWith<'intake'>,
  agent: AgentRecord,
  frame: Extract<ClientFrame, { type: 'chunks' }>,
  body: Uint8Array,
) {
  try {
    await vault.intake.putChunks(agent.lineageId, [...splitItems(frame.items, body)]);
  } catch (cause) {
    if (cause instanceof AliquotError && cause.code === 'STORE_BAD_ITEM')
      throw new FormatError(
        'FORMAT_MALFORMED',
        `the carried queue holds an item that is not what its id says: ${cause.message}`,
        {
          cause,
        },
      );
    throw cause;
  }
}

async function takeCommit(
  context: CarryContext,
  vault: VaultWith<'descriptor' | 'events' | 'intake' | 'log'>,
  { agent, question, options }: Asked,
  body: Uint8Array,
): Promise<CarriedCommit> {
  const nowMs = context.clock.nowMs();
  const { rolledBack } = await standing(vault, agent, question, nowMs);
  if (rolledBack) {
    const message =
      'the collector lost part of its log; central IT must run `aliquot log reopen` before commits go on';
    return { type: 'refused', code: 'log-rolled-back', message };
  }
  const outcome = await vault.intake.commit(agent.agentId, body, nowMs, options);
  vault.intake.seen(agent.agentId, nowMs);
  if (outcome.type === 'accepted')
    return { type: 'accepted', leafIndex: outcome.leafIndex, repeated: outcome.repeated };
  if (outcome.type === 'refused')
    return { type: 'refused', code: outcome.code, message: outcome.message };
  const [some] = outcome.ids;
  return { type: 'missing', count: outcome.ids.length, first: some === undefined ? '' : hex(some) };
}
