import {
  decodePolicyBody,
  decodeSigned,
  type EventBody,
  encodeSigned,
  type Signed,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { type PolicyMessage, promoteRequest, setPolicyRequest } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import { promote } from '../ingest/promote.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/**
 * The newest policy, or the one of a revision, as it was set: only who has the policy key can read
 * it.
 */
export async function policyAnswer(
  vault: VaultWith<'desk'>,
  revision: number | undefined,
): Promise<PolicyMessage> {
  const newest = vault.desk.policyRevision();
  const event = await vault.desk.policy(revision ?? newest);
  if (event === undefined) {
    if (revision !== undefined)
      throw new RestError(
        'REST_BAD_REQUEST',
        `there is no policy ${revision}; the newest is policy ${newest}`,
      );
    return { newest };
  }
  const { policy, certificate, sealed, timeMs } = event;
  return {
    newest,
    timeMs,
    policy: text(policy),
    certificate: certificate && text(certificate),
    sealed: toBase64(sealed),
  };
}

const text = (signed: Signed): string => toBase64(encodeSigned(signed));
const signedIn = (given: string): Signed => decodeSigned(fromBase64(given));

/**
 * Records a policy and the settings that were made from it, all or none, and hands these to
 * connected agents. The store verifies them.
 */
export async function setPolicy(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { policy, certificate, sealed, settings } = setPolicyRequest.parse(body);
  const timeMs = context.clock.nowMs();
  const by = certificate === undefined ? undefined : signedIn(certificate);
  const set: EventBody = {
    type: 'policySet',
    timeMs,
    policy: signedIn(policy),
    certificate: by,
    sealed: fromBase64(sealed),
  };
  const answer = await vault.events.appendAll([
    set,
    ...settings.map(
      ({ signed, waits }): EventBody => ({
        type: 'settingsSet',
        timeMs,
        settings: signedIn(signed),
        certificate: by,
        waits,
      }),
    ),
  ]);
  const { revision } = decodePolicyBody(set.policy.body);
  const waiting = settings.filter(({ waits }) => waits).length;
  context.sessions.tellSettings(vault.descriptor.vaultId);
  context.log.info(
    { vault: hex(vault.descriptor.vaultId), revision, agents: settings.length, waiting },
    'policy set',
  );
  return answer;
}

/** Hands out what waits. */
export async function promoteSettings(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const { sequence } = promoteRequest.parse(body);
  return promote(context, vault, sequence, false);
}
