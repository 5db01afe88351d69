import { hex } from '@aliquot/shared/crypto/bytes';
import {
  type GcLineage,
  type GcRecord,
  type GcStatus,
  type GcWait,
  gcPauseRequest,
  gcRequest,
} from '../api/gc-messages.ts';
import { RestError } from '../api/rest-error.ts';
import type { StoreErrorCode } from '../store/errors.ts';
import type { CollectStep, SweepWait } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { clockDoubt } from './clock.ts';
import type { RestContext } from './context.ts';

type Collected = VaultWith<'data' | 'descriptor' | 'maintenance' | 'register' | 'sweep'>;

/** Whoever listens hears something so often: a long step is no silence. */
const HEARTBEAT_MS = 10_000;

/** How the collection of a vault stands, and who is waited for. */
export async function gcAnswer(vault: Collected): Promise<GcStatus> {
  const { bytes, deadBytes, historyBytes } = await vault.data.space();
  const { isPaused, isRunning, lineages } = vault.sweep.status();
  return {
    ...{ paused: isPaused, running: isRunning, packBytes: bytes, deadBytes, historyBytes },
    failed: vault.maintenance.failed('collection'),
    lineages: lineages.map(({ agent, progress, waits }) => ({
      agent,
      isAnnounced: progress.announced > progress.swept,
      droppedVersions: progress.droppedVersions,
      droppedBytes: Number(progress.droppedBytes),
      waits: waits.map((wait) => told(vault, wait)),
    })),
  };
}

/** Pauses collection, or lets it go on. */
export function pauseGc(
  context: RestContext,
  vault: Collected,
  body: unknown,
): { paused: boolean } {
  const { paused } = gcPauseRequest.parse(body);
  vault.sweep.pause(paused);
  const fields = { vault: hex(vault.descriptor.vaultId) };
  context.log.warn(fields, paused ? 'collection paused' : 'collection goes on');
  return { paused };
}

/**
 * Collects, or says what that would free, and tells what it does as it goes on. Who stops listening
 * ends it after the step at hand; the next one goes on.
 */
export async function* gcRecords(
  context: RestContext,
  vault: Collected,
  body: unknown,
): AsyncGenerator<Uint8Array> {
  const { dryRun, all } = gcRequest.parse(body);
  const { isPaused, isRunning } = vault.sweep.status();
  if (isPaused && !dryRun)
    throw new RestError('REST_GC_HELD', 'collection is paused: `aliquot gc resume` lets it go on');
  if (isRunning)
    throw new RestError('REST_GC_HELD', 'a collection of this vault is running: wait for its end');
  // Of a clock that jumped nobody knows whether a grace is over.
  const doubt = dryRun ? undefined : clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  let isGone = false;
  const nowMs = context.clock.nowMs();
  const steps = vault.sweep.collect({ ...{ nowMs, dryRun, all, isStopped: () => isGone } });
  const ending = new Ending(vault, nowMs);
  try {
    for (;;) {
      const next = steps.next();
      while (!(await isThere(context, next))) yield encoded({ event: 'working' });
      const { value, done } = await next;
      if (done === true || value === undefined) return;
      logStep(context, vault, value, dryRun);
      if (!dryRun) ending.take(value);
      yield encoded(recordOf(vault, value));
    }
  } finally {
    isGone = true;
    await steps.return();
  }
}

/** The same as often as the collector's plan says. Throws where the clock is in doubt. */
export async function collectByItself(
  context: Pick<RestContext, 'clock' | 'health' | 'log'>,
  vault: Collected,
  isStopped: () => boolean,
): Promise<void> {
  const doubt = clockDoubt(context);
  if (doubt !== undefined) throw doubt;
  const nowMs = context.clock.nowMs();
  const ending = new Ending(vault, nowMs);
  for await (const step of vault.sweep.collect({ nowMs, isStopped })) {
    logStep(context, vault, step, false);
    ending.take(step);
  }
}

/** Notes at the end of a collection whether it has done all that it could. */
class Ending {
  readonly #vault: Collected;
  readonly #nowMs: number;
  readonly #left: { readonly code: StoreErrorCode; readonly message: string }[] = [];

  constructor(vault: Collected, nowMs: number) {
    this.#vault = vault;
    this.#nowMs = nowMs;
  }

