import { decodeEventBody, FormatError } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64 } from '../api/base64.ts';
import {
  type ApplyAnswer,
  applyRequest,
  type Decision,
  EVENT_PLACE_BYTES,
  isDecision,
} from '../api/decisions.ts';
import { RestError } from '../api/rest-error.ts';
import { StoreError } from '../store/errors.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { clockDoubt } from './clock.ts';
import type { RestContext } from './context.ts';
import { type LogPart, reached } from './proofs.ts';

/** The decisions in a part of the log, each behind the number of its leaf. */
export async function* decisionRecords(
  vault: VaultWith<'log'>,
  part: LogPart,
): AsyncGenerator<Uint8Array> {
  for await (const { leafIndex, event } of vault.log.events(part.from, reached(vault, part))) {
    if (!isDecision(decodeEventBody(event))) continue;
    const record = Buffer.allocUnsafe(EVENT_PLACE_BYTES + event.length);
    record.writeBigUInt64BE(BigInt(leafIndex), 0);
    record.set(event, EVENT_PLACE_BYTES);
    yield record;
  }
}

/**
 * Records again what people had decided and the log has lost, in that order, each judged as when it
 * was new: one that does not fit any more is answered with why, and the others go on.
 */
export async function applyDecisions(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<ApplyAnswer> {
  const outcomes: ApplyAnswer['outcomes'] = [];
  for (const text of applyRequest.parse(body).events) {
    const event = decisionIn(fromBase64(text));
    const doubt = event.type === 'clockCorrected' ? clockDoubt(context) : undefined;
    if (doubt !== undefined) {
      outcomes.push({ applied: false, code: doubt.code, message: doubt.message });
      continue;
    }
    try {
      await record(vault, event);
      outcomes.push({ applied: true });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const { code, message } = error;
      outcomes.push({ applied: false, code, message });
      continue;
    }
    if (event.type === 'agentRevoked')
      context.sessions.endAgent(vault.descriptor.vaultId, event.agentId, 'revoked');
  }
  const applied = outcomes.filter((outcome) => outcome.applied).length;
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), applied, refused: outcomes.length - applied },
    'decisions applied again',
  );
  return { outcomes };
}

/** Who is not known here, and was revoked by a signature, is out when it comes. */
async function record(vault: VaultWith<'events'>, event: Decision): Promise<void> {
  try {
    await vault.events.append(event);
  } catch (error) {
    const isUnknown = error instanceof StoreError && error.code === 'STORE_UNKNOWN_AGENT';
    if (!isUnknown || event.type !== 'agentRevoked' || event.revocation === undefined) throw error;
    await vault.events.foresee(event);
  }
}

function decisionIn(bytes: Uint8Array) {
  try {
    const event = decodeEventBody(bytes);
    if (isDecision(event)) return event;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  throw new RestError('REST_BAD_REQUEST', 'one of the events is no decision that can be applied');
}
