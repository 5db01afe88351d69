import {
  decodeGroupCertificateBody,
  type EventBody,
  type GroupId,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { isSuccessorOf, verifyApproval } from '@aliquot/shared/keys/approval';
import { readAgent, verifyAgent } from '@aliquot/shared/keys/certificates';
import { groupIdOf, verifyGroup } from '@aliquot/shared/keys/group';
import { keys } from '../catalog/catalog-keys.ts';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { encodeGroup, type GroupRow } from '../catalog/group-row.ts';
import { hasEnded, refusalOf } from '../catalog/refusal.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import { refuseBearers, refuseNewLineName } from './names.ts';
import type { VaultView } from './vault-view.ts';

/*
 * Groups, and the agents that enrol by their certificates. The log counts: each agent that came is
 * an event, so how many uses are left, and who bears a name, follow from the log alone, and an
 * audit judges them again.
 */

type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/**
 * The leaf that records the group already, or undefined. Of the groups that may be used only one
 * has a name.
 */
export function admitGroup(
  core: VaultView,
  { authorityKey, vaultId }: VaultDescriptorBody,
  event: EventOf<'groupAdded'>,
): number | undefined {
  const body = verifyGroup(authorityKey, vaultId, event.group);
  const known = core.registry.group(groupIdOf(body.groupKey));
  if (known !== undefined) {
    if (equalBytes(known.certificate.body, event.group.body)) return known.addedLeaf;
    throw bad(`another certificate was issued for the key of group ${body.name}`);
  }
  const open = core.registry
    .groups()
    .find(
      (group) =>
        group.end === undefined &&
        decodeGroupCertificateBody(group.certificate.body).name === body.name,
    );
  if (
    open === undefined ||
    event.timeMs > decodeGroupCertificateBody(open.certificate.body).expiresAtMs
  )
    return undefined;
  const way = `end it first: aliquot enroll --end-group ${body.name}, or choose another name`;
  throw new StoreError(
    'STORE_NAME_TAKEN',
    `there is a group ${body.name} that may still be used; ${way}`,
  );
}

export function admitGroupEnd(core: VaultView, event: EventOf<'groupEnded'>): number | undefined {
  const known = core.registry.group(event.groupId);
  if (known === undefined)
    throw new StoreError(
      'STORE_UNKNOWN_GROUP',
      'no such group in this vault; aliquot agents lists those that are open',
    );
  return known.end?.leaf;
}

/**
 * An agent that comes with a group's certificate; whether in time is judged where it asks, by the
 * collector's clock.
 */
export function admitMember(
  core: VaultView,
  descriptor: VaultDescriptorBody,
  event: EventOf<'agentEnrolled'> | EventOf<'agentPending'>,
): number | undefined {
  const { group, enrolment } = verifyAgent(
    descriptor.authorityKey,
    descriptor.vaultId,
    event.enrolment,
    event.binding,
  );
  if (group === undefined)
    throw bad(`agent ${enrolment.name} is of no group, so nobody approves it`);
  const groupId = groupIdOf(group.groupKey);
  const known = core.registry.group(groupId);
  const way = 'ask central IT for a new bundle';
  if (known === undefined)
    throw new StoreError(
      'STORE_UNKNOWN_GROUP',
      `this collector does not know group ${group.name}; ${way}`,
    );
  const row = core.registry.row(enrolment.agentId);
  if (row !== undefined) return admittedBefore(row, event);
  if (group.approve !== (event.type === 'agentPending'))
    throw bad(`whether agents of group ${group.name} are approved, its certificate says`);
  if (known.end !== undefined)
    throw new StoreError('STORE_GROUP_ENDED', `group ${group.name} was ended; ${way}`);
  if (core.registry.usesOf(groupId) >= group.uses) {
    const all = group.uses === 1 ? 'its one use is used' : `all ${group.uses} uses of it are used`;
    throw new StoreError('STORE_GROUP_FULL', `group ${group.name} is full: ${all}; ${way}`);
  }
  if (group.approve) refuseBearers(core, enrolment.name, ['pending', 'expected']);
  else refuseNewLineName(core, enrolment);
  return undefined;
}

function admittedBefore(row: AgentRow, { binding }: { readonly binding: Signed }): number {
  if (row.binding === undefined || !equalBytes(row.binding.body, binding.body))
    throw new StoreError('STORE_OTHER_KEYS', `agent ${row.name} is enrolled with other keys`);
  const refusal = refusalOf(row);
  if (refusal !== undefined && hasEnded(refusal.code))
    throw new StoreError('STORE_REVOKED', `agent ${row.name}: ${row.endReason}`);
  return row.enrolledLeaf ?? row.expectedLeaf;
}

/** The same decision is accepted again; a decision about a PC that no longer waits is refused. */
export function admitApproval(
  core: VaultView,
  { authorityKey, vaultId }: VaultDescriptorBody,
  event: EventOf<'agentApproved'>,
  admitSuccessor: (enrolment: Signed, pending: AgentRow) => void,
): number | undefined {
  const { body, successor } = verifyApproval(authorityKey, vaultId, event, event.timeMs);
  const row = core.registry.row(body.agentId);
  if (row?.binding === undefined)
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      'no such agent waits for approval; aliquot agents lists those that do',
    );
  const binding = readAgent(row.enrolment, row.binding).binding;
  if (row.approval !== undefined && equalBytes(row.approval.body, event.approval.body))
    return row.endedLeaf ?? row.enrolledLeaf;
  if (row.state === 'revoked')
    throw new StoreError('STORE_REVOKED', `agent ${row.name}: ${row.endReason}`);
  if (row.state !== 'pending') throw bad(`agent ${row.name} was approved already`);
  if (body.successor === undefined || successor === undefined) {
    refuseNewLineName(core, readAgent(row.enrolment, row.binding).enrolment, row);
    return undefined;
  }
  if (binding === undefined || !isSuccessorOf(successor, binding))
    throw bad(`the successor in the approval is not ${row.name}`);
  admitSuccessor(body.successor.enrolment, row);
  return undefined;
}

