import type { AgentId, ChainPoint } from '@aliquot/proto';
import type { LinkRow } from '../catalog/catalog-rows.ts';
import type { CatalogStore } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';

/** What is looked at to decide about a commit or an event; a look changes nothing. */
export interface VaultView {
  readonly registry: Registry;
  readonly catalog: Pick<CatalogStore, 'getMany' | 'scan'>;
  /** Where an accepted commit is; `undefined` when this very commit was never accepted. */
  link(agentId: AgentId, point: ChainPoint): Promise<LinkRow | undefined>;
}
