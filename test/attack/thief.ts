import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  decodeEntryDraft,
  decodePage,
  MAX_PIECE_PLAIN_BYTES,
  type References,
  type VaultId,
} from '@aliquot/proto';
import { OpenRead, openBlockList } from '@aliquot/shared/commit/block-open';
import { openBlockKey } from '@aliquot/shared/commit/keys';
import { decode, decodePiece } from '@aliquot/shared/content/codec';
import { itemHeader } from '@aliquot/shared/content/seal';
import { boxOpen } from '@aliquot/shared/crypto/box';
import {
  aeadOpen,
  equalBytes,
  labelled,
  sha256,
  sha512,
  streamCipher,
  ZERO_NONCE,
} from '@aliquot/shared/crypto/primitives';
import { splitDrafts } from '../../agent/src/queue/log/payloads.ts';
import type { SearchJob, Suspicion } from './search.ts';
import { itemName, type Trove, targetsOf } from './trove.ts';

const KEY_BYTES = 32;
const MAX_PLAIN_BYTES = 4 * 1024 * 1024;

/** A candidate that may open something. */
export interface Clue {
  readonly key: string;
  readonly target: string;
}

/**
 * Tries every candidate against everything in the trove, on two threads.
 *
 * @param itemKeys Candidates that could be keys of chunks and pages only, and are not tried on
 * anything else.
 */
export async function investigate(
  trove: Trove,
  candidates: ReadonlySet<string>,
  itemKeys: ReadonlySet<string>,
): Promise<Clue[]> {
  const targets = targetsOf(trove);
  const whole = shares(candidates).map((part) => cluesFrom(part, targets));
  const items = shares(itemKeys).map((part) =>
    cluesFrom(part, { ...targets, commits: [], publicKeys: [] }),
  );
  return (await Promise.all([...whole, ...items])).flat();
}

function shares(candidates: ReadonlySet<string>): Buffer[] {
  const bytes = Buffer.from([...candidates].join(''), 'latin1');
  const share = Math.ceil(candidates.size / Math.min(2, availableParallelism())) * KEY_BYTES;
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += share) parts.push(bytes.subarray(at, at + share));
  return parts;
}

async function cluesFrom(part: Buffer, targets: Omit<SearchJob, 'candidates'>): Promise<Clue[]> {
  const found = await inThread({ ...targets, candidates: new Uint8Array(part) });
  return found.map(({ at, target }) => ({
    key: part.toString('latin1', at, at + KEY_BYTES),
    target,
  }));
}

function inThread(job: SearchJob): Promise<Suspicion[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: job });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/**
 * Follows clues, as far as the candidates in hand lead: a key opens bytes, and the bytes hold keys.
 */
export class Thief {
  readonly #trove: Trove;
  /** Plaintexts of chunks and pieces, by their names in the trove. */
  readonly chunks = new Map<string, Buffer>();
  readonly pages = new Set<string>();
  /** Paths that list segments gave away. */
  readonly names = new Set<string>();
  /** Files whose read parts are open, as "commit slot". */
  readonly reads = new Set<string>();
  /** Queued versions, as "record place". */
  readonly drafts = new Set<string>();
  /** Wraps, as "commit wrap". */
  readonly wraps = new Set<string>();

  constructor(trove: Trove, clues: readonly Clue[], candidates: ReadonlySet<string>) {
    this.#trove = trove;
    for (const { key, target } of clues)
      if (candidates.has(key)) this.#open(target, Buffer.from(key, 'latin1'));
  }

  /** Everything that was opened, for a comparison with nothing. */
  get spoils() {
    const { chunks, pages, names, reads, drafts, wraps } = this;
    return {
      chunks: [...chunks.keys()],
      pages: [...pages],
      names: [...names],
      reads: [...reads],
      drafts: [...drafts],
      wraps: [...wraps],
    };
  }

