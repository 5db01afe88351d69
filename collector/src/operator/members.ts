import type { Entry, ResultRow } from '@aliquot/proto';
import { pathText, printable } from '@aliquot/shared/cli/format';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import { openNames } from '@aliquot/shared/commit/open-names';
import type { MemberSet } from '@aliquot/shared/commit/results';
import { rowsIn } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import { unverified } from './evidence.ts';
import { type ProvedVault, readerOf } from './open-vault.ts';
import type { FailedName } from './restore-told.ts';
import {
  type CertifiedAgent,
  type OpenVersion,
  openVersions,
  readable,
  type VerifiedResult,
  type VersionWatch,
  verifyRecord,
} from './verified.ts';

/** A version of a result, and where its members are asked for. */
export interface ResultPlace {
  readonly open: ProvedVault;
  readonly branchId: string;
  readonly agent: CertifiedAgent;
  readonly result: VerifiedResult;
}

/** Adds a member that a result has. */
export function addMember(set: MemberSet, entry: Entry): void {
  set.add(entry.fileId, entry.size, clearHashOf(entry));
}

/**
 * The members of a result as they were at a time, verified. @throws CommandError
 * `COMMAND_UNVERIFIED` for what is none: that is no honest collector's, nor an honest agent's.
 */
export async function* membersOf(
  { open, branchId, agent, result }: ResultPlace,
  atMs: number | undefined,
  watch: VersionWatch,
): AsyncGenerator<OpenVersion> {
  const records = open.vault.reading.members(branchId, result.row.resultId, atMs);
  const reader = await readerOf(open);
  for await (const version of openVersions(records, reader, agent, watch)) {
    const { entry, list } = version;
    const isMember = isMemberOf(entry, result.row) && entry.kind !== 'gone';
    if (!isMember || !isBelow(list.path, result.list.path))
      throw unverified(
        `the collector passes ${printable(pathText(list.path))} off as a member of ${printable(pathText(result.list.path))}`,
      );
    yield version;
  }
}

/** What is known of a result that is not whole. */
export interface MissingMembers {
  /** As its row says. */
  readonly members: number;
  readonly present: number;
  /** Those of the others whose names are still there. */
  readonly missing: readonly FailedName[];
}

/**
 * Looks for the names of members that a result lacks, in all commits that the collector has: of a
 * version that was lost the name is still there, of one that was purged it is not.
 */
export async function missingMembers(
  place: ResultPlace,
  watch: VersionWatch,
): Promise<MissingMembers> {
  const { open, branchId, agent, result } = place;
  const { kit, vault } = open;
  const reader = await readerOf(open);
  const { row, line } = result;
  const present = new Set<string>();
  for await (const { entry } of membersOf(place, line.versionTimeMs, watch))
    present.add(hex(entry.fileId));
  const paths = new Map<string, Uint8Array>();
  for await (const record of readable(vault.reading.everyVersion(branchId), watch)) {
    const { commit } = verifyRecord(record, reader, agent, watch);
    // Rows of lost versions stand in their blocks as they were signed.
    const rows = commit.rows.asSigned;
    const members = [...rowsIn(rows)].filter(
      ({ entry }) =>
        isMemberOf(entry, row) && !present.has(hex(entry.fileId)) && entry.kind !== 'gone',
    );
    if (members.length === 0) continue;
    const vaultKey = { key: kit.vaultKey, recipient: 'vault' } as const;
    const unread = () => undefined;
    for (const { entry, list } of openNames({ ...commit, rows }, members, vaultKey, unread))
      paths.set(hex(entry.fileId), list.path);
  }
  const missing = [...paths.values()].map((path) => ({
    path,
    error: {
      code: 'COMMAND_RESULT_NOT_WHOLE',
      message: `${printable(pathText(path))} is not there any more as the result had it`,
    },
  }));
  return { members: row.members, present: present.size, missing };
}

function isMemberOf({ resultId }: Entry, row: ResultRow): boolean {
  return resultId !== undefined && equalBytes(resultId, row.resultId);
}

const SLASH = 0x2f;
const BACKSLASH = 0x5c;

/** Whether a path is a folder's own, or that of something in it. */
function isBelow(path: Uint8Array, folder: Uint8Array): boolean {
  const [whole, root] = [pathIdentity(path), pathIdentity(folder)];
  if (!equalBytes(whole.subarray(0, root.length), root)) return false;
  const next = whole[root.length];
  return next === undefined || next === SLASH || next === BACKSLASH;
}
