import type { EnrolmentCertificateBody } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { AgentRow } from '../catalog/catalog-rows.ts';
import { hasEnded } from '../catalog/refusal.ts';
import { StoreError } from '../errors.ts';
import type { VaultView } from './vault-view.ts';

/*
 * Who may bear a name. Agents and clones are named in one place, so no two that live may have the
 * same name; and files are listed under the name of who captured them, also after its end.
 */

/** Throws when any agent in one of these states has the name; `besides` is nobody's rival. */
export function refuseBearers(
  core: VaultView,
  name: string,
  states: readonly AgentRow['state'][],
  besides?: AgentRow,
): void {
  const bearer = core.registry
    .rows()
    .find((row) => row.name === name && states.includes(row.state) && row !== besides);
  if (bearer === undefined) return;
  throw new StoreError('STORE_NAME_TAKEN', taken(bearer));
}

function taken({ name, state }: AgentRow): string {
  if (state === 'expected')
    return `a bundle for ${name} is already waiting to be used: use it, or \`aliquot agent revoke ${name}\` first`;
  if (state === 'pending')
    return `a PC named ${name} waits for approval: \`aliquot agents approve ${name}\`, or \`aliquot agent revoke ${name}\` first`;
  return `an enrolled agent has the name ${name}; choose another name, or say --replaces ${name}`;
}

/**
 * Throws unless an agent that begins a line of its own may have its name; `besides` is that agent's
 * own row.
 */
export function refuseNewLineName(
  core: VaultView,
  enrolment: EnrolmentCertificateBody,
  besides?: AgentRow,
): void {
  refuseBearers(core, enrolment.name, ['enrolled', 'pending', 'expected'], besides);
  refuseBorneName(core, enrolment);
  refuseCloneName(core, enrolment.name);
}

/** Two lineages of one name could not be told apart. */
export function refuseBorneName(
  core: VaultView,
  { name, lineageId }: EnrolmentCertificateBody,
): void {
  const dead = (row: AgentRow): boolean => row.enrolledLeaf !== undefined && hasEnded(row.state);
  const bearer = core.registry
    .rows()
    .find((row) => row.name === name && dead(row) && !equalBytes(row.lineageId, lineageId));
  if (bearer === undefined) return;
  const remedy = `say --replaces ${name} to go on with them, or choose another name`;
  throw new StoreError(
    'STORE_NAME_TAKEN',
    `an agent that was ${bearer.state} had the name ${name}, and its files stay listed under it; ${remedy}`,
  );
}

export function refuseCloneName(core: VaultView, name: string): void {
  for (const { agentId, name: original } of core.registry.rows()) {
    const clones = core.registry.lines(agentId)?.apart() ?? [];
    if (clones.some((history) => history.state === 'clone' && history.name === name))
      throw new StoreError(
        'STORE_NAME_TAKEN',
        `a clone of ${original} has the name ${name}; choose another name`,
      );
  }
}