  #open(target: string, key: Buffer): void {
    const [what = '', first = '', second = '', role = ''] = target.split(' ');
    if (what === 'item') this.#item(first, key);
    else if (what === 'draft') this.#batch(Number(first), key);
    else if (what === 'list') this.#list(Number(first), Number(second), key);
    else if (what === 'read') this.#read(Number(first), Number(second), key);
    else if (what === 'commit') this.#commit(Number(first), second, key);
    else if (what === 'wrap') this.#wrap(Number(first), Number(second), role, key);
    else throw new Error(`no such target: ${target}`);
  }

  #item(id: string, key: Uint8Array): void {
    const item = this.#trove.items.get(id);
    if (item === undefined) return;
    if (item.kind === 'piece') {
      const encoded = streamCipher(key, item.bytes);
      const plain = attempt(() => decodePiece(encoded, item.plainSize ?? MAX_PIECE_PLAIN_BYTES));
      if (plain !== undefined && this.#isFile(plain)) this.chunks.set(id, Buffer.from(plain));
      return;
    }
    for (const vaultId of this.#vaults()) {
      if (item.kind === 'chunk') {
        const encoded = attempt(() =>
          aeadOpen(key, ZERO_NONCE, item.bytes, itemHeader('chunk', vaultId)),
        );
        if (encoded !== undefined)
          this.chunks.set(id, Buffer.from(decode(encoded, MAX_PLAIN_BYTES)));
        continue;
      }
      const { content, clear, sealedKeys } = decodePage(item.bytes);
      const header = Buffer.concat([itemHeader('page', vaultId), clear]);
      const keys = attempt(() => aeadOpen(key, ZERO_NONCE, sealedKeys, header));
      if (keys === undefined) continue;
      this.pages.add(id);
      this.#content(
        content,
        content.refs.map((_, at) => keys.subarray(KEY_BYTES * at, KEY_BYTES * (at + 1))),
      );
    }
  }

  /** A piece has no tag: only the hash of its file tells a right key from chance. */
  #isFile(plain: Uint8Array): boolean {
    const digest = sha256(plain);
    return this.#trove.published.some((hash) => equalBytes(hash, digest));
  }

  #content({ refs }: References, keys: readonly Uint8Array[], piece = 0): void {
    for (const [at, ref] of refs.entries())
      this.#item(itemName(ref, piece), keys[at] ?? new Uint8Array(KEY_BYTES));
  }

  #batch(at: number, key: Uint8Array): void {
    const batch = this.#trove.drafts[at]?.batch;
    for (const [number, draft] of this.#trove.drafts.entries()) {
      if (draft.batch !== batch) continue;
      const bytes = attempt(() => aeadOpen(key, draft.nonce, draft.sealed, draft.clear));
      if (bytes === undefined) continue;
      for (const [place, encoded] of splitDrafts(bytes, draft.count).entries()) {
        this.drafts.add(`${number} ${place}`);
        const { content, read } = decodeEntryDraft(encoded);
        this.#content(content, read?.keys ?? [], content.piece);
      }
    }
  }

  #list(commit: number, at: number, key: Uint8Array): void {
    const block = this.#trove.commits[commit]?.rows.blocks[at];
    const names = block && attempt(() => openBlockList(block.rows, key));
    for (const { list } of names ?? []) this.names.add(Buffer.from(list.path).toString());
  }

  #read(commit: number, at: number, key: Uint8Array): void {
    const { rows } = this.#trove.commits[commit] ?? {};
    const block = rows?.blocks[at];
    const read = block && attempt(() => new OpenRead(block.rows, key));
    if (rows === undefined || block === undefined || read === undefined) return;
    for (const place of block.rows.kinds.keys()) {
      const slot = block.from + place;
      const part = read.at(place);
      const content = rows.entry(slot)?.content;
      if (part === undefined || content === undefined) continue;
      this.reads.add(`${commit} ${slot}`);
      this.#content(content, part.keys, content.piece);
    }
  }

  #commit(number: number, purpose: string, key: Uint8Array): void {
    for (const [at, { listBox, readBox }] of (
      this.#trove.commits[number]?.rows.blocks ?? []
    ).entries()) {
      const opened = attempt(() =>
        purpose === 'list'
          ? openBlockKey('list', key, listBox)
          : openBlockKey('read', key, readBox),
      );
      if (opened === undefined) continue;
      if (purpose === 'list') this.#list(number, at, opened);
      else this.#read(number, at, opened);
    }
  }

  /**
   * As the recipient, or as a sender who kept the ephemeral key. The nonce is the one of SEALING.md
   * and design, from public values.
   */
  #wrap(number: number, at: number, role: string, secret: Uint8Array): void {
    const commit = this.#trove.commits[number];
    const wrap = commit?.wraps[at];
    if (commit === undefined || wrap === undefined) return;
    const { vaultId, agentId, chainId, sequence } = commit.header;
    const place = Buffer.alloc(9);
    place[0] = wrap.purpose === 'list' ? 1 : 2;
    place.writeBigUInt64BE(BigInt(sequence), 1);
    const context = Buffer.concat([
      place.subarray(0, 1),
      vaultId,
      agentId,
      chainId,
      place.subarray(1),
    ]);
    const nonce = sha512(
      labelled('aliquot/v1/wrap'),
      wrap.ephemeralKey,
      wrap.recipientKey,
      context,
    ).subarray(0, 24);
    const other = role === 'recipient' ? wrap.ephemeralKey : wrap.recipientKey;
    const key = attempt(() => boxOpen(wrap.box, nonce, other, secret));
    if (key === undefined) return;
    this.wraps.add(`${number} ${at}`);
    this.#commit(number, wrap.purpose, key);
  }

  #vaults(): VaultId[] {
    return [
      ...new Map(
        this.#trove.commits.map(({ header }) => [
          Buffer.from(header.vaultId).toString('hex'),
          header.vaultId,
        ]),
      ).values(),
    ];
  }
}

function attempt<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch {
    return undefined; // not the key: this is what the attack is made of
  }
}
