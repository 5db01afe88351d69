import { type EntryDraft, MAX_SLAB_PIECES } from '@aliquot/proto';
import { utf8 } from '@aliquot/shared/crypto/bytes';
import { StoredVault } from '../../collector/src/store/stored-vault.ts';
import { StoreWorld, type WorldAgent } from '../../collector/testing/store/world.ts';

const DAY_MS = 86_400_000;
/** What an agent puts into one commit. */
export const COMMIT_ROWS = 4096;

/** How many versions a vault is made of. */
export interface VersionsAsked {
  readonly agents: number;
  readonly filesEach: number;
  /** Of each file, the newest included. */
  readonly versionsEach: number;
}

/** Everything about a vault follows from its seed, so another process can open it again. */
export function worldOf(seed: string): StoreWorld {
  return new StoreWorld(`bench ${seed}`);
}

export function openVault(world: StoreWorld, dir: string, hasher = {}): Promise<StoredVault> {
  const identity = { ...world.identity, catalogSecretKey: world.kit.catalogSecretKey };
  return StoredVault.inFolder(dir, identity, { ...world.ports(), ...hasher });
}

/**
 * Makes a vault of small files in slabs, which agents sealed, signed and committed, 4,096 versions
 * at a time, and the store accepted: a version of each file every ten days. Agents of one run share
 * their slabs' bytes between files and versions: what is looked at afterwards are versions.
 */
export async function makeVersions(
  world: StoreWorld,
  vault: StoredVault,
  { agents, filesEach, versionsEach }: VersionsAsked,
  say: (line: string) => void,
): Promise<void> {
  await vault.events.append(world.vaultAdded());
  for (let number = 0; number < agents; number += 1) {
    const agent = await world.agent(vault, `hplc-${number}`);
    const sealed = slabsFor(agent);
    await vault.intake.putChunks(
      agent.lineageId,
      sealed.flatMap(({ items }, at) => (at % MAX_SLAB_PIECES === 0 ? items : [])),
    );
    const files = Array.from({ length: filesEach }, (_, at): EntryDraft => {
      const path = `/data/run-${Math.floor(at / 100)}/injection-${at}.dat`;
      const { draft } = sealed[at % sealed.length] as (typeof sealed)[number];
      return { ...draft, fileId: agent.fileId(path), list: { ...draft.list, path: utf8(path) } };
    });
    const began = world.clock.now;
    for (let version = 0; version < versionsEach; version += 1) {
      for (let from = 0; from < files.length; from += COMMIT_ROWS) {
        const capturedAtMs = world.clock.now;
        const rows = files.slice(from, from + COMMIT_ROWS);
        await agent.back(
          vault,
          rows.map((draft) => ({ ...draft, class: 'raw', capturedAtMs })),
        );
        world.clock.now += 60_000;
      }
      world.clock.now += 10 * DAY_MS;
    }
    world.clock.now = began + 60_000;
    say(`${(number + 1) * filesEach * versionsEach} versions`);
  }
}

/** Pieces of sixteen slabs: as many as a commit has rows. */
function slabsFor(agent: WorldAgent) {
  return Array.from({ length: COMMIT_ROWS / MAX_SLAB_PIECES }, (_, slab) => {
    const files = Array.from({ length: MAX_SLAB_PIECES }, (__, piece) => [
      `/slab-${slab}/${piece}`,
      utf8(`injection ${slab} ${piece} of ${agent.name}`),
    ]);
    return agent.small(Object.fromEntries(files));
  }).flat();
}
