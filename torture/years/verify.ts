import { join } from 'node:path';
import { decodeReceiptBody, type LineageId, type StateRecord } from '@aliquot/proto';
import { hex, utf8 } from '@aliquot/shared/crypto/bytes';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import { RecordReader } from '@aliquot/shared/records/reader';
import { isItem, packFormat } from '../../collector/src/store/packs/pack-format.ts';
import type { VaultStore } from '../../collector/src/store/vault-store.ts';
import type { Archive } from './archive.ts';
import type { Keeping } from './keeping.ts';
import type { Pc } from './pc.ts';
import type { RecordedVersion, YearsRecord } from './record.ts';

/** What is held against the record at the end. */
export interface JudgeParts {
  readonly archive: Archive;
  readonly keeping: Keeping;
  readonly record: YearsRecord;
  /** Every PC that there was. */
  readonly pcs: readonly Pc[];
  /** The one that never comes again. */
  readonly cupboard: Pc;
}

/** What lies on the disk, and what of it anybody needs; bytes of chunks, pages and slabs. */
export interface DiskFigures {
  readonly written: number;
  readonly alive: number;
  readonly onDisk: number;
  /** On the disk, in per cent of what is alive. */
  readonly percent: number;
}

/** Half a year: then it has something to hold back. */
const MANY_COLLECTIONS = 13;
/** At most so much more lies on the disk than is alive (issue: five simulated years). */
const MOST_PERCENT = 105;

/** The versions that the collector has are those that the book leaves, at the times it says. */
export async function judgeListing({ archive, record, pcs }: JudgeParts): Promise<string[]> {
  const wrong: string[] = [];
  const { vault } = archive;
  const listed = new Map<string, number>();
  const take = async (records: AsyncIterable<StateRecord>): Promise<void> => {
    for await (const { receipt, live, versionTimesMs } of records) {
      const { leafIndex } = decodeReceiptBody(receipt.body);
      for (const [at, slot] of live.entries())
        listed.set(`${leafIndex}.${slot}`, versionTimesMs[at] ?? 0);
    }
  };
  const lineages = new Map(pcs.map((pc) => [pc.lineage, pc.agent]));
  for (const { lineageId } of lineages.values()) await take(vault.reading.everyVersion(lineageId));
  for (const { lineage, path, isResult } of record.subjects) {
    const agent = lineages.get(lineage);
    if (!isResult || agent === undefined) continue;
    const resultId = resultIdFor(agent.pathKey, utf8(path));
    await take(vault.reading.resultVersions(agent.lineageId, resultId));
  }
  for (const { path, versions } of record.subjects)
    for (const one of versions) {
      const timeMs = listed.get(placeText(one));
      listed.delete(placeText(one));
      if (one.isDropped && timeMs !== undefined)
        wrong.push(`${describe(one, path)} was to go, and is there`);
      if (!one.isDropped && timeMs === undefined)
        wrong.push(`I-C19: ${describe(one, path)} has to stay, and is not there`);
      if (!one.isDropped && timeMs !== undefined && timeMs !== one.timeMs)
        wrong.push(`${describe(one, path)} counts as of ${new Date(timeMs).toISOString()}`);
    }
  if (listed.size > 0) wrong.push(`${listed.size} versions are there that no receipt was for`);
  return wrong;
}

/** At the end everything has gone that the book lets go, but for what the cupboard holds back. */
export function judgeGone({ keeping, record, cupboard }: JudgeParts): string[] {
  const book = keeping.book();
  const wrong: string[] = [];
  let heldBack = 0;
  for (const subject of record.subjects) {
    const stays = book.stays(record, subject);
    for (const [at, one] of subject.versions.entries()) {
      if (one.isDropped || stays[at] === true || !keeping.isOverdue(one)) continue;
      if (subject.lineage === cupboard.lineage) heldBack += 1;
      else wrong.push(`${describe(one, subject.path)} has been let go, and is not dropped`);
    }
  }
  if (keeping.collected.collections > MANY_COLLECTIONS && heldBack === 0)
    wrong.push('the PC in the cupboard holds nothing back: the scenario shows nothing of it');
  return wrong;
}

/** Only the PC in the cupboard is waited for, and it is as soon as anything of it was dropped. */
export function judgeWaits({ archive, record, cupboard, pcs }: JudgeParts): string[] {
  const { vault } = archive;
  const isOwed = record.subjects.some(
    ({ lineage, versions }) =>
      lineage === cupboard.lineage && versions.some(({ isDropped }) => isDropped),
  );
  return pcs.flatMap(({ agent, lineage }) => {
    const waits = waitsOf(vault, agent.lineageId);
    const names = waits.map((wait) => wait.agent).join(', ');
    if (lineage !== cupboard.lineage)
      return waits.length === 0 ? [] : [`${agent.name} is waited for: ${names}`];
    const wanted = isOwed ? agent.name : '';
    return names === wanted ? [] : [`of the PC in the cupboard is waited for: ${names || 'none'}`];
  });
}

function waitsOf(vault: VaultStore, lineageId: LineageId) {
  const { announced, swept } = vault.sweep.progress(lineageId);
  return announced > swept ? vault.sweep.sweepWaitsFor(lineageId, announced) : [];
}

/**
 * Reads every pack on the disk: what a version needs that is left is there, nothing is there that
 * none needs, and there is little of it twice.
 */
export async function judgeDisk({
  archive,
  record,
  pcs,
  cupboard,
}: JudgeParts): Promise<{ readonly wrong: string[]; readonly figures: DiskFigures }> {
  const alive = new Set<string>();
  // Its set is what it was when it was last heard of.
  for (const { lineage, versions } of record.subjects)
    for (const { items, isDropped } of versions)
      if (!isDropped || lineage === cupboard.lineage) for (const id of items) alive.add(id);
  const found = new Map<string, number>();
  let onDisk = 0;
  const dir = join(archive.vaultDir, 'packs');
  const packs = await RecordReader.open({ port: nodeDisk, dir, format: packFormat });
  for await (const item of packs.scan()) {
    if (item.type !== 'record' || !isItem(item.header.kind)) continue;
    const bytes = item.payload?.length ?? 0;
    found.set(hex(item.header.digest), bytes);
    onDisk += bytes;
  }
  await packs.close();
  const missing = [...alive].filter((id) => !found.has(id));
  const dead = [...found.keys()].filter((id) => !alive.has(id));
  const aliveBytes = [...alive].reduce((sum, id) => sum + (record.items.get(id)?.bytes ?? 0), 0);
  const percent = aliveBytes === 0 ? 100 : (onDisk * 100) / aliveBytes;
  const wrong: string[] = [];
  if (missing.length > 0) wrong.push(`P1: ${missing.length} items that are needed are in no pack`);
  if (dead.length > 0) wrong.push(`${dead.length} items are in packs that no version needs`);
  if (percent > MOST_PERCENT)
    wrong.push(`${onDisk} bytes lie on the disk, and ${aliveBytes} are alive`);
  const written = pcs.reduce((sum, pc) => sum + pc.sentBytes, 0);
  return { wrong, figures: { written, alive: aliveBytes, onDisk, percent } };
}

function placeText({ leafIndex, slot }: RecordedVersion): string {
  return `${leafIndex}.${slot}`;
}

export function describe(one: RecordedVersion, path: string): string {
  return `${one.kind === 'gone' ? 'the end' : 'a version'} of ${path} of ${one.pc}, of ${new Date(one.timeMs).toISOString()} (leaf ${placeText(one)})`;
}
