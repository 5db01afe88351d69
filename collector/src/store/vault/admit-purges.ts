import type {
  EventBody,
  FileId,
  LineageId,
  PurgeOrderBody,
  ResultId,
  VaultDescriptorBody,
} from '@aliquot/proto';
import { formatInstant } from '@aliquot/shared/cli/format';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  verifyPurgeApproval,
  verifyPurgeCancel,
  verifyPurgeOrder,
} from '@aliquot/shared/keys/purge';
import { MAX_WAITING_PURGES } from '../../limits.ts';
import { PURGE_DELAY_MS } from '../../retention/brakes.ts';
import { tellReasons } from '../../retention/kept.ts';
import { keys } from '../catalog/catalog-keys.ts';
import type { PurgeRow } from '../catalog/purge-row.ts';
import type { Registry } from '../catalog/registry.ts';
import { StoreError } from '../errors.ts';
import type { JudgedSubject } from '../vault-retention.ts';
import type { VaultCore } from './core.ts';
import { judgeHead } from './judge-head.ts';
import { factsOfOne } from './retention/facts-of-one.ts';
import type { FactsAsked } from './retention/file-facts.ts';

type EventOf<Type extends EventBody['type']> = Extract<EventBody, { type: Type }>;

function bad(why: string): StoreError {
  return new StoreError('STORE_BAD_EVENT', why);
}

/** What people call a purge: the first digits of its id. */
function purgeName({ purgeId }: Pick<PurgeOrderBody, 'purgeId'>): string {
  return Buffer.from(purgeId.subarray(0, 4)).toString('hex');
}

/** The leaf that records the order already, or undefined. By an operator whose term lasts. */
export function admitPurgeOrder(
  { registry }: Pick<VaultCore, 'registry'>,
  descriptor: VaultDescriptorBody,
  { order, operator, timeMs }: EventOf<'purgeOrdered'>,
): number | undefined {
  const body = verifyPurgeOrder(descriptor, { signed: order, operator }, timeMs);
  return registry.purges.get(body.purgeId)?.ordered.leaf;
}

/**
 * Throws where an order is not for this log and what it has, or too many wait. One that is recorded
 * again was given for a log that was put back since: so `fsck` does not ask this of a log.
 */
export async function refuseOtherOrder(core: VaultCore, body: PurgeOrderBody): Promise<void> {
  if (core.registry.purges.get(body.purgeId) !== undefined) return;
  if (core.registry.purges.waiting().length >= MAX_WAITING_PURGES)
    throw bad(
      `${MAX_WAITING_PURGES} purges wait for approval, and that is the most: approve or cancel some`,
    );
  if ((await judgeHead(core, body.head)) !== 'consistent')
    throw bad('the purge was ordered for leaves that this log does not have: order it again');
  for (const id of body.fileIds)
    if (!(await isThere(core, body.lineageId, id)))
      throw bad('the order names a file that this PC does not have: order it again');
}

async function isThere(core: VaultCore, lineageId: LineageId, id: FileId): Promise<boolean> {
  for (const { number } of historiesOf(core.registry, lineageId)) {
    if ((await core.catalog.get(keys.head(number, id))) !== undefined) return true;
    const result = id as Uint8Array as ResultId;
    if ((await core.catalog.get(keys.result(number, result))) !== undefined) return true;
  }
  return false;
}

/** The histories of a lineage, those beside the trunk too, with their numbers. */
function historiesOf(
  registry: Registry,
  lineageId: LineageId,
): { readonly branchId: LineageId; readonly number: number }[] {
  const beside = registry.rows().flatMap((row) => {
    if (!equalBytes(row.lineageId, lineageId)) return [];
    return registry.lines(row.agentId)?.branchIds() ?? [];
  });
  return [lineageId, ...beside].flatMap((branchId) => {
    const number = registry.lineage(branchId)?.number;
    return number === undefined ? [] : [{ branchId, number }];
  });
}