// ---- what these events change
// ----------------------------------------------------------------------------------------

interface EventPlace {
  readonly leafIndex: number;
  readonly timeMs: number;
}

export function addGroup(
  change: CatalogChange,
  certificate: Signed,
  leaf: EventPlace,
): (registry: Registry) => void {
  const { groupKey } = decodeGroupCertificateBody(certificate.body);
  const row: GroupRow = {
    groupId: groupIdOf(groupKey),
    addedLeaf: leaf.leafIndex,
    addedAtMs: leaf.timeMs,
    end: undefined,
    certificate,
  };
  return putGroup(change, row);
}

export function endGroup(
  change: CatalogChange,
  groupId: GroupId,
  leaf: EventPlace,
  registry: Registry,
): (registry: Registry) => void {
  const row = registry.group(groupId);
  if (row === undefined) return () => undefined;
  return putGroup(change, { ...row, end: { leaf: leaf.leafIndex, timeMs: leaf.timeMs } });
}

function putGroup(change: CatalogChange, row: GroupRow): (registry: Registry) => void {
  change.put(keys.group(row.groupId), encodeGroup(row));
  return (registry) => registry.setGroup(row);
}

/** The row of an agent that came with a group's certificate. */
export function memberRow(
  enrolment: Signed,
  binding: Signed,
  leaf: EventPlace,
  state: 'enrolled' | 'pending',
): AgentRow {
  const { agentId, lineageId, name } = readAgent(enrolment, binding).enrolment;
  const isIn = state === 'enrolled';
  return {
    agentId,
    lineageId,
    name,
    state,
    expectedLeaf: leaf.leafIndex,
    enrolledLeaf: isIn ? leaf.leafIndex : undefined,
    expectedAtMs: leaf.timeMs,
    enrolledAtMs: isIn ? leaf.timeMs : undefined,
    endedAtMs: undefined,
    endedLeaf: undefined,
    endReason: '',
    enrolment,
    binding,
    approval: undefined,
    operator: undefined,
  };
}
