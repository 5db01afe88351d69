import { type ChunkId, decodeStoredCommit, encodeStoredCommit } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import type { HistoryItem, HistoryRecord } from '../history/history-log.ts';
import type { RewriteOptions, ThinReport } from '../vault-records.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import { provedDead } from './dead-proof.ts';
import { purgedLeaves } from './history-files.ts';
import { rewriteHistoryFile } from './rewrite-history.ts';
import { thinned } from './thin-commit.ts';
import { type FilePlan, goingBlocks, planFiles, provedDropped } from './thin-plan.ts';
import type { VaultParts } from './vault-parts.ts';

/** A file of which so much would go is written anew, as packs are. */
const GOES_PERCENT = 30;
/** What is proved with one reading of the history. */
const MOST_GROUPED_BYTES = 256 * 1024 * 1024;
const MOST_ASKED = 131_072;
const NO_SLOTS: Uint8Array = new Uint8Array(0);

/** What rewriting the history came to so far. */
export interface HistoryCounts {
  rewrittenFiles: number;
  freedBytes: number;
  writtenBytes: number;
  readonly kept: { readonly file: number; readonly why: string }[];
}

export function newHistoryCounts(): HistoryCounts {
  return { rewrittenFiles: 0, freedBytes: 0, writtenBytes: 0, kept: [] };
}

/**
 * Writes closed files of the history anew without what dropped versions had there: the blocks of
 * commits of which every row was dropped (`thin-commit.ts`). A file is whole, durable and proved
 * beside the one in force before its name puts it in force; the catalog follows in one flush, and
 * only then the former one goes (I-C29). A crash at any step leaves one of two in force, and the
 * next start ends the work. What was done by the time that it fails stands in `counts`.
 */
export async function thinHistory(
  { keeper, pace }: Pick<VaultParts, 'keeper' | 'pace'>,
  options: RewriteOptions,
  counts: HistoryCounts,
): Promise<ThinReport> {
  const { budgetBytes = Number.POSITIVE_INFINITY, bytesPerSecond } = options;
  const isStopped = options.isStopped ?? (() => false);
  const began = pace?.elapsedMs() ?? 0;
  const wrote = async (bytes: number): Promise<void> => {
    counts.writtenBytes += bytes;
    if (bytesPerSecond === undefined || pace === undefined) return;
    const restMs = began + (counts.writtenBytes / bytesPerSecond) * 1000 - pace.elapsedMs();
    if (restMs >= 1) await new Promise<void>((over) => pace.timers.after(restMs, over));
  };
  // Places of the newest file move never: what is in the catalog by now ends behind the others.
  await keeper.flush();
  const core = await keeper.ready();
  const isOver = () => isStopped() || counts.writtenBytes >= budgetBytes;
  for await (const group of wantedGroups(core, options)) {
    if (isOver()) return { ...counts, isDone: false };
    const proof = await proofOf(core, group);
    for (const plan of group) {
      if (isOver()) return { ...counts, isDone: false };
      if (!(await rewriteOne({ keeper, core, wrote }, plan, proof, counts)))
        return { ...counts, isDone: false };
    }
  }
  return { ...counts, isDone: true };
}

/** Bytes that would go of the history if it were thinned now. */
export async function historyAhead(core: VaultCore): Promise<number> {
  let bytes = 0;
  for await (const group of wantedGroups(core, {}))
    for (const { goesBytes } of group) bytes += goesBytes;
  return bytes;
}

/** Files that are worth it, as many as are proved at once. */
async function* wantedGroups(
  core: VaultCore,
  { all = false }: RewriteOptions,
): AsyncGenerator<readonly FilePlan[], void, void> {
  const least = all ? 0 : GOES_PERCENT / 100;
  let group: FilePlan[] = [];
  let bytes = 0;
  for await (const plan of planFiles(core)) {
    if (plan.goesBytes < least * plan.bytes) continue;
    group.push(plan);
    bytes += plan.bytes;
    if (bytes < MOST_GROUPED_BYTES) continue;
    yield group;
    [group, bytes] = [[], 0];
  }
  if (group.length > 0) yield group;
}

/** What the history proves of what goes. */
interface ThinProof {
  readonly dropped: ReadonlyMap<number, Uint8Array>;
  /** Chunks that nobody has any more, by `mapKey`. */
  readonly dead: ReadonlySet<string>;
}

async function proofOf({ history }: VaultCore, group: readonly FilePlan[]): Promise<ThinProof> {
  const isAsked = (leaf: number) => group.some(({ from, below }) => leaf >= from && leaf < below);
  const dropped = await provedDropped(history, isAsked);
  const ids = group.flatMap(({ dead }) => dead).slice(0, MOST_ASKED);
  const proof = ids.length === 0 ? undefined : await provedDead(history, ids);
  return { dropped, dead: proof?.type === 'proved' ? proof.dead : new Set() };
}

interface ThinParts {
  readonly keeper: CoreKeeper;
  readonly core: VaultCore;
  readonly wrote: (bytes: number) => Promise<void>;
}

/** Whether the next may be begun. */
function rewriteOne(
  { keeper, core, wrote }: ThinParts,
  { file, from, below, bytes }: FilePlan,
  { dropped, dead }: ThinProof,
  counts: HistoryCounts,
): Promise<boolean> {
  const isNeeded = (id: ChunkId) => !dead.has(mapKey(id));
  return keeper.rewriting.run(async () => {
    // Since it was planned, a purge may have sealed a commit of it anew.
    if ((await purgedLeaves(core.catalog)).some((leaf) => leaf >= from && leaf < below))
      return true;
    const outcome = await rewriteHistoryFile({ keeper, core }, file, async (item, leafIndex) => {
      const record = thinnedRecord(item, dropped.get(leafIndex) ?? NO_SLOTS, isNeeded);
      await wrote(record.payload.length);
      return record;
    });
    if (outcome.type === 'reopened') return false;
    if (outcome.type === 'kept') counts.kept.push({ file, why: outcome.why });
    else {
      counts.rewrittenFiles += 1;
      counts.freedBytes += bytes - outcome.bytes;
    }
    return true;
  });
}

function thinnedRecord(
  { kind, payload, isBroken, digest }: HistoryItem,
  dropped: Uint8Array,
  isNeeded: (id: ChunkId) => boolean,
): HistoryRecord {
  // What has rotted stays as it is, with what proves what it was.
  if (isBroken === true) return { kind, payload, digest };
  if (kind !== 'commit' && kind !== 'thinned') return { kind, payload };
  const stored = decodeStoredCommit(payload);
  const gone = goingBlocks(stored, dropped);
  if (gone.size === 0 && kind === 'commit') return { kind, payload };
  const after = thinned(stored, { gone, replaced: new Map() }, isNeeded);
  return { kind: 'thinned', payload: encodeStoredCommit(after) };
}