/**
 * Throws where a lock or a hold covers a version that is to be purged, naming which, and where
 * nobody can tell: `STORE_BAD_EVENT`.
 */
export async function refuseKept(
  core: VaultCore,
  asked: Omit<FactsAsked, 'branchId' | 'horizonMs'>,
  { lineageId, fileIds, head }: PurgeOrderBody,
): Promise<void> {
  for (const { branchId } of historiesOf(core.registry, lineageId))
    for (const id of fileIds)
      for (const isResult of [false, true]) {
        const all = { ...asked, branchId, horizonMs: Infinity };
        const judged = await factsOfOne(core, all, { id, isResult });
        if (judged === undefined) continue;
        if (judged.facts === undefined)
          throw bad(
            'not all versions of a file of the order can be read, so nobody can tell whether a lock or a hold covers them; `aliquot fsck` tells what is damaged',
          );
        refuseKeptOf(judged, head.size, asked.nowMs);
      }
}

function refuseKeptOf({ facts, versions }: JudgedSubject, size: number, nowMs: number): void {
  tellReasons(facts, (at, reason, untilMs, by) => {
    if (untilMs <= nowMs || (versions[at]?.leafIndex ?? size) >= size) return;
    if (reason === 'hold')
      throw bad(
        `hold ${by} covers versions that are to be purged: it wins; see \`aliquot hold show ${by}\``,
      );
    if (reason === 'lock')
      throw bad(
        `the lock of policy ${by} covers versions that are to be purged until ${formatInstant(untilMs)}: nobody removes them before`,
      );
  });
}

/**
 * The leaf that records the approval already, or undefined. By another operator than the one who
 * ordered it, and a day later by the log's time at the earliest.
 */
export function admitPurgeApproval(
  { registry }: Pick<VaultCore, 'registry'>,
  descriptor: VaultDescriptorBody,
  { approval, operator, timeMs }: EventOf<'purgeApproved'>,
): number | undefined {
  const said = verifyPurgeApproval(descriptor, { signed: approval, operator }, timeMs);
  const { body, ordered, approved, cancelled } = purgeOf(registry, said);
  if (approved !== undefined) return approved.leaf;
  const name = purgeName(body);
  if (cancelled !== undefined)
    throw bad(`purge ${name} was cancelled on ${formatInstant(cancelled.timeMs)}: order it again`);
  if (said.by.name === ordered.by)
    throw bad(`purge ${name} was ordered by ${ordered.by}: another operator approves it`);
  return undefined;
}

/**
 * Throws before a day is over since the order, by the log's time. Those that are recorded again may
 * stand closer together: so `fsck` does not ask this of a log.
 */
export function refuseEarly({ body, ordered }: PurgeRow, timeMs: number): void {
  const fromMs = ordered.timeMs + PURGE_DELAY_MS;
  if (timeMs < fromMs)
    throw bad(
      `purge ${purgeName(body)} may be approved from ${formatInstant(fromMs)}: a day after it was ordered`,
    );
}

/** The leaf that records the cancellation already, or undefined. What was approved is done. */
export function admitPurgeCancel(
  { registry }: Pick<VaultCore, 'registry'>,
  descriptor: VaultDescriptorBody,
  { cancellation, operator, timeMs }: EventOf<'purgeCancelled'>,
): number | undefined {
  const signed = { signed: cancellation, operator };
  const row = purgeOf(registry, verifyPurgeCancel(descriptor, signed, timeMs));
  if (row.cancelled !== undefined) return row.cancelled.leaf;
  if (row.approved !== undefined)
    throw bad(
      `purge ${purgeName(row.body)} was approved on ${formatInstant(row.approved.timeMs)} and is done: it cannot be taken back`,
    );
  return undefined;
}

/** Throws where there is none. */
export function purgeOf(
  { purges }: Registry,
  { purgeId }: Pick<PurgeOrderBody, 'purgeId'>,
): PurgeRow {
  const row = purges.get(purgeId);
  if (row === undefined) throw bad('no such purge in this vault; `aliquot purge list` shows them');
  return row;
}
