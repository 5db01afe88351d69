import type { AgentId, ChainPoint } from '@aliquot/proto';
import type { Catalog } from '../catalog/catalog.ts';
import type { LinkRow } from '../catalog/catalog-rows.ts';
import type { Registry } from '../catalog/registry.ts';

/** What is looked at to decide about a commit or an event; a look changes nothing. */
export interface VaultView {
  readonly registry: Registry;
  readonly catalog: Pick<Catalog, 'getMany' | 'scan'>;
  /** Where an accepted commit is; `undefined` when this very commit was never accepted. */
  link(agentId: AgentId, point: ChainPoint): Promise<LinkRow | undefined>;
}
