/**
 * Collectors' folders for the tests of fsck, and ways to damage them. Nothing outside tests imports
 * this file.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { initCollector, openCollector } from '../../src/store/collector.ts';
import type { CollectorStore } from '../../src/store/collector-store.ts';
import { fsckCollector } from '../../src/store/fsck/fsck.ts';
import type { Finding } from '../../src/store/fsck-finding.ts';
import type { HistoryKind } from '../../src/store/history/history-log.ts';
import { type PackKind, packFormat } from '../../src/store/packs/pack-format.ts';
import type { FolderPorts } from '../../src/store/vault/vault-parts.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { fileOf, recordsIn } from './copies.ts';
import { content, StoreWorld, type WorldAgent } from './world.ts';

/** A collector's folder that fsck looks at. */
export interface FsckLab {
  readonly world: StoreWorld;
  readonly dir: string;
  readonly vaultDir: string;
  readonly agent: WorldAgent;
}

/** A collector with one vault, one agent, three commits, closed. */
export async function lab(packBytes?: number): Promise<FsckLab> {
  return labWith(packBytes, async (agent, vault) => {
    await agent.back(vault, [agent.file('/d/a', [content('a'), content('b')])]);
    await agent.back(vault, [
      agent.file(
        '/d/big',
        Array.from({ length: 40 }, (_, index) => content(`part ${index}`, 200)),
      ),
    ]);
    await agent.back(vault, [agent.gone('/d/a'), agent.file('/d/c', [content('b'), content('c')])]);
  });
}

/** The same, with an agent that has sent nothing yet. */
export function emptyLab(): Promise<FsckLab> {
  return labWith(undefined, async () => undefined);
}

async function labWith(
  packBytes: number | undefined,
  fill: (agent: WorldAgent, vault: VaultStore) => Promise<void>,
): Promise<FsckLab> {
  const world = new StoreWorld('fsck', { blind: true });
  const dir = join(temporaryFolder(), 'collector');
  const ports =
    packBytes === undefined
      ? world.ports()
      : world.ports({ packBytes, historyFileBytes: packBytes });
  const store = await initCollector(dir, { name: 'freezer' }, ports);
  const parts = {
    descriptor: world.kit.descriptor,
    certificate: world.certificateFor(store.identity),
    catalogSecretKey: undefined,
  };
  const vault = await store.addVault(parts);
  const agent = await world.agent(vault, 'hplc-1');
  await fill(agent, vault);
  await store.close();
  return { world, dir, vaultDir: join(dir, 'vaults', hex(world.descriptor.vaultId)), agent };
}

/** A collector of which every vault is served; throws what keeps one from it. */
export async function openWhole(dir: string, ports: FolderPorts): Promise<CollectorStore> {
  const store = await openCollector(dir, ports);
  const [ailing] = store.ailing();
  if (ailing === undefined) return store;
  await store.close();
  throw ailing.error;
}

/** What fsck finds, with or without a repair; with `--packs-lost` too. */
export async function check(
  { world, dir }: Pick<FsckLab, 'world' | 'dir'>,
  repair = false,
  packsLost = false,
): Promise<{ findings: Finding[]; faults: number }> {
  const findings: Finding[] = [];
  const { faults } = await fsckCollector(dir, {
    ...world.ports(),
    repair,
    packsLost,
    onFinding: (finding) => findings.push(finding),
  });
  return { findings, faults };
}

export const codes = (findings: readonly Finding[]) => findings.map((finding) => finding.code);

/** Flips a bit; twice mends it. */
export async function spoil(path: string, offset: number): Promise<void> {
  const file = await nodeFiles.open(path, 'update');
  const byte = new Uint8Array(1);
  await file.read(byte, offset);
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 1), offset);
  await file.close();
}

/** The file, and where in it the record of this kind with this ordinal begins. */
export async function recordAt(
  vaultDir: string,
  kind: PackKind | HistoryKind,
  ordinal = 0,
): Promise<{ path: string; at: number }> {
  const log = kind in packFormat.kinds ? 'packs' : 'history';
  let seen = 0;
  for (const record of await recordsIn(nodeFiles, vaultDir, log)) {
    if (record.kind !== kind) continue;
    if (seen === ordinal) return { path: fileOf(vaultDir, log, record.file), at: record.offset };
    seen += 1;
  }
  throw new Error('no such record');
}

/** As after a crash: nothing says how far history and packs were durable. */
export function forgetDurable({ vaultDir }: FsckLab): void {
  rmSync(join(vaultDir, 'catalog'), { recursive: true });
  rmSync(join(vaultDir, 'durable.json'));
}

/** Packs that are never closed, and such of which all but the last are. */
export const sizes: readonly (readonly [string, number | undefined])[] = [
  ['full size', undefined],
  ['4096 bytes', 4096],
];
