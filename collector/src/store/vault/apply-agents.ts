import {
  decodeAgentApprovalBody,
  decodeEnrolmentCertificateBody,
  type EventBody,
  type Signed,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { readAgent } from '@aliquot/shared/keys/certificates';
import { keys } from '../catalog/catalog-keys.ts';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import { hex, type Registry } from '../catalog/registry.ts';
import { values } from '../catalog/row-codec.ts';
import type { Effect, LeafPlace } from './effect.ts';
import { memberRow } from './groups.ts';

/*
 * From being expected, or pending, to being revoked or replaced: what each event makes of an agent.
 */

/** Enters agents as they stand now. */
export function putAgents(change: CatalogChange, rows: readonly AgentRow[]): Effect {
  for (const row of rows) change.put(keys.agent(row.agentId), values.agent(row));
  return (registry) => {
    for (const row of rows) registry.setAgent(row);
  };
}

/** A new bundle for a name makes an unused older one of the same name worthless. */
export function expectAgent(enrolment: Signed, leaf: LeafPlace, registry: Registry): AgentRow[] {
  const body = decodeEnrolmentCertificateBody(enrolment.body);
  const superseded = registry
    .rows()
    .filter((row) => row.name === body.name && row.state === 'expected');
  const row: AgentRow = {
    agentId: body.agentId,
    lineageId: body.lineageId,
    name: body.name,
    state: 'expected',
    expectedLeaf: leaf.leafIndex,
    enrolledLeaf: undefined,
    expectedAtMs: leaf.timeMs,
    enrolledAtMs: undefined,
    endedAtMs: undefined,
    endedLeaf: undefined,
    endReason: '',
    enrolment,
    binding: undefined,
    approval: undefined,
    operator: undefined,
  };
  return [
    ...superseded.map((old) =>
      ended(old, 'revoked', leaf, 'a newer bundle was made for this name'),
    ),
    row,
  ];
}

/** An expected agent has come; the one that it replaces ends. */
export function enrolAgent(
  enrolment: Signed,
  binding: Signed,
  leaf: LeafPlace,
  registry: Registry,
): AgentRow[] {
  const { enrolment: body, group } = readAgent(enrolment, binding);
  if (group !== undefined) return [memberRow(enrolment, binding, leaf, 'enrolled')];
  const { agentId, replaces, name } = body;
  const row = registry.row(agentId);
  if (row === undefined) return [];
  const enrolled: AgentRow = {
    ...row,
    state: 'enrolled',
    binding,
    enrolledLeaf: leaf.leafIndex,
    enrolledAtMs: leaf.timeMs,
  };
  const old = replaces === undefined ? undefined : registry.row(replaces);
  const gone = old === undefined || old.state === 'revoked' || equalBytes(old.agentId, agentId);
  return gone
    ? [enrolled]
    : [ended(old, 'replaced', leaf, `replaced by ${name} (${hex(agentId).slice(0, 8)})`), enrolled];
}

/**
 * A pending PC becomes an agent as it is; or another agent's successor is expected, which it
 * becomes as soon as it hears of it.
 */
export function approveAgent(
  { approval, operator }: Extract<EventBody, { type: 'agentApproved' }>,
  leaf: LeafPlace,
  registry: Registry,
): AgentRow[] {
  const { agentId, successor } = decodeAgentApprovalBody(approval.body);
  const row = registry.row(agentId);
  if (row === undefined) return [];
  const approved: AgentRow = { ...row, approval, operator };
  if (successor === undefined)
    return [
      { ...approved, state: 'enrolled', enrolledLeaf: leaf.leafIndex, enrolledAtMs: leaf.timeMs },
    ];
  const old = registry.row(
    decodeEnrolmentCertificateBody(successor.enrolment.body).replaces ?? agentId,
  );
  const reason = `approved in the place of ${old?.name ?? 'another agent'}`;
  return [
    ended(approved, 'replaced', leaf, reason),
    ...expectAgent(successor.enrolment, leaf, registry),
  ];
}

/** An agent that is one no more, and why. */
export function ended(
  row: AgentRow,
  state: 'revoked' | 'replaced',
  leaf: LeafPlace,
  endReason: string,
): AgentRow {
  return { ...row, state, endedAtMs: leaf.timeMs, endedLeaf: leaf.leafIndex, endReason };
}
