import type { VaultDescriptorBody } from '@aliquot/proto';
import {
  asAgentId,
  decodeDiagnosisRequestBody,
  decodeEnrolmentCertificateBody,
  decodePolicyBody,
  decodeSettingsBody,
  type EventBody,
} from '@aliquot/proto';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { verifyDiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';
import { verifyPolicy, verifyRules } from '@aliquot/shared/keys/policy';
import { isNumberFree, verifySettings } from '@aliquot/shared/keys/settings';
import { keys } from '../catalog/catalog-keys.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { offered, offersRow, policyRow } from '../catalog/desk.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { Effect } from './effect.ts';

type Event<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;
type Place = { readonly leafIndex: number; readonly timeMs: number };

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/**
 * A policy that is signed, and newer than the newest; two operators at once cannot both set one.
 * What it lets go of only who is certified for retention may change.
 */
export function admitPolicy(
  { desk }: Registry,
  descriptor: VaultDescriptorBody,
  event: Event<'policySet'>,
): undefined {
  const body = verifyPolicy(descriptor, event, event.timeMs);
  const { revision } = body;
  if (revision <= desk.newest)
    throw bad(
      `policy ${desk.newest} was set meanwhile: look at it with \`aliquot policy get\`, and set yours again`,
    );
  if (!isNumberFree(revision, event.timeMs))
    throw bad(`policy ${revision} is numbered too high: nothing could follow it`);
  verifyRules(descriptor, body, event.certificate, desk.rules, event.timeMs);
  return undefined;
}

/** Settings that are signed, for an agent that lives, and newer than what it is offered. */
export function admitSettings(
  registry: Registry,
  descriptor: VaultDescriptorBody,
  event: Event<'settingsSet'>,
): number | undefined {
  const body = verifySettings(descriptor, event, event.timeMs);
  const row = body.agentId && registry.row(body.agentId);
  if (body.agentId === undefined || row?.state !== 'enrolled')
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      'settings are for agents that have enrolled; aliquot agents lists them',
    );
  const { current, waiting } = registry.desk.of(body.agentId);
  const known = [current, waiting].find(
    (one) => one !== undefined && equalBytes(one.settings.settings.body, event.settings.body),
  );
  if (known !== undefined) return known.leafIndex;
  const newest = Math.max(current?.sequence ?? 0, waiting?.sequence ?? 0);
  if (body.sequence <= newest)
    throw bad(`${row.name} is offered settings ${newest} already: set the policy again`);
  if (!isNumberFree(body.sequence, event.timeMs))
    throw bad(`settings ${body.sequence} are numbered too high: nothing could follow them`);
  return undefined;
}

/**
 * Of events that are recorded together each agent may have settings once, and each name one
 * enrolment: every event is judged by what was there before all of them.
 */
export function refuseTwice(events: readonly EventBody[]): void {
  const seen = new Set<string>();
  for (const event of events) {
    const whom = whomOf(event);
    if (whom === undefined) continue;
    if (seen.has(whom)) throw bad(`${whom} stands twice in what is to be recorded at once`);
    seen.add(whom);
  }
}

function whomOf(event: EventBody): string | undefined {
  if (event.type === 'agentExpected')
    return `a bundle for ${decodeEnrolmentCertificateBody(event.enrolment.body).name}`;
  if (event.type !== 'settingsSet') return undefined;
  const { agentId } = decodeSettingsBody(event.settings.body);
  return agentId && `agent ${hex(agentId)}`;
}

/** A question that an operator signed, for an agent that has enrolled. */
export function admitQuestion(
  registry: Registry,
  descriptor: VaultDescriptorBody,
  event: Event<'diagnosisAsked'>,
): undefined {
  const { agentId } = decodeDiagnosisRequestBody(event.request.body);
  if (registry.row(agentId)?.state !== 'enrolled')
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      'only agents that have enrolled can be asked; aliquot agents lists them',
    );
  verifyDiagnosisRequest(descriptor, agentId, event, event.timeMs);
  return undefined;
}

/** Something must wait that this promotes. */
export function admitPromotion(
  { desk }: Registry,
  { sequence }: Event<'settingsPromoted'>,
): undefined {
  if (desk.waiting().some(({ waiting }) => waiting.sequence <= sequence)) return undefined;
  throw bad('no settings wait to be promoted');
}

export function applyPolicy(change: CatalogChange, event: Event<'policySet'>, leaf: Place): Effect {
  const { revision, rules } = decodePolicyBody(event.policy.body);
  const policy = { leafIndex: leaf.leafIndex, setAtMs: leaf.timeMs, rules };
  change.put(keys.policy(revision), policyRow(policy));
  return (live) => live.desk.setPolicy(revision, policy);
}

export function applySettings(
  change: CatalogChange,
  event: Event<'settingsSet'>,
  leaf: Place,
  registry: Registry,
): Effect {
  const { agentId } = decodeSettingsBody(event.settings.body);
  if (agentId === undefined) return () => undefined;
  const given = offered(
    { settings: event.settings, certificate: event.certificate },
    leaf.leafIndex,
    leaf.timeMs,
  );
  const { current } = registry.desk.of(agentId);
  const offers = event.waits ? { current, waiting: given } : { current: given, waiting: undefined };
  change.put(keys.settings(agentId), offersRow(offers));
  return (live) => live.desk.offer(agentId, offers);
}

export function applyPromotion(
  change: CatalogChange,
  event: Event<'settingsPromoted'>,
  leaf: Place,
  registry: Registry,
): Effect {
  const promoted = registry.desk
    .waiting()
    .filter(({ waiting }) => waiting.sequence <= event.sequence)
    .map(({ agent, waiting }) => ({
      agentId: asAgentId(fromHex(agent) ?? new Uint8Array(0)),
      offers: { current: { ...waiting, sinceMs: leaf.timeMs }, waiting: undefined },
    }));
  for (const { agentId, offers } of promoted) change.put(keys.settings(agentId), offersRow(offers));
  return (live) => {
    for (const { agentId, offers } of promoted) live.desk.offer(agentId, offers);
  };
}