  take(step: CollectStep): void {
    switch (step.type) {
      case 'dropped':
        if (step.heldBy !== undefined)
          this.#left.push({ code: 'STORE_RETENTION_HELD', message: step.heldBy });
        return;
      case 'lineage': {
        const { agent, outcome } = step;
        if (outcome.type !== 'unreadable') return;
        const message = `nothing of ${agent} is swept, because ${outcome.what}`;
        this.#left.push({ code: 'STORE_DAMAGED', message });
        return;
      }
      case 'rewritten':
        for (const { pack, why } of step.report.kept)
          this.#left.push({ code: 'STORE_DAMAGED', message: `pack ${pack} stays: ${why}` });
        for (const { file, why } of step.report.history.kept)
          this.#left.push({ code: 'STORE_DAMAGED', message: `history file ${file} stays: ${why}` });
        this.#end(step.report.isDone);
        return;
      case 'history':
    }
  }

  /** One that was stopped on its way knows of no good end. */
  #end(isDone: boolean): void {
    const [first, ...more] = this.#left;
    if (first === undefined && !isDone) return;
    const others = more.length === 0 ? '' : ` (and ${more.length} more: aliquot gc run)`;
    this.#vault.maintenance.ended(
      'collection',
      first && { atMs: this.#nowMs, code: first.code, message: `${first.message}${others}` },
    );
  }
}

/** Whether something has come before the next heartbeat is due. */
function isThere(context: RestContext, next: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = context.timers.after(HEARTBEAT_MS, () => resolve(false));
    next.then(
      () => {
        timer();
        resolve(true);
      },
      (error: unknown) => {
        timer();
        reject(error);
      },
    );
  });
}

function encoded(record: GcRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

function recordOf(vault: Collected, step: CollectStep): GcRecord {
  switch (step.type) {
    case 'dropped':
      return { event: 'dropped', versions: step.versions, heldBy: step.heldBy };
    case 'lineage':
      return lineageOf(vault, step);
    case 'history':
      return { event: 'history', bytes: step.bytes };
    case 'rewritten': {
      const { removedPacks, freedBytes, copiedBytes, kept, history, isDone } = step.report;
      return {
        ...{ event: 'removed', packs: removedPacks, bytes: freedBytes, copiedBytes, isDone },
        ...{ historyFiles: history.rewrittenFiles, historyBytes: history.freedBytes },
        keptFiles: history.kept.map(({ file, why }) => ({ file, why })),
        kept: kept.map(({ pack, why }) => ({ pack, why })),
      };
    }
  }
}

function lineageOf(
  vault: Collected,
  { agent, droppedBytes, outcome }: Extract<CollectStep, { type: 'lineage' }>,
): GcLineage {
  const nothing = { items: 0, bytes: 0, waits: [], why: '' };
  const of = { event: 'lineage', agent, droppedBytes } as const;
  switch (outcome.type) {
    case 'swept':
      return { ...of, ...nothing, state: 'swept', items: outcome.items, bytes: outcome.bytes };
    case 'waits':
      return { ...of, ...nothing, state: 'waits', waits: outcome.waits.map((w) => told(vault, w)) };
    case 'unreadable':
      return { ...of, ...nothing, state: 'unreadable', why: outcome.what };
    case 'not-worth-it':
      return { ...of, ...nothing, state: 'not-worth-it' };
    case 'nothing-announced':
    case 'stopped':
      return { ...of, ...nothing, state: 'stopped' };
  }
}

function told(vault: Collected, { agent, history, reason }: SweepWait): GcWait {
  const lastSeenMs = vault.register.agentByName(agent)?.lastSeenMs;
  return { agent, history, reason, lastSeenMs };
}

function logStep(
  context: Pick<RestContext, 'log'>,
  vault: Collected,
  step: CollectStep,
  dryRun: boolean,
): void {
  const of = hex(vault.descriptor.vaultId);
  if (dryRun) return;
  if (step.type === 'dropped' && step.versions > 0)
    context.log.info({ vault: of, versions: step.versions }, 'versions dropped');
  if (step.type === 'lineage' && step.outcome.type === 'swept')
    context.log.info({ vault: of, agent: step.agent, items: step.outcome.items }, 'set swept');
  if (step.type === 'rewritten' && step.report.removedPacks > 0)
    context.log.info(
      { vault: of, packs: step.report.removedPacks, bytes: step.report.freedBytes },
      'packs removed',
    );
  if (step.type === 'rewritten' && step.report.history.rewrittenFiles > 0)
    context.log.info(
      {
        vault: of,
        files: step.report.history.rewrittenFiles,
        bytes: step.report.history.freedBytes,
      },
      'history thinned',
    );
}
