import { isDeepStrictEqual } from 'node:util';
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
import { type SetPolicy, WEAKER_ACTS_AFTER_MS } from '../retention/ruling.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { clockDoubt } from './clock.ts';
import type { RestContext } from './context.ts';

/**
 * The newest policy, or the one of a revision, as it was set: only who has the policy key can read
 * it.
 */
export async function policyAnswer(
  { clock }: RestContext,
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
    earlier: stillKeeping(vault.desk.policies(), clock.nowMs()),
    timeMs,
    policy: text(policy),
    certificate: certificate && text(certificate),
    sealed: toBase64(sealed),
  };
}

/** What says something else than the newest, and was replaced so lately that it still counts. */
function stillKeeping(
  policies: readonly SetPolicy[],
  nowMs: number,
): NonNullable<PolicyMessage['earlier']> {
  const newest = policies.at(-1)?.rules;
  const before = { revision: 0, rules: [] };
  return [before, ...policies].flatMap(({ revision, rules }, at) => {
    if (isDeepStrictEqual(rules, newest)) return [];
    const next = policies[at];
    const untilMs = next && next.setAtMs + WEAKER_ACTS_AFTER_MS;
    return untilMs !== undefined && untilMs > nowMs ? [{ revision, untilMs }] : [];
  });
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
  const signed = signedIn(policy);
  const { revision, rules } = decodePolicyBody(signed.body);
  // The days until rules act would be over at once when the clock is confirmed.
  const doubt = rules === undefined ? undefined : clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const timeMs = context.clock.nowMs();
  const by = certificate === undefined ? undefined : signedIn(certificate);
  const set: EventBody = {
    type: 'policySet',
    timeMs,
    policy: signed,
    certificate: by,
    sealed: fromBase64(sealed),
  };
  const answer = await vault.events.appendAll([
    set,
    ...settings.map(
      ({ signed: own, waits }): EventBody => ({
        type: 'settingsSet',
        timeMs,
        settings: signedIn(own),
        certificate: by,
        waits,
      }),
    ),
  ]);
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
