/**
 * Collectors' folders for the tests of fsck, and ways to damage them. Nothing outside tests imports
 * this file.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hex } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import { initCollector } from '../../src/store/collector.ts';
import { type Finding, fsckCollector } from '../../src/store/fsck.ts';
import {
  decodeFooter,
  decodeIndex,
  encodeRecordHeader,
  FOOTER_BYTES,
  RECORD_HEADER_BYTES,
} from '../../src/store/record.ts';
import { boundaries } from './copies.ts';
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
  const world = new StoreWorld('fsck', { blind: true });
  const dir = join(temporaryFolder(), 'collector');
  const ports = packBytes === undefined ? world.ports() : world.ports({ packBytes });
  const store = await initCollector(dir, { name: 'freezer' }, ports);
  const parts = {
    descriptor: world.kit.descriptor,
    certificate: world.certificateFor(store.identity),
    catalogSecretKey: undefined,
  };
  const vault = await store.addVault(parts);
  const agent = await world.agent(vault, 'hplc-1');
  await agent.back(vault, [agent.file('/d/a', [content('a'), content('b')])]);
  await agent.back(vault, [
    agent.file(
      '/d/big',
      Array.from({ length: 40 }, (_, index) => content(`part ${index}`, 200)),
    ),
  ]);
  await agent.back(vault, [agent.gone('/d/a'), agent.file('/d/c', [content('b'), content('c')])]);
  await store.close();
  return { world, dir, vaultDir: join(dir, 'vaults', hex(world.descriptor.vaultId)), agent };
}

/** What fsck finds, with or without a repair. */
export async function check(
  { world, dir }: FsckLab,
  repair = false,
): Promise<{ findings: Finding[]; faults: number }> {
  const findings: Finding[] = [];
  const { faults } = await fsckCollector(dir, {
    ...world.ports(),
    repair,
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

/** The pack, and where in it the record of this kind number with this ordinal begins. */
export async function recordAt(
  vaultDir: string,
  kind: number,
  ordinal = 0,
): Promise<{ path: string; at: number }> {
  let seen = 0;
  for (const { pack, offset } of await boundaries(nodeFiles, vaultDir)) {
    const path = join(vaultDir, 'packs', `0000000${pack}.pack`);
    const file = await nodeFiles.open(path, 'read');
    const head = new Uint8Array(6);
    await file.read(head, offset);
    await file.close();
    if (Buffer.from(head.subarray(0, 4)).toString() !== 'ALQR' || head[5] !== kind) continue;
    if (seen === ordinal) return { path, at: offset };
    seen += 1;
  }
  throw new Error('no such record');
}

/** As after a crash: nothing says how far the packs were durable. */
export function forgetDurable({ vaultDir }: FsckLab): void {
  rmSync(join(vaultDir, 'catalog'), { recursive: true });
  rmSync(join(vaultDir, 'durable.json'));
}

/**
 * Changes a byte of the row of a chunk in the index of the first pack, and all that proves the
 * index, as its maker might have.
 */
export async function changeIndex({ vaultDir }: FsckLab, within: number): Promise<void> {
  const path = join(vaultDir, 'packs', '00000001.pack');
  const bytes = readFileSync(path);
  const salt = bytes.readUInt32BE(28);
  const at = decodeFooter(bytes.subarray(-FOOTER_BYTES), 1, salt)?.indexOffset ?? 0;
  const payload = bytes.subarray(at + RECORD_HEADER_BYTES, bytes.length - FOOTER_BYTES);
  const row = 4 + 41 * (decodeIndex(payload)?.findIndex(({ kind }) => kind === 'chunk') ?? 0);
  payload[row + within] = (payload[row + within] ?? 0) ^ 1;
  bytes.set(
    encodeRecordHeader(
      { kind: 'index', length: payload.length, syncedTo: at, id: sha256(payload) },
      salt,
    ),
    at,
  );
  writeFileSync(path, bytes);
}

/** Packs that are never closed, and such of which all but the last are. */
export const SIZES: readonly (readonly [string, number | undefined])[] = [
  ['full size', undefined],
  ['4096 bytes', 4096],
];
