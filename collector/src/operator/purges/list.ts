import { formatInstant, formatTable, formatTime, printable } from '@aliquot/shared/cli/format';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { PurgeInfo } from '../../api/purge-messages.ts';
import { type CommandContext, outputOf } from '../../cli/context.ts';
import { inspectedVault } from '../choose-vault.ts';
import type { CollectorOptions } from '../options.ts';
import { byOf, purgesOf, type ShownPurge } from './find.ts';

export interface PurgeListOptions extends CollectorOptions {
  readonly json?: boolean;
}

/** `aliquot purge list`. */
export async function listPurges(
  context: CommandContext,
  options: PurgeListOptions,
): Promise<void> {
  const output = outputOf(context, options, 'reads');
  const purges = await purgesOf(await inspectedVault(context, options));
  if (output.json) {
    for (const purge of purges) await output.result(jsonOf(purge));
    return;
  }
  const rows = purges.map((purge) => [
    purge.name,
    stateOf(purge),
    purge.agent,
    `${purge.body.fileIds.length}`,
    `${formatTime(purge.ordered.atMs)} by ${byOf(purge.ordered)}`,
    printable(purge.body.reason),
  ]);
  const table = formatTable(['PURGE', 'STATE', 'PC', 'FILES', 'ORDERED', 'REASON'], rows);
  await output.result({}, purges.length === 0 ? 'No purge was ordered.' : table);
}

function stateOf(purge: ShownPurge): string {
  const { approved, cancelled, notBeforeMs, waits, waitsFor, sweptAtMs } = purge;
  if (cancelled !== undefined)
    return `cancelled ${formatTime(cancelled.atMs)} by ${byOf(cancelled)}`;
  if (approved !== undefined) {
    const done = `approved ${formatTime(approved.atMs)} by ${byOf(approved)}`;
    const on = sweptAtMs === undefined ? '' : ` ${formatTime(sweptAtMs)}`;
    if (waits !== true) return `${done}; content swept${on}`;
    const whom = waitsFor.length === 0 ? '' : ` for ${[...new Set(waitsFor)].join(', ')}`;
    return `${done}; content waits${whom}`;
  }
  return `waits: may be approved from ${formatTime(notBeforeMs)}`;
}

function jsonOf(purge: ShownPurge): object {
  const { body, name, agent, ordered, notBeforeMs, approved, cancelled } = purge;
  const { waits, waitsFor, sweptAtMs } = purge;
  return {
    purge: name,
    id: hex(body.purgeId),
    state: cancelled !== undefined ? 'cancelled' : approved !== undefined ? 'approved' : 'waits',
    ...{ agent, files: body.fileIds.length, reason: body.reason },
    ordered: wordOf(ordered),
    notBefore: formatInstant(notBeforeMs),
    approved: approved === undefined ? null : wordOf(approved),
    content: approved === undefined ? null : waits === true ? 'waits' : 'swept',
    swept: sweptAtMs === undefined ? null : formatInstant(sweptAtMs),
    waitsFor,
    cancelled: cancelled === undefined ? null : { ...wordOf(cancelled), reason: cancelled.reason },
  };
}

function wordOf(word: PurgeInfo['ordered']): object {
  return { at: formatInstant(word.atMs), by: byOf(word), leaf: word.leaf };
}
