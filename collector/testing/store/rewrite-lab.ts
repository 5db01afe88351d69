/** Vaults with dead items in their packs. Nothing outside tests imports this file. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ChunkId } from '@aliquot/proto';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { onTestFinished } from 'vitest';
import { StoredVault } from '../../src/store/stored-vault.ts';
import { diskMedia, type VaultMedia } from '../../src/store/vault/media.ts';
import type { FolderPorts } from '../../src/store/vault/vault-parts.ts';
import type { PutItem } from '../../src/store/vault-records.ts';
import { ObjectPacks, objectsOnly } from './object-packs.ts';
import { content, StoreWorld, type WorldAgent } from './world.ts';

/** Where packs lie. */
export type PackTenant = 'files' | 'objects';
const sizes = { packBytes: 4096, historyFileBytes: 8192 };

export interface RewriteLab {
  readonly world: StoreWorld;
  readonly agent: WorldAgent;
  /** The vault's folder. */
  readonly dir: string;
  /** Sent before a crash, and never named by any record. */
  readonly orphans: readonly PutItem[];
  /** What the agent has receipts for. */
  readonly owned: readonly PutItem[];
  open(ports?: Partial<FolderPorts>): Promise<StoredVault>;
}

/**
 * A vault whose process died: between what an agent has receipts for lie items that it had only
 * sent, so nobody owns them; some packs hold nothing else.
 */
export async function rewriteLab(tenant: PackTenant): Promise<RewriteLab> {
  const world = new StoreWorld('rewrite');
  const before = temporaryFolder();
  const dir = join(temporaryFolder(), 'vault');
  const first = await openVault(world, before, tenant);
  await first.events.append(world.vaultAdded());
  const agent = await world.agent(first, 'hplc-1');
  const owned: PutItem[] = [];
  for (let round = 0; round < 6; round += 1) {
    const files = [
      agent.file(`/d/${round}`, [content(`own ${round}`), content(`too ${round}`)]),
      ...agent.small({ '/s/a': content(`small ${round}`, 50), '/s/b': content(`b ${round}`, 70) }),
    ];
    await agent.back(first, files);
    owned.push(...files.flatMap(({ items }) => items));
  }
  const chunks = Array.from({ length: 40 }, (_, at) => content(`orphan ${at}`));
  const orphans = agent.file('/orphan', chunks).items;
  // Nothing is synced from here on: no record names these when the process dies.
  for (let at = 0; at < orphans.length; at += 3)
    await first.intake.putChunks(agent.lineageId, orphans.slice(at, at + 3));
  cpSync(before, dir, { recursive: true });
  await first.close();
  return {
    world,
    agent,
    dir,
    orphans,
    owned,
    open: (ports) => openVault(world, dir, tenant, ports),
  };
}

async function openVault(
  world: StoreWorld,
  dir: string,
  tenant: PackTenant,
  ports: Partial<FolderPorts> = {},
): Promise<StoredVault> {
  const media = diskMedia(dir, world.descriptor.vaultId, { ...world.ports(ports), ...sizes });
  const onObjects: VaultMedia = {
    ...media,
    reserve: undefined,
    openPacks: (opening) =>
      ObjectPacks.open(
        join(dir, 'packs'),
        world.descriptor.vaultId,
        { ...world.ports(), files: objectsOnly, packBytes: sizes.packBytes },
        opening,
      ),
  };
  const chosen = tenant === 'files' ? media : onObjects;
  const vault = await StoredVault.open(chosen, world.identity, world.ports());
  onTestFinished(() => vault.close());
  return vault;
}

export const idsOf = (items: readonly PutItem[]): ChunkId[] => items.map(({ id }) => id);
