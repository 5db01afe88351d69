import { formatBytes } from '@aliquot/shared/cli/format';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import type { CollectorProblem } from '../api/messages.ts';
import type { CollectorStore } from '../store/collector-store.ts';

/** With less, no commit fits that is worth the name. */
const FULL_BYTES = 64 * 1024 ** 2;
/** A day of one busy instrument. */
const NEARLY_BYTES = 2 * 1024 ** 3;
/** What it takes to order a disk and build it in. */
const NEARLY_DAYS = 14;

/** How much room the collector's folder has. */
export interface DiskSpace {
  /** Bytes that this user may still write there. */
  readonly freeBytes: number;
  /** Bytes a day that all vaults grow by; `undefined` while one of them does not know. */
  readonly growthPerDay: number | undefined;
  /** When the room ends if the growth stays; `undefined` without a growth. */
  readonly daysLeft: number | undefined;
}

export async function diskSpace(
  files: FilePort,
  store: CollectorStore,
  nowMs: number,
): Promise<DiskSpace> {
  const freeBytes = await files.freeBytes(store.dir);
  let growthPerDay: number | undefined = 0;
  for (const vault of store.vaults()) {
    const grows = vault.figures.growthPerDay(nowMs);
    growthPerDay =
      grows === undefined || growthPerDay === undefined ? undefined : growthPerDay + grows;
  }
  return { freeBytes, growthPerDay, daysLeft: growthPerDay ? freeBytes / growthPerDay : undefined };
}

/** What is wrong with the room; nothing that is asked here ever fails. */
export async function diskProblems(
  files: FilePort,
  store: CollectorStore,
  nowMs: number,
): Promise<CollectorProblem[]> {
  let space: DiskSpace;
  try {
    space = await diskSpace(files, store, nowMs);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const message = `the disk of ${store.dir} does not answer (${errno}): is it still mounted?`;
    return [{ code: 'disk-unreachable', sinceMs: nowMs, message }];
  }
  const { freeBytes, daysLeft } = space;
  const room = `${formatBytes(freeBytes)} free at ${store.dir}`;
  if (freeBytes < FULL_BYTES) {
    const message = `the disk is full: ${room}; nothing is taken any more until there is room`;
    return [{ code: 'disk-full', sinceMs: nowMs, message }];
  }
  if (freeBytes >= NEARLY_BYTES && (daysLeft === undefined || daysLeft >= NEARLY_DAYS)) return [];
  const lasts =
    daysLeft === undefined
      ? ''
      : `, enough for ${Math.floor(daysLeft)} days at the growth of the last two weeks`;
  return [
    {
      code: 'disk-nearly-full',
      sinceMs: nowMs,
      message: `the disk is nearly full: ${room}${lasts}; make room, or move to a larger disk`,
    },
  ];
}
