import {
  asChunkId,
  type Content,
  type Entry,
  type FileId,
  type ListPart,
  type ResultId,
  type ResultRow,
  type SourceId,
} from '@aliquot/proto';
import type { RowDraft } from '../src/commit/block-seal.ts';
import { streamCipher } from '../src/crypto/primitives.ts';
import { noise } from './bytes.ts';

const text = new TextEncoder();

/** Names of one path. */
export function listOf(path: string, change: Partial<ListPart> = {}): ListPart {
  return {
    platform: 'posix',
    path: text.encode(path),
    resultPathLength: 0,
    mtimeNs: 1_700_000_000_123_456_789n,
    mode: 0o644,
    attributes: 0,
    linkTarget: new Uint8Array(0),
    ...change,
  };
}

/** The clear row of one empty file. */
export function pathRow(path: string, change: Partial<Entry> = {}): Entry {
  return {
    kind: 'file',
    sourceId: noise('source', 16) as SourceId,
    class: 'default',
    fileId: noise(`file ${path}`, 16) as FileId,
    size: 0,
    capturedAtMs: 1_700_000_001_000,
    completion: 'assumed',
    content: { depth: 0, refs: [], piece: 0 },
    resultId: undefined,
    ...change,
  };
}

/** A file that is one piece of a slab; keyed by the slab's key unless `singly`. */
export function pieceDraft(path: string, slab: string, piece: number, singly = false): RowDraft {
  const slabKey = noise(`key of slab ${slab}`, 32);
  const keys = streamCipher(slabKey, new Uint8Array(32 * 256));
  const size = 1000 + piece;
  const id = asChunkId(noise(`slab ${slab}`, 32));
  const content: Content = {
    depth: 0,
    refs: [{ id, plainSize: size, epoch: 1 }],
    piece: piece + 1,
  };
  return {
    row: pathRow(path, { size, content }),
    list: listOf(path),
    part: 'none',
    evidence: undefined,
    read: {
      sha256: noise(`sha256 of ${path}`, 32),
      keys: [keys.slice(32 * piece, 32 * (piece + 1))],
    },
    ...(singly ? {} : { slabKey }),
  };
}

/** A file of so many chunks. */
export function chunkedDraft(path: string, chunks: number, change: Partial<Entry> = {}): RowDraft {
  const refs = Array.from({ length: chunks }, (_, at) => ({
    id: asChunkId(noise(`chunk ${at} of ${path}`, 32)),
    plainSize: 100_000 + at,
    epoch: 1 + (at % 2),
  }));
  const size = refs.reduce((sum, { plainSize }) => sum + plainSize, 0);
  const growing = change.completion === 'growing';
  return {
    row: pathRow(path, { size, content: { depth: 0, refs, piece: 0 }, ...change }),
    list: listOf(path),
    part: 'none',
    evidence: undefined,
    read: {
      sha256: growing ? new Uint8Array(0) : noise(`sha256 of ${path}`, 32),
      keys: refs.map((_, at) => noise(`key ${at} of ${path}`, 32)),
    },
  };
}

/** A row without content: a folder, a link, a file that is gone. */
export function bareDraft(
  path: string,
  kind: 'directory' | 'symlink' | 'gone',
  change: Partial<Entry> = {},
): RowDraft {
  const linkTarget = text.encode(kind === 'symlink' ? '../elsewhere' : '');
  return {
    row: pathRow(path, { kind, ...change }),
    list: listOf(path, { linkTarget }),
    part: 'none',
    evidence: undefined,
    read: undefined,
  };
}

/** A closed result of three members. */
export function resultDraft(root: string, change: Partial<ResultRow> = {}): RowDraft {
  return {
    row: {
      kind: 'result',
      sourceId: noise('source', 16) as SourceId,
      class: 'default',
      resultId: noise(`result ${root}`, 16) as ResultId,
      size: 4711,
      capturedAtMs: 1_700_000_002_000,
      progress: 'closed',
      grade: 'assumed',
      members: 3,
      membersRoot: noise(`members of ${root}`, 32),
      ...change,
    },
    list: listOf(root),
    part: 'none',
    evidence: {
      ...{ profile: 'agilent-d', profileVersion: '3', evidence: 'Run finished: größe 12' },
      ...{ started: '12.11.2026 10:33', ended: '' },
    },
    read: undefined,
  };
}

/** One row of every kind and form that a block can hold. */
export function oneOfEach(): RowDraft[] {
  const resultId = noise('result /data/a.D', 16) as ResultId;
  const member = pieceDraft('/data/a.D/report.txt', 'one', 2);
  return [
    pieceDraft('/data/0001.csv', 'one', 0),
    pieceDraft('/data/0002.csv', 'one', 1),
    { ...member, row: { ...(member.row as Entry), resultId }, part: 'results' },
    pieceDraft('/data/0003.csv', 'two', 0),
    pieceDraft('/data/0002-again.csv', 'one', 1),
    pieceDraft('/data/touched.csv', 'older', 7, true),
    pathRowDraft('/data/empty'),
    chunkedDraft('/data/large.raw', 3),
    chunkedDraft('/data/growing.log', 2, { completion: 'growing' }),
    bareDraft('/data/folder', 'directory', { class: 'other' }),
    bareDraft('/data/link', 'symlink'),
    bareDraft('/data/old', 'gone', { capturedAtMs: 1_700_000_000_999 }),
    resultDraft('/data/a.D'),
  ];
}

function pathRowDraft(path: string): RowDraft {
  return {
    row: pathRow(path),
    list: listOf(path, { mtimeNs: -1n }),
    part: 'none',
    evidence: undefined,
    read: { sha256: noise(`sha256 of ${path}`, 32), keys: [] },
  };
}
