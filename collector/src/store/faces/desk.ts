import { decodeEventBody } from '@aliquot/proto';
import { keys } from '../catalog/catalog-keys.ts';
import { saidRow } from '../catalog/desk.ts';
import { leafAt } from '../vault/read-back.ts';
import type { VaultParts } from '../vault/vault-parts.ts';
import type { VaultDesk } from '../vault-store.ts';

export function deskOf({ keeper }: VaultParts): VaultDesk {
  const desk = () => keeper.live().registry.desk;
  return {
    policyRevision: () => desk().newest,

    async policy(revision) {
      const leafIndex = desk().policyLeaf(revision);
      if (leafIndex === undefined) return undefined;
      const { record } = await keeper.ask((core) => leafAt(core, leafIndex));
      const event = record.type === 'event' ? decodeEventBody(record.event) : undefined;
      return event?.type === 'policySet' ? event : undefined;
    },

    policies: () => desk().policies,

    of: (agentId) => desk().of(agentId),

    settingsWait: () => desk().waiting().length > 0,

    said(agentId, said) {
      const { registry, catalog } = keeper.live();
      const before = registry.desk.of(agentId).said ?? {
        inForce: 0,
        software: '',
        reply: undefined,
      };
      registry.desk.say(agentId, { ...before, ...said });
      catalog.note(keys.said(agentId), saidRow({ ...before, ...said }));
    },
  };
}
