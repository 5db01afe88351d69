import { asChunkId, asFileId } from '@aliquot/proto';
import { type BoxKey, boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import type { z } from 'zod';
import { fromBase64 } from '../api/base64.ts';
import { type NameRecord, namesRequest, type ResultRecord } from '../api/messages.ts';
import { openRows } from '../api/name-rows.ts';
import type { FramedRecords } from '../api/record-stream.ts';
import { RestError } from '../api/rest-error.ts';
import { MAX_ITEM_IDS } from '../limits.ts';
import type { VaultWith } from '../store/vault-store.ts';
import { findVersions } from './find-versions.ts';
import { type BranchOf, branchOf } from './forks.ts';
import { statesWithLost, withLost } from './lost-commits.ts';
import { namedResults } from './results.ts';
import { encodeItem, encodeRun } from './run-records.ts';

const FILE_ID_BYTES = 16;
/** Of chunks, pages and slabs. */
const ID_BYTES = 32;

/**
 * The commits that hold a history's live files at `atMs` (now when absent), each with what verifies
 * it.
 */
export async function* stateRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
  atMs: number | undefined,
): AsyncGenerator<Uint8Array> {
  const { branchId, name } = branchOf(vault, agentId);
  yield* statesWithLost(name, (onLost) => vault.reading.state(branchId, atMs, onLost));
}

/** The commits of a history with every version in them, newest first. */
export async function* everyVersionRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
): AsyncGenerator<Uint8Array> {
  const { branchId, name } = branchOf(vault, agentId);
  yield* statesWithLost(name, (onLost) => vault.reading.everyVersion(branchId, onLost));
}

/** The commits that hold versions of one file, named by its file id. */
export async function* versionRecords(
  vault: VaultWith<'reading' | 'register'>,
  agentId: string,
  fileIdHex: string,
): AsyncGenerator<Uint8Array> {
  const fileId = fromHex(fileIdHex);
  if (fileId?.length !== FILE_ID_BYTES)
    throw new RestError('REST_BAD_REQUEST', 'a file id has 32 hexadecimal digits');
  const { branchId, name } = branchOf(vault, agentId);
  const id = asFileId(fileId);
  yield* statesWithLost(name, (onLost) => vault.reading.versions(branchId, id, onLost));
}

/**
 * Sealed items by id (32 bytes each in `body`), in that order. What is missing or cannot be read
 * comes as a record that says so. The bytes are proved here only when they are `doubted`: whoever
 * asked has found that one is not what its id says, and what can be mended is.
 */
export async function* itemRecords(
  vault: VaultWith<'reading'>,
  body: Uint8Array,
  doubted: boolean,
  onAsked: (items: number) => void,
): AsyncGenerator<Uint8Array | FramedRecords> {
  if (body.length % ID_BYTES !== 0 || body.length > MAX_ITEM_IDS * ID_BYTES) {
    throw new RestError(
      'REST_BAD_REQUEST',
      `the body is a run of at most ${MAX_ITEM_IDS} ids of ${ID_BYTES} bytes`,
    );
  }
  const ids = [];
  for (let at = 0; at < body.length; at += ID_BYTES)
    ids.push(asChunkId(body.slice(at, at + ID_BYTES)));
  onAsked(ids.length);
  if (doubted) for await (const item of vault.reading.readItems(ids)) yield encodeItem(item);
  else for await (const run of vault.reading.readRuns(ids)) yield* encodeRun(run);
}

/**
 * Names, opened with the catalog key that a non-blind vault left here. They exist in memory only
 * while they go out; none is written to this machine's disk or log.
 */
export async function* nameRecords(
  vault: VaultWith<'catalogSecretKey' | 'descriptor' | 'log' | 'reading' | 'register'>,
  body: unknown,
): AsyncGenerator<Uint8Array> {
  const request = namesRequest.parse(body);
  if (vault.catalogSecretKey === undefined) {
    const { name, blind } = vault.descriptor;
    const why = blind
      ? `vault ${name} is blind, so names open only with its recovery kit: give it with --kit`
      : `the catalog key of vault ${name} is lost at the collector: hand it over with aliquot vault add, or give the kit with --kit`;
    throw new RestError('REST_BLIND', why);
  }
  const catalogKey = boxKeyFromSecret(vault.catalogSecretKey);
  for (const history of request.agentId === undefined
    ? allBranches(vault)
    : [branchOf(vault, request.agentId)]) {
    for await (const record of asked(vault, history, catalogKey, request))
      yield Buffer.from(JSON.stringify(record));
  }
}

function asked(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  history: BranchOf,
  catalogKey: BoxKey,
  request: z.infer<typeof namesRequest>,
): AsyncIterable<NameRecord | ResultRecord> {
  const path = request.versionsOf === undefined ? undefined : fromBase64(request.versionsOf);
  if (request.results === true)
    return namedResults(vault, history, catalogKey, { atMs: request.atMs, path });
  if (path !== undefined) return findVersions(vault, history, catalogKey, path);
  const { branchId, name } = history;
  return withLost(name, (onLost) =>
    openRows(
      request.every === true
        ? vault.reading.everyVersion(branchId, onLost)
        : vault.reading.state(branchId, request.atMs, onLost),
      name,
      catalogKey,
      vault.log.times(),
    ),
  );
}

/**
 * Each lineage once, under the name that its newest agent bears, and what is held apart beside it.
 */
function allBranches(vault: VaultWith<'register'>): BranchOf[] {
  const newest = new Map<string, BranchOf>();
  for (const agent of vault.register.agents())
    newest.set(hex(agent.lineageId), { agent, branchId: agent.lineageId, name: agent.name });
  const beside = vault.register
    .agents()
    .flatMap((agent) => agent.histories.map(({ branchId, name }) => ({ agent, branchId, name })));
  return [...newest.values(), ...beside];
}
