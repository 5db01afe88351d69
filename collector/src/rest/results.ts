import type { ResultId, StateRecord } from '@aliquot/proto';
import { readCommit } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import { fromBase64 } from '../api/base64.ts';
import type { ResultRecord } from '../api/messages.ts';
import { RestError } from '../api/rest-error.ts';
import { MemberTallies, openResultRows } from '../api/result-rows.ts';
import type { LostCommit } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { type BranchOf, branchOf } from './forks.ts';
import { lostCommit, statesWithLost } from './lost-commits.ts';

const RESULT_ID_BYTES = 16;

/** The commits that hold the results of a history at `atMs` (now when absent). */
export async function* resultRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
  atMs: number | undefined,
): AsyncGenerator<Uint8Array> {
  const { branchId, name } = branchOf(vault, agentId);
  yield* statesWithLost(name, (onLost) => vault.reading.results(branchId, atMs, onLost));
}

/** The commits that hold versions of one result, oldest first. */
export async function* resultVersionRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
  resultIdHex: string,
): AsyncGenerator<Uint8Array> {
  const { branchId, name } = branchOf(vault, agentId);
  const id = resultIdOf(resultIdHex);
  yield* statesWithLost(name, (onLost) => vault.reading.resultVersions(branchId, id, onLost));
}

/** Those of a history's live files at `atMs` that are members of one result: that is in clear. */
export async function* memberRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
  resultIdHex: string,
  atMs: number | undefined,
): AsyncGenerator<Uint8Array> {
  const resultId = resultIdOf(resultIdHex);
  const { branchId, name } = branchOf(vault, agentId);
  yield* statesWithLost(name, (onLost) =>
    membersIn(vault.reading.state(branchId, atMs, onLost), resultId),
  );
}

async function* membersIn(
  records: AsyncIterable<StateRecord>,
  resultId: ResultId,
): AsyncGenerator<StateRecord> {
  for await (const record of records) {
    const members = membersAmong(record, resultId);
    if (members !== undefined) yield members;
  }
}

/** A record with only the members of one result; undefined when it has none. */
function membersAmong(record: StateRecord, resultId: ResultId): StateRecord | undefined {
  const { rows } = readCommit(record.commit);
  // Most commits have nothing of it, and say so without a look at their rows.
  const names = rows.blocks.some(({ rows: { results } }) =>
    results.some((id) => equalBytes(id, resultId)),
  );
  if (!names) return undefined;
  const isMember = record.live.map((slot) => {
    const of = rows.entry(slot)?.resultId;
    return of !== undefined && equalBytes(of, resultId);
  });
  if (!isMember.includes(true)) return undefined;
  return {
    ...record,
    live: record.live.filter((_, index) => isMember[index]),
    versionTimesMs: record.versionTimesMs.filter((_, index) => isMember[index]),
  };
}

/**
 * Results with their names, opened with the catalog key, as they stand; with a path every version
 * of the one that has this root, oldest first. Its id follows from the path only with the lineage's
 * path key, so it is looked for by opening names; when it is nowhere, the answer is what did not
 * open.
 */
export async function* namedResults(
  vault: VaultWith<'log' | 'reading'>,
  { branchId, name }: BranchOf,
  catalogKey: BoxKey,
  { atMs, path }: { readonly atMs: number | undefined; readonly path: Uint8Array | undefined },
): AsyncGenerator<ResultRecord> {
  const tallies = new MemberTallies();
  const lost = new Map<string, ResultRecord>();
  const onLost = (one: LostCommit): void => {
    lost.set(hex(one.hash), { unopened: lostCommit(one, name) });
  };
  if (path === undefined)
    for await (const record of vault.reading.state(branchId, atMs, onLost))
      tallies.add(readCommit(record.commit).rows, record);
  const times = vault.log.times();
  const found = vault.reading.results(branchId, atMs, onLost);
  const results = openResultRows(found, name, catalogKey, times);
  if (path === undefined) {
    for await (const record of results) yield 'unopened' in record ? record : tallies.told(record);
    yield* lost.values();
    return;
  }
  const wanted = pathIdentity(path);
  const unopened: ResultRecord[] = [];
  for await (const record of results) {
    if ('unopened' in record) unopened.push(record);
    else if (equalBytes(pathIdentity(fromBase64(record.path)), wanted)) {
      const id = resultIdOf(record.resultId);
      const versions = vault.reading.resultVersions(branchId, id, onLost);
      yield* openResultRows(versions, name, catalogKey, times);
      yield* lost.values();
      return;
    }
  }
  yield* [...unopened, ...lost.values()];
}

function resultIdOf(text: string): ResultId {
  const id = fromHex(text);
  if (id?.length !== RESULT_ID_BYTES)
    throw new RestError('REST_BAD_REQUEST', 'a result id has 32 hexadecimal digits');
  return id as ResultId;
}

/** The folder result with exactly this root; undefined: there is none, or it does not open. */
export async function resultWithPath(
  vault: VaultWith<'log' | 'reading'>,
  history: BranchOf,
  catalogKey: BoxKey,
  path: Uint8Array,
): Promise<ResultId | undefined> {
  for await (const record of namedResults(vault, history, catalogKey, { atMs: undefined, path }))
    if (!('unopened' in record)) return resultIdOf(record.resultId);
  return undefined;
}
