import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodePage,
  decodeSlab,
  decodeStoredCommit,
  type Entry,
  pieceOf,
  type Ref,
} from '@aliquot/proto';
import { type ReadCommit, readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import { ZERO_NONCE } from '@aliquot/shared/crypto/primitives';
import { decodeSignedRecord, decodeVersion } from '../../agent/src/queue/log/payloads.ts';
import type { Beginning, SealedTarget, SearchJob } from './search.ts';

/**
 * Everything sealed that there is to open, read from packs and segments as FORMAT.md describes them
 * and nothing else.
 */
export interface Trove {
  /** By id in hex; the pieces of a slab by its id and their place, as "id/1". */
  readonly items: ReadonlyMap<
    string,
    {
      readonly kind: 'chunk' | 'page' | 'piece';
      readonly bytes: Buffer;
      readonly plainSize: number | undefined;
    }
  >;
  readonly commits: readonly TroveCommit[];
  readonly drafts: readonly TroveDraft[];
  /** SHA-256 of files that somebody may have told: by one of them a read segment is known. */
  readonly published: readonly Uint8Array[];
}

export interface TroveCommit extends ReadCommit {
  readonly entries: readonly Entry[];
}

/** Captured versions in a queue segment. */
export interface TroveDraft {
  readonly count: number;
  /** Folder and number of the batch: what one batch key opens. */
  readonly batch: string;
  readonly nonce: Uint8Array;
  readonly clear: Uint8Array;
  readonly sealed: Uint8Array;
}

/** The kind of a slab's record in a pack, and in a segment. */
const PACKED_SLAB = 5;
const QUEUED_SLAB = 6;

interface RawRecord {
  readonly kind: number;
  readonly id: string;
  readonly payload: Buffer;
}

/** The name in `Trove.items` of what a reference of this content names. */
export function itemName({ id }: Pick<Ref, 'id'>, piece: number): string {
  const name = Buffer.from(id).toString('hex');
  return piece === 0 ? name : `${name}/${piece}`;
}

/** Reads the vaults of a collector, and the segments and chain logs of agents' folders. */
export async function troveOf(
  collector: string,
  agents: readonly string[],
  published: readonly Uint8Array[],
): Promise<Trove> {
  const items = new Map<
    string,
    { kind: 'chunk' | 'page' | 'piece'; bytes: Buffer; plainSize: number | undefined }
  >();
  const commits = new Map<string, TroveCommit>();
  const drafts: TroveDraft[] = [];
  const takeItem = ({ kind, id, payload }: RawRecord, slabKind: number): void => {
    if (kind === 1 || kind === 2)
      items.set(id, { kind: kind === 1 ? 'chunk' : 'page', bytes: payload, plainSize: undefined });
    if (kind !== slabKind) return;
    const slab = decodeSlab(payload);
    for (let at = 0; at < slab.count; at += 1) {
      const bytes = Buffer.from(pieceOf(slab, at).sealed ?? []);
      items.set(`${id}/${at + 1}`, { kind: 'piece', bytes, plainSize: undefined });
    }
  };
  const takeCommit = (bytes: Uint8Array): void => {
    const commit = readCommit(bytes);
    const entries = [...rowsIn(commit.rows)].map(({ entry }) => entry);
    commits.set(Buffer.from(commit.hash).toString('latin1'), { ...commit, entries });
  };
  const framing = { magic: 'ALQR', file: 40, header: 52, idAt: 16 };
  const vaults = join(collector, 'vaults');
  for (const record of await records(vaults, '.pack', framing)) takeItem(record, PACKED_SLAB);
  for (const { kind, payload } of await records(vaults, '.history', framing))
    if (kind === 2) takeCommit(decodeStoredCommit(payload).commit);
  for (const agent of agents) {
    for (const record of await records(join(agent, 'queue', 'segments'), '.seg', framing)) {
      takeItem(record, QUEUED_SLAB);
      if (record.kind !== 3) continue;
      const { head, clear, sealedDrafts } = decodeVersion(record.payload);
      drafts.push({
        batch: `${agent} ${head.batch}`,
        nonce: head.nonce,
        clear,
        count: head.rows.length,
        sealed: sealedDrafts,
      });
    }
    for (const { kind, payload } of await records(join(agent, 'chain'), '.log', framing))
      if (kind === 16) takeCommit(decodeSignedRecord(payload).commit);
  }
  const named = (ref: Ref, piece: number): void => {
    const item = items.get(itemName(ref, piece));
    if (item !== undefined) item.plainSize = ref.plainSize;
  };
  for (const { entries } of commits.values())
    for (const { content } of entries) for (const ref of content.refs) named(ref, content.piece);
  for (const { kind, bytes } of items.values())
    if (kind === 'page') for (const ref of decodePage(bytes).content.refs) named(ref, 0);
  return { items, commits: [...commits.values()], drafts, published };
}

async function records(
  folder: string,
  suffix: string,
  framing: {
    readonly magic: string;
    readonly file: number;
    readonly header: number;
    readonly idAt: number;
  },
): Promise<RawRecord[]> {
  const found: RawRecord[] = [];
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!item.name.endsWith(suffix)) continue;
    const bytes = await readFile(join(item.parentPath, item.name));
    for (let at = framing.file; bytes.toString('latin1', at, at + 4) === framing.magic; ) {
      const payloadAt = at + framing.header;
      const end = payloadAt + bytes.readUInt32BE(at + 8);
      const id = bytes.toString('hex', at + framing.idAt, at + framing.idAt + 32);
      found.push({ kind: bytes.readUInt8(at + 5), id, payload: bytes.subarray(payloadAt, end) });
      at = end;
    }
  }
  return found;
}

