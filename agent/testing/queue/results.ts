/**
 * Folder results for tests of the queue and the uplink: members, and what was seen of them. Nothing
 * outside tests imports this file.
 */
import { FIXTURE_TIME_MS } from '@aliquot/shared/testing/keys/fixtures';
import { type JudgedResult, SeenMembers } from '../../src/queue/intake/results.ts';
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
