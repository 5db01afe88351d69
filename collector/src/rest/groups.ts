import { asGroupId, decodeSigned } from '@aliquot/proto';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { verifyApproval } from '@aliquot/shared/keys/approval';
import { verifyGroup } from '@aliquot/shared/keys/group';
import { fromBase64 } from '../api/base64.ts';
import { addGroupRequest, approveRequest, type GroupInfo } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { GroupRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

export function groupInfoOf({ groupId, body, used, addedAtMs, endedAtMs }: GroupRecord): GroupInfo {
  const { name, uses, names, approve, selfRestore, expiresAtMs } = body;
  return {
    groupId: hex(groupId),
    name,
    uses,
    used,
    names: [...names],
    approve,
    selfRestore,
    addedAtMs,
    expiresAtMs,
    endedAtMs,
  };
}

/** Notes a group that a bundle was made for, so that its PCs may enrol. */
export async function addGroup(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const group = decodeSigned(fromBase64(addGroupRequest.parse(body).group));
  const { name } = verifyGroup(vault.descriptor.authorityKey, vault.descriptor.vaultId, group);
  const answer = await vault.events.append({
    type: 'groupAdded',
    timeMs: context.clock.nowMs(),
    group,
  });
  context.log.info({ vault: hex(vault.descriptor.vaultId), group: name }, 'group added');
  return answer;
}

/** Ends a group: nobody enrols with its bundle any more. Who has stays. */
export async function endGroup(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  groupId: string,
): Promise<{ leafIndex: number }> {
  const group = vault.register.groups().find((known) => hex(known.groupId) === groupId);
  if (group === undefined)
    throw new RestError('REST_AGENT_UNKNOWN', 'this vault has no such group');
  const id = asGroupId(fromHex(groupId) ?? new Uint8Array(0));
  const answer = await vault.events.append({
    type: 'groupEnded',
    timeMs: context.clock.nowMs(),
    groupId: id,
  });
  context.log.warn({ vault: hex(vault.descriptor.vaultId), group: group.body.name }, 'group ended');
  return answer;
}

/** Takes a pending PC in. */
export async function approveAgent(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events' | 'register'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const request = approveRequest.parse(body);
  const approval = decodeSigned(fromBase64(request.approval));
  const operator =
    request.operator === undefined ? undefined : decodeSigned(fromBase64(request.operator));
  const timeMs = context.clock.nowMs();
  const { authorityKey, vaultId } = vault.descriptor;
  const { agentId } = verifyApproval(authorityKey, vaultId, { approval, operator }, timeMs).body;
  const answer = await vault.events.append({ type: 'agentApproved', timeMs, approval, operator });
  context.log.info(
    { vault: hex(vaultId), agent: vault.register.agentById(agentId)?.name },
    'agent approved',
  );
  return answer;
}
