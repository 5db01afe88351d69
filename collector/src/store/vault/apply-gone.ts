import type { AgentId, EventBody, FileId } from '@aliquot/proto';
import { keys, ranges, readKey } from '../catalog/catalog-keys.ts';
import type { AgentRow, Sums } from '../catalog/catalog-rows.ts';
import type { CatalogChange } from '../catalog/catalog-store.ts';
import type { Registry } from '../catalog/registry.ts';
import { read, values } from '../catalog/row-codec.ts';
import { decodeHead, type HeadRow } from '../catalog/version-rows.ts';
import { StoreError } from '../errors.ts';
import type { Effect, LeafPlace } from './effect.ts';
import { FileVersions, runOf } from './file-versions.ts';
import type { VaultView } from './vault-view.ts';

type FilesGone = Extract<EventBody, { type: 'filesGone' }>;

/**
 * Whether a file's newest version is of the time before a replacement's enrolment, and so of the PC
 * that it replaced: what the new installation has found, it has captured itself.
 */
function isPredecessors({ kind, leafIndex }: HeadRow, { enrolledLeaf }: AgentRow): boolean {
  return kind !== 'gone' && enrolledLeaf !== undefined && leafIndex < enrolledLeaf;
}

/** Throws unless an operator may say of every one of these files that it is gone. */
export async function admitFilesGone(
  core: VaultView,
  { agentId, fileIds }: FilesGone,
): Promise<undefined> {
  const row = await replacementOf(core, agentId);
  const history = core.registry.lineage(row.lineageId)?.number;
  const heads =
    history === undefined
      ? fileIds.map(() => undefined)
      : await core.catalog.getMany(fileIds.map((fileId: FileId) => keys.head(history, fileId)));
  for (const bytes of heads) {
    if (bytes !== undefined && isPredecessors(decodeHead(bytes), row)) continue;
    throw new StoreError(
      'STORE_BAD_EVENT',
      `${row.name} has found one of these files itself, or it is gone already: list them again`,
    );
  }
  return undefined;
}

async function replacementOf(core: VaultView, agentId: AgentId): Promise<AgentRow> {
  const row = core.registry.row(agentId);
  if (row === undefined)
    throw new StoreError(
      'STORE_UNKNOWN_AGENT',
      'no such agent in this vault; aliquot agents lists them',
    );
  const replaces = core.registry.certificate(agentId)?.enrolment.replaces;
  if (row.state !== 'enrolled' || replaces === undefined)
    throw new StoreError(
      'STORE_BAD_EVENT',
      `${row.name} replaces no other agent now, so its own scans say what is gone`,
    );
  if (await beganAnew(core, agentId)) return row;
  const why =
    'it has backed up nothing yet, or goes on in the folder of the agent that it replaced';
  throw new StoreError(
    'STORE_BAD_EVENT',
    `it is not known what ${row.name} finds: ${why}, and then its own scans say what is gone`,
  );
}

/**
 * Whether it began in an empty folder: its first commit follows nothing. One that took its
 * predecessor's folder over goes on with its numbers, knows its files, and so has not captured anew
 * what it has found unchanged.
 */
async function beganAnew(core: VaultView, agentId: AgentId): Promise<boolean> {
  for await (const [key] of core.catalog.scan(ranges.linksOf(agentId)))
    if (readKey.linkSequence(key) === 1) return true;
  return false;
}

/**
 * Enters the word of an operator as a version "gone" of each file, at the place of the event's
 * leaf; every earlier version stays.
 */
export async function applyFilesGone(
  change: CatalogChange,
  { agentId, fileIds }: FilesGone,
  leaf: LeafPlace,
  sums: Sums,
  registry: Registry,
): Promise<{ readonly sums: Sums; readonly effect: Effect }> {
  const row = registry.row(agentId);
  if (row === undefined) return { sums, effect: () => undefined };
  const { lineageId } = row;
  const stored = await change.get(keys.lineage(lineageId));
  if (stored === undefined) return { sums, effect: () => undefined };
  const known = read.lineage(stored);
  const versions = new FileVersions(change, known.number);
  const [heads] = await versions.headsOf([runOf(fileIds)]);
  let files = 0;
  let bytes = 0n;
  for (const slot of fileIds.keys()) {
    const before = heads?.at(slot);
    if (before === undefined || !isPredecessors(before, row)) continue;
    const timeMs = Math.max(leaf.timeMs, before.timeMs);
    const { leafIndex } = leaf;
    heads?.enter(slot, before, { timeMs, leafIndex, slot, kind: 'gone', size: 0 });
    files += before.kind === 'file' ? 1 : 0;
    bytes += BigInt(before.size);
  }
  versions.finish();
  const lineage = { ...known, files: known.files - files, bytes: known.bytes - bytes };
  change.put(keys.lineage(lineageId), values.lineage(lineage));
  return {
    sums: { ...sums, files: sums.files - files, liveBytes: sums.liveBytes - bytes },
    effect: (live) => live.setLineage(lineageId, lineage),
  };
}