const storedBeginning: Beginning = { bytes: 0, known: 1 };
const zstd: Beginning = { bytes: 0x0128b52f, known: 4 };
const DRAFT_AT = 4;
/** Version 1, then kind 1 to 4. */
const DRAFT: readonly Beginning[] = [1, 2, 3, 4].map((kind) => ({
  bytes: 0x08011000 + kind,
  known: 4,
}));
/** Zstandard's magic, behind four bytes of length. */
const LIST_AT = 4;
const listBeginnings: readonly Beginning[] = [{ bytes: 0x28b52ffd, known: 4 }];
/** Behind the salts' seed stands the SHA-256 of the first file, which may be known. */
const READ_AT = 32;

/** What to look for, by the names that `Thief.open` understands. */
export function targetsOf(trove: Trove): Omit<SearchJob, 'candidates'> {
  const chunk = (id: string, bytes: Buffer, plainSize: number | undefined): SealedTarget => {
    // Codec byte and tag are what a stored chunk has more than its content; a compressed one is
    // smaller.
    const beginnings =
      plainSize === undefined
        ? [storedBeginning, zstd]
        : [bytes.length === plainSize + 17 ? storedBeginning : zstd];
    const start = bytes.subarray(0, 4);
    return { name: `item ${id}`, nonce: ZERO_NONCE, start, beginnings };
  };
  const piece = (id: string, bytes: Buffer, plainSize: number | undefined): SealedTarget => {
    // Its frame lacks the magic, so only the codec byte is known. A piece may be of three bytes.
    const codecs = plainSize === undefined ? [0, 1] : [bytes.length === plainSize + 1 ? 0 : 1];
    const beginnings = codecs.map((codec) => ({ bytes: codec, known: 1 as const }));
    const start = Buffer.alloc(4);
    bytes.copy(start, 0, 0, 4);
    return { name: `item ${id}`, nonce: ZERO_NONCE, firstBlock: 0, start, beginnings };
  };
  const sealed: SealedTarget[] = [];
  const pages: SearchJob['pages'][number][] = [];
  const commits: SearchJob['commits'][number][] = [];
  const publicKeys: SearchJob['publicKeys'][number][] = [];
  for (const [id, { kind, bytes, plainSize }] of trove.items) {
    if (kind === 'chunk') sealed.push(chunk(id, bytes, plainSize));
    else if (kind === 'piece') sealed.push(piece(id, bytes, plainSize));
    else pages.push(page(id, bytes));
  }
  function page(id: string, bytes: Buffer) {
    const { content, sealedKeys } = decodePage(bytes);
    const first = Buffer.from(content.refs[0]?.id ?? []).toString('hex');
    const item = trove.items.get(first);
    if (content.depth !== 0 || item === undefined)
      throw new Error('a page that this search cannot judge');
    return {
      name: `item ${id}`,
      start: sealedKeys.subarray(0, 32),
      first: chunk(first, item.bytes, item.plainSize),
    };
  }
  const readBeginnings = trove.published.map(
    (hash): Beginning => ({ bytes: Buffer.from(hash).readUInt32BE(0), known: 4 }),
  );
  for (const [c, { rows, wraps }] of trove.commits.entries()) {
    for (const [b, { rows: block, listBox, readBox }] of rows.blocks.entries()) {
      const list: SealedTarget = {
        ...{ name: `list ${c} ${b}`, nonce: ZERO_NONCE, at: LIST_AT },
        ...{ start: block.list.subarray(LIST_AT, LIST_AT + 4), beginnings: listBeginnings },
      };
      const read: SealedTarget = {
        ...{ name: `read ${c} ${b}`, nonce: ZERO_NONCE, at: READ_AT },
        ...{ start: block.read.subarray(READ_AT, READ_AT + 4), beginnings: readBeginnings },
      };
      const hasHash = Array.from(block.kinds).some((kind) => (kind & 7) === 1);
      for (const { part, box } of [
        { part: list, box: listBox },
        ...(hasHash ? [{ part: read, box: readBox }] : []),
      ]) {
        sealed.push(part);
        const purpose = part === list ? 'list' : 'read';
        // A key of the commit that opens one of its blocks opens all.
        if (commits.some(({ name }) => name === `commit ${c} ${purpose}`)) continue;
        commits.push({
          ...{ name: `commit ${c} ${purpose}`, part },
          ...{ nonce: box.subarray(0, 12), box: box.subarray(12, 44) },
        });
      }
    }
    for (const [w, { recipientKey, ephemeralKey }] of wraps.entries())
      publicKeys.push(
        { name: `wrap ${c} ${w} recipient`, key: recipientKey },
        { name: `wrap ${c} ${w} sender`, key: ephemeralKey },
      );
  }
  for (const [at, { batch, nonce, sealed: draft }] of trove.drafts.entries()) {
    // one key for all of a batch
    if (trove.drafts.findIndex((other) => other.batch === batch) !== at) continue;
    // Behind the length of the first of them.
    const start = draft.subarray(DRAFT_AT, DRAFT_AT + 4);
    sealed.push({ name: `draft ${at}`, nonce, at: DRAFT_AT, start, beginnings: DRAFT });
  }
  return { sealed, pages, commits, publicKeys };
}
