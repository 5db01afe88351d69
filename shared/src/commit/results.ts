/**
 * What can be said of a result without a key: FORMAT.md, "VersionBlock", and SEALING.md, "Whole
 * without a key".
 */
import type { Entry, FileId, ResultFacts, ResultId, ResultRow } from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { rootOfHashes } from '../log/hashing.ts';
import { clearHashOf } from './block-leaf.ts';
import { CommitError } from './errors.ts';
import { type CommitRows, resultsBySlot } from './rows.ts';

/** Bytes of a member in a set: file id and clear hash. */
const ID_BYTES = 16;
const MEMBER_BYTES = ID_BYTES + 32;
const FIRST_MEMBERS = 64;

/**
 * The members of one result, added in any order, each file once: 48 bytes each, so that a result
 * may have a hundred thousand. Those of which nothing is left but the hash, because they were
 * purged, take part by it.
 */
export class MemberSet {
  #bytes = Buffer.alloc(FIRST_MEMBERS * MEMBER_BYTES);
  /** How many there are. */
  count = 0;
  /** Their plaintext bytes together. */
  size = 0;

  add(fileId: FileId, size: number, clearHash: Uint8Array): void {
    const at = this.count * MEMBER_BYTES;
    if (at === this.#bytes.length) {
      const larger = Buffer.alloc(2 * at);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(fileId, at);
    this.#bytes.set(clearHash, at + ID_BYTES);
    this.count += 1;
    this.size += size;
  }

  /** The Merkle root over the clear hashes, in the order of the file ids. */
  root(): Uint8Array {
    const bytes = this.#bytes;
    const order = Uint32Array.from({ length: this.count }, (_, at) => at * MEMBER_BYTES);
    order.sort((a, b) => bytes.compare(bytes, b, b + ID_BYTES, a, a + ID_BYTES));
    const hashes = Array.from(order, (at) => bytes.subarray(at + ID_BYTES, at + MEMBER_BYTES));
    return rootOfHashes(hashes).slice();
  }
}

/** Whether nothing was left of a result: its folder was deleted. */
export function isDeletedResult({
  progress,
  members,
}: Pick<ResultFacts, 'progress' | 'members'>): boolean {
  return progress === 'closed' && members === 0;
}

/** Whether the row of a result was signed for exactly these members. */
export function isMadeOf(
  { members, size, membersRoot }: Pick<ResultRow, 'members' | 'size' | 'membersRoot'>,
  set: MemberSet,
): boolean {
  return members === set.count && size === set.size && equalBytes(membersRoot, set.root());
}

/**
 * Checks what rows of results say against the rows before them in the same commit: members that
 * stand there are counted, their bytes too, and where these are all, the root is made again. What
 * came in earlier commits only a reader can compare. A commit has one row of a result, so that all
 * of this takes no longer than to read its rows.
 *
 * @throws CommitError `COMMIT_RESULT`; FormatError.
 */
export function checkResults(commit: Pick<CommitRows, 'asSigned'>): void {
  // What was lost since was there when the rows were made.
  const rows = commit.asSigned;
  const results = resultsBySlot(rows);
  if (results.size === 0) return;
  const before = new MembersBefore();
  const seen = new Set<string>();
  for (let slot = 0; slot < rows.count; slot += 1) {
    const entry = rows.entry(slot);
    if (entry !== undefined) before.add(entry);
    const result = results.get(slot);
    if (result === undefined) continue;
    const name = nameOf(result.resultId);
    if (seen.has(name)) throw wrong('has two rows in one commit');
    seen.add(name);
    checkResult(result, before.of(result.resultId));
  }
}

/**
 * The newest versions among the rows of a commit so far, by the result that they are members of:
 * what a row of it is compared with, and so what whoever makes one goes by.
 */
export class MembersBefore {
  readonly #resultOf = new Map<string, string>();
  readonly #members = new Map<string, Map<string, Entry>>();

  add(entry: Entry): void {
    const file = nameOf(entry.fileId);
    const left = this.#resultOf.get(file);
    if (left !== undefined) this.#members.get(left)?.delete(file);
    if (entry.resultId === undefined || entry.kind === 'gone') {
      this.#resultOf.delete(file);
      return;
    }
    const result = nameOf(entry.resultId);
    this.#resultOf.set(file, result);
    const members = this.#members.get(result) ?? new Map<string, Entry>();
    this.#members.set(result, members.set(file, entry));
  }

  of(result: ResultId): readonly Entry[] {
    return [...(this.#members.get(nameOf(result))?.values() ?? [])];
  }
}

function checkResult(result: ResultRow, here: readonly Entry[]): void {
  const bytes = here.reduce((sum, { size }) => sum + size, 0);
  if (here.length > result.members || bytes > result.size)
    throw wrong(`has ${here.length} members of ${bytes} bytes where its row says fewer`);
  if (result.members === 0 && result.size > 0) throw wrong('has bytes and no members');
  if (here.length < result.members) return;
  const set = new MemberSet();
  for (const entry of here) set.add(entry.fileId, entry.size, clearHashOf(entry));
  if (!isMadeOf(result, set)) throw wrong('is not made of the members that stand before it');
}

function wrong(says: string): CommitError {
  return new CommitError('COMMIT_RESULT', `a result ${says}`);
}

function nameOf(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.length).toString('latin1');
}
