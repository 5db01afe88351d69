import { decodeSigned, encodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyEpochOpening } from '@aliquot/shared/keys/certificates';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { type LogInfo, openEpochRequest } from '../api/log-messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/** The log's head, its openings so far, and the heads that agents hold and the log has lost. */
export function logAnswer(context: RestContext, vault: VaultWith<'log' | 'register'>): LogInfo {
  return {
    head: toBase64(encodeSigned(vault.log.head(context.clock.nowMs()))),
    openings: vault.log.openings(0).map((opening) => toBase64(encodeSigned(opening.opening))),
    reported: vault.log.reportedHeads().map((reported) => ({
      agent: vault.register.agentById(reported.agentId)?.name ?? '',
      agentId: hex(reported.agentId),
      leafIndex: reported.leafIndex,
      timeMs: reported.timeMs,
      head: {
        logEpoch: reported.head.logEpoch,
        size: reported.head.size,
        root: toBase64(reported.head.root),
      },
      signedHead: toBase64(encodeSigned(reported.signedHead)),
      certificate: toBase64(encodeSigned(reported.collectorCertificate)),
    })),
  };
}

/**
 * Opens a new log epoch with the authority's word. The opening must start exactly where the log
 * stands, so an operator who looked at an older state, or whose answer arrives twice, cannot tear
 * it.
 */
export async function openEpoch(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'log'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const opening = decodeSigned(fromBase64(openEpochRequest.parse(body).opening));
  const said = verifyEpochOpening(vault.descriptor.authorityKey, vault.descriptor.vaultId, opening);
  const repeated = vault.log
    .openings(0)
    .find((known) => equalBytes(known.opening.body, opening.body));
  if (repeated !== undefined) return { leafIndex: repeated.leafIndex };
  const now = vault.log.treeHead();
  if (
    said.logEpoch <= now.logEpoch ||
    said.base.size !== now.size ||
    !equalBytes(said.base.root, now.root)
  ) {
    throw new RestError(
      'REST_BAD_OPENING',
      'the log has moved on since this opening was made: run `aliquot log reopen` again',
    );
  }
  const answer = await vault.events.append({
    type: 'epochOpened',
    timeMs: context.clock.nowMs(),
    opening,
  });
  context.sessions.endVault(vault.descriptor.vaultId, 'log epoch opened');
  context.log.warn(
    { vault: hex(vault.descriptor.vaultId), logEpoch: said.logEpoch },
    'log epoch opened',
  );
  return answer;
}
