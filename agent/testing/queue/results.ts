/**
 * Folder results for tests of the queue and the uplink: members, and what was seen of them. Nothing
 * outside tests imports this file.
 */
import type { FileId, ResultRow } from '@aliquot/proto';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import { MemberSet } from '@aliquot/shared/commit/results';
import { readCommit } from '@aliquot/shared/commit/rows';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { type JudgedResult, SeenMembers } from '../../src/queue/intake/results.ts';
import type { Queue } from '../../src/queue/queue.ts';
import type { SampleFile } from './support.ts';

/** The same file as a member of the folder result that it lies in. */
export function memberOf<File extends SampleFile>(root: string, file: File): File {
  const resultPathLength = Buffer.byteLength(root);
  const { draft, known } = file;
  return {
    ...file,
    draft: { ...draft, list: { ...draft.list, resultPathLength } },
    known: { ...known, resultPathLength },
  };
}

/** A result of which these files, and nothing else, were seen. */
export function judgedResult(
  root: string,
  files: readonly SampleFile[],
  change: Partial<JudgedResult> = {},
): JudgedResult {
  const inOrder = [...files].sort((a, b) => Buffer.compare(a.path, b.path));
  const seen = new SeenMembers();
  for (const { known } of inOrder) {
    const path = Buffer.from(known.path).toString('latin1');
    seen.add(path, known.kind, known.size, known.mtimeNs);
  }
  return {
    root: Buffer.from(root),
    below: Buffer.from(`${root}/`),
    platform: 'posix',
    sourceId: (files[0] as SampleFile).draft.sourceId,
    class: 'default',
    judgedAtMs: FIXTURE_TIME_MS,
    grade: 'assumed',
    seen: seen.digest(),
    evidence: { profile: 'folder', profileVersion: '1', evidence: '', started: '', ended: '' },
    isLeftOut: () => false,
    ...change,
  };
}

/** A row of a result as whoever has the commits before it sees it. */
export interface SeenRow extends Pick<ResultRow, 'progress' | 'grade' | 'members'> {
  readonly resultId: string;
  /** Number, bytes and root are those of the newest versions of its members before it. */
  readonly fits: boolean;
}

interface SeenMember {
  readonly fileId: FileId;
  readonly resultId: string;
  readonly size: number;
  readonly hash: Uint8Array;
}

/**
 * The rows of results in the commits of a chain, in their order, compared with what is before them.
 */
export async function rowsInChain(
  commits: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<readonly SeenRow[]> {
  const newest = new Map<string, SeenMember>();
  const found: SeenRow[] = [];
  for await (const bytes of commits) {
    const { rows } = readCommit(bytes);
    for (let slot = 0; slot < rows.count; slot += 1) {
      const entry = rows.entry(slot);
      if (entry !== undefined) {
        const { fileId, size } = entry;
        const resultId = entry.kind === 'gone' ? '' : nameOf(entry.resultId);
        newest.set(nameOf(fileId), { fileId, resultId, size, hash: clearHashOf(entry) });
      }
      const row = rows.result(slot);
      if (row === undefined) continue;
      const { progress, grade, members } = row;
      const resultId = nameOf(row.resultId);
      const fits = isMadeOf(
        row,
        [...newest.values()].filter((member) => member.resultId === resultId),
      );
      found.push({ resultId, progress, grade, members, fits });
    }
  }
  return found;
}

function isMadeOf(row: ResultRow, members: readonly SeenMember[]): boolean {
  const set = new MemberSet();
  for (const { fileId, size, hash } of members) set.add(fileId, size, hash);
  return (
    set.count === row.members && set.size === row.size && equalBytes(set.root(), row.membersRoot)
  );
}

function nameOf(id: Uint8Array | undefined): string {
  return id === undefined ? '' : Buffer.from(id).toString('hex');
}

/** Every commit that a queue has signed, in order. */
export async function* signedCommits(queue: Pick<Queue, 'outbox'>): AsyncGenerator<Uint8Array> {
  for (let sequence = 1; ; sequence += 1) {
    const commit = await queue.outbox.signedCommit(sequence);
    if (commit === undefined) return;
    yield commit.bytes;
  }
}
