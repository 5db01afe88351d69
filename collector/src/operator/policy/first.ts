import type { AgentId, Settings } from '@aliquot/proto';
import { policyKeyFor } from '@aliquot/shared/keys/derive';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import { issueBundleSettings } from '@aliquot/shared/keys/settings';
import { renderSettings } from '@aliquot/shared/settings/policy';
import type { VaultClient } from '../client/vault-client.ts';
import { type StoredPolicy, storedPolicy } from './desk.ts';

/** What makes the first settings of PCs, for their bundles: the policy as it is now. */
export interface FirstSettings {
  readonly kit: OpenKit;
  /** Undefined while none was set. */
  readonly stored: StoredPolicy | undefined;
}

/** The policy that bundles are made by. */
export async function firstSettings(kit: OpenKit, vault: VaultClient): Promise<FirstSettings> {
  const { descriptor, authority: key, pathSecret } = kit;
  const signer = {
    descriptor,
    key,
    certificate: undefined,
    operator: undefined,
    policyKey: policyKeyFor(pathSecret, descriptor.vaultId),
    pathSecret,
  };
  return { kit, stored: await storedPolicy({ signer, vault }) };
}

/**
 * What a bundle tells its PC at first, in clear: the PC has no key yet. For one agent by its name,
 * or for any PC that enrols with the bundle of a group: what the policy says to everybody and to
 * the group of that name. Undefined where the policy says nothing to it.
 */
export function settingsInBundle(
  { kit, stored }: FirstSettings,
  whom: { readonly name: string; readonly agentId: AgentId } | { readonly group: string },
  term: { readonly issuedAtMs: number; readonly expiresAtMs: number },
): Settings | undefined {
  if (stored?.policy === undefined) return undefined;
  const rendered = renderSettings(stored.policy, 'group' in whom ? whom : whom.name);
  if (rendered === undefined) return undefined;
  const { descriptor, authority, pathSecret } = kit;
  const contents = {
    version: 1,
    text: rendered.text,
    answerKey: policyKeyFor(pathSecret, descriptor.vaultId).publicKey,
  } as const;
  const terms = { ...term, sequence: stored.body.revision, groups: rendered.groups };
  const agentId = 'group' in whom ? undefined : whom.agentId;
  return {
    settings: issueBundleSettings(authority, descriptor, agentId, terms, contents),
    certificate: undefined,
  };
}
