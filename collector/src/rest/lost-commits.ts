import { encodeStateRecord, type StateRecord } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { UnopenedCommit } from '../api/messages.ts';
import { commitName } from '../api/version-id.ts';
import type { StoreErrorCode } from '../store/errors.ts';
import type { LostCommit, OnLost } from '../store/vault-records.ts';

/** What a listing says of a commit whose record is damaged. */
export function lostCommit(
  { sequence, hash, receivedAtMs, versions }: LostCommit,
  agent: string,
): UnopenedCommit {
  const message =
    'its record in the collector’s history is damaged; its agent sends it again when it connects next, where it has it';
  const commit = commitName(hash);
  return {
    ...{ agent, commit, sequence, receivedAtMs, versions: versions ?? 0 },
    ...{ code: 'STORE_DAMAGED' satisfies StoreErrorCode, message },
  };
}

/** Answers, and behind them the commits that could not be read, each once. */
export async function* withLost<T>(
  agent: string,
  read: (onLost: OnLost) => AsyncIterable<T>,
): AsyncGenerator<T | { readonly unopened: UnopenedCommit }> {
  const lost = new Map<string, LostCommit>();
  yield* read((one) => void lost.set(hex(one.hash), one));
  for (const one of lost.values()) yield { unopened: lostCommit(one, agent) };
}

/** The same as records of a stream: JSON stands for what could not be read. */
export async function* statesWithLost(
  agent: string,
  read: (onLost: OnLost) => AsyncIterable<StateRecord>,
): AsyncGenerator<Uint8Array> {
  for await (const record of withLost(agent, read))
    yield 'unopened' in record ? Buffer.from(JSON.stringify(record)) : encodeStateRecord(record);
}
