import type { LineageId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from '../api/base64.ts';
import type { ProvedEvents } from '../api/log-part.ts';
import { RestError } from '../api/rest-error.ts';
import type { ProvedEvent } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { branchOf } from './forks.ts';

/** Which part of the log is meant. */
export interface LogPart {
  readonly from: number;
  readonly size: number;
}

/** The leaves of a part of the log, one record each. */
export function leafRecords(vault: VaultWith<'log'>, part: LogPart): AsyncIterable<Uint8Array> {
  return vault.log.leaves(part.from, reached(vault, part));
}

/** Every commit of an agent's lineage in a part of the log: encoded `HistoryCommit`. */
export async function* commitRecords(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  agentId: string,
  part: LogPart,
): AsyncGenerator<Uint8Array> {
  const { lineageId } = branchOf(vault, agentId).agent;
  const commits = vault.reading.commits(lineageId, part.from, reached(vault, part));
  for await (const commit of commits) {
    if (commit instanceof Uint8Array) yield commit;
    else {
      const { leafIndex, leaf, sequence, branchId } = commit;
      const damaged = { leafIndex, leaf: toBase64(leaf), sequence, branchId: hex(branchId) };
      yield Buffer.from(JSON.stringify(damaged));
    }
  }
}

/** The events by which files of a history are gone, up to a size of the log. */
export async function goneAnswer(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  agentId: string,
  part: LogPart,
): Promise<ProvedEvents> {
  const branchId: LineageId = branchOf(vault, agentId).branchId;
  const events = await vault.reading.goneEvents(branchId, reached(vault, part));
  return asMessage(events);
}

/** The events that set a policy, up to a size of the log. */
export async function policiesAnswer(
  vault: VaultWith<'log'>,
  part: LogPart,
): Promise<ProvedEvents> {
  return asMessage(await vault.log.policies(reached(vault, part)));
}

/** The orders and approvals of purges that were done, up to a size of the log. */
export async function purgesAnswer(vault: VaultWith<'log'>, part: LogPart): Promise<ProvedEvents> {
  return asMessage(await vault.log.purges(reached(vault, part)));
}

function asMessage(events: readonly ProvedEvent[]): ProvedEvents {
  return {
    events: events.map(({ event, leafIndex, inclusion }) => ({
      event: toBase64(event),
      leafIndex,
      inclusion: inclusion.map(toBase64),
    })),
  };
}

/** A head that was signed is always reached; another size is none of ours. */
export function reached(vault: VaultWith<'log'>, { from, size }: LogPart): number {
  const now = vault.log.treeHead().size;
  if (from <= size && size <= now) return size;
  throw new RestError(
    'REST_BAD_REQUEST',
    `the log has ${now} leaves; ask for those from a number on up to a size that it has reached`,
  );
}
