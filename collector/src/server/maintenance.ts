import { AliquotError } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { endWith } from '@aliquot/shared/durable/unexpected';
import type { Timers } from '@aliquot/shared/ports';
import { schedule } from 'node-cron';
import type { RestContext } from '../rest/context.ts';
import { collectByItself } from '../rest/gc.ts';
import { runRetention } from '../rest/retention.ts';
import type { OwnWork } from '../store/catalog/failed-works.ts';
import type { VaultStore } from '../store/vault-store.ts';
import type { MaintenancePlan } from './maintenance-file.ts';

/** A collector that is on only in the day has its run then. */
const AFTER_START_MS = 3_600_000;
/** Parts of one run of a vault; what is more goes the next day. */
const MOST_PARTS = 100;

type Works = Pick<RestContext, 'clock' | 'health' | 'log' | 'store'>;

/**
 * What a collector does by itself: a run of retention of each vault that has rules, when the plan
 * says so and an hour after a start, and collections. One at a time. The answer ends it; what is
 * under way ends with the store, and leaves nothing half done.
 */
export function startMaintenance(
  works: Works,
  { retention, collection }: MaintenancePlan,
  timers: Timers,
): () => Promise<void> {
  const stopping = new AbortController();
  let last = Promise.resolve();
  const next = (work: typeof runAll) => (): void => {
    last = last.then(() => work(works, stopping.signal));
  };
  const usual = { timezone: 'Etc/UTC', suppressMissedWarning: true } as const;
  const tasks = [
    ...(retention === undefined ? [] : [schedule(retention, next(runAll), usual)]),
    ...(collection === undefined ? [] : [schedule(collection, next(collectAll), usual)]),
  ];
  const cancel =
    retention === undefined ? () => undefined : timers.after(AFTER_START_MS, next(runAll));
  return async () => {
    stopping.abort();
    cancel();
    for (const task of tasks) await task.destroy();
  };
}

async function collectAll(works: Works, stopping: AbortSignal): Promise<void> {
  for (const vault of works.store.vaults()) {
    if (stopping.aborted) return;
    try {
      await collectByItself(works, vault, () => stopping.aborted);
    } catch (error) {
      const says = 'a collection failed, and goes on with the next one';
      noteFailed(works, { vault, work: 'collection', says }, stopping, error);
    }
  }
}

async function runAll(works: Works, stopping: AbortSignal): Promise<void> {
  for (const vault of works.store.vaults())
    if (!stopping.aborted && hasRules(vault)) await runVault(works, vault, stopping);
}

/** Where nothing is set, nothing goes: nobody need look. */
function hasRules(vault: VaultStore): boolean {
  return (vault.desk.policies().at(-1)?.rules ?? []).length > 0;
}

async function runVault(works: Works, vault: VaultStore, stopping: AbortSignal): Promise<void> {
  try {
    for (let part = 0; part < MOST_PARTS && !stopping.aborted; part += 1) {
      const { isMore } = await runRetention(works, vault);
      if (!isMore) return;
    }
  } catch (error) {
    const says = 'a run of retention failed, and is made again with the next one';
    noteFailed(works, { vault, work: 'retention', says }, stopping, error);
  }
}

interface Failing {
  readonly vault: VaultStore;
  readonly work: OwnWork;
  readonly says: string;
}

/**
 * Tells of what failed, here and wherever somebody looks (P6), until it comes to a good end. Throws
 * what nobody foresaw.
 */
function noteFailed(
  { clock, log }: Works,
  { vault, work, says }: Failing,
  stopping: AbortSignal,
  error: unknown,
): void {
  endWith(error);
  if (stopping.aborted) return;
  const code = error instanceof AliquotError ? error.code : errnoOf(error);
  const why = error instanceof Error ? error.message : String(error);
  log.error({ vault: hex(vault.descriptor.vaultId), code, why }, says);
  if (code === 'STORE_CLOSED') return;
  vault.maintenance.ended(work, { atMs: clock.nowMs(), code: code ?? 'unknown', message: why });
}
