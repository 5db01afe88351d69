import { type ChunkId, decodePage, type References } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Clock } from '@aliquot/shared/ports';
import type { DurableLosses } from '../ledger/durable-losses.ts';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import { mustKnow } from '../log/index-proof.ts';
import {
  decodeItemPlace,
  decodeUnsigned,
  familyFrom,
  numberInKey,
  rawKey,
  type UnsignedVersions,
  unsignedEntries,
} from '../log/index-rows.ts';
import { askIndex } from '../log/questions.ts';
import { openDrafts, pathsAt } from '../log/stored.ts';
import { unsignedFrom } from '../log/unsigned.ts';
import { BATCH_ENTRIES, type BatchSealer, cutCommit } from './batch.ts';
import type { DurableChain } from './chain.ts';
import type { CommitSigner } from './outbox.ts';
import type { Recent } from './recent.ts';
import type { BatchedEntries } from './sent-proof.ts';

/**
 * What this process wrote so lately is not read back before it is signed: the disk has had no time
 * to forget it.
 */
const FRESH_MS = 60 * 60 * 1000;
const MARK_MS = 60 * 1000;

export interface SigningParts {
  readonly core: QueueCore;
  readonly losses: DurableLosses;
  readonly batch: BatchSealer;
  readonly recent: Recent;
  readonly chain: DurableChain;
  readonly clock: Clock;
}

/** What cannot be sent of one version: its draft, or items that it needs. */
interface Unsound {
  readonly entry: number;
  readonly batch: number;
  readonly path: Uint8Array | undefined;
  readonly items: readonly ChunkId[];
}

/**
 * The way out: what a commit will cover is proved to be readable first, then signed. A signed
 * commit that lacks a chunk can never be taken, and everything behind it waits; an unreadable
 * version that is named and left out costs itself alone (I-A12).
 */
export class Signing {
  readonly #parts: SigningParts;
  /** Versions up to this one were read back and found whole. */
  #provenThrough = 0;
  /** Items that were found unreadable: a capture under way may name one yet. */
  readonly #gone = new Set<string>();
  #lastSlab: { readonly name: string; readonly isWhole: boolean } | undefined;
  /** The first versions of the last minutes, oldest first. */
  readonly #marks: { readonly entry: number; readonly atMs: number }[] = [];

  constructor(parts: SigningParts) {
    this.#parts = parts;
  }

  /** A version was put. */
  put(entry: number): void {
    const nowMs = this.#parts.clock.nowMs();
    const newest = this.#marks.at(-1);
    if (newest !== undefined && nowMs >= newest.atMs && nowMs - newest.atMs < MARK_MS) return;
    this.#marks.push({ entry, atMs: nowMs });
    while ((this.#marks[1]?.atMs ?? nowMs) < nowMs - FRESH_MS) this.#marks.shift();
  }

  /** Whatever was believed before: the files were opened again. */
  forget(): void {
    this.#provenThrough = 0;
    this.#marks.length = 0;
  }

  /**
   * Reads back what the next commit will cover, names what is unreadable, and forgets where its
   * items were, so that they are captured again from their source. Outside the queue's turn as far
   * as it reads: captures go on meanwhile.
   */
  async prove(): Promise<void> {
    const { core } = this.#parts;
    await core.change(() => core.flush());
    const { signedEntry } = core.files.index.state;
    const before = Math.min(this.#freshFrom(), signedEntry + BATCH_ENTRIES + 1);
    const first = Math.max(signedEntry, this.#provenThrough) + 1;
    const { unsound, through } = await askIndex(core, () => this.#lookFrom(first, before));
    this.#provenThrough = Math.max(this.#provenThrough, through);
    if (unsound.length === 0) return;
    // Others may need the same items, and where these were is forgotten: so all is read, what came
    // meanwhile included.
    const rest = await askIndex(core, () => this.#lookFrom(through + 1, Number.MAX_SAFE_INTEGER));
    await core.change(async () => {
      await core.flush();
      const newest = await this.#lookFrom(rest.through + 1, Number.MAX_SAFE_INTEGER);
      await this.#leaveOut([...unsound, ...rest.unsound, ...newest.unsound]);
    });
  }

  /** `prove` for all that waits, however lately it was written. */
  proveAll(): Promise<void> {
    const { core } = this.#parts;
    return core.change(async () => {
      await core.flush();
      const { signedEntry } = core.files.index.state;
      const { unsound } = await this.#lookFrom(signedEntry + 1, Number.MAX_SAFE_INTEGER);
      if (unsound.length > 0) await this.#leaveOut(unsound);
    });
  }

  /** Looks at unsigned versions from one on, up to but not including another. */
  async #lookFrom(
    first: number,
    before: number,
  ): Promise<{ readonly unsound: Unsound[]; readonly through: number }> {
    const unsound: Unsound[] = [];
    this.#lastSlab = undefined;
    let through = first - 1;
    const rows = { ...familyFrom('q', first), gte: unsignedFrom(first) };
    for await (const [key, value] of this.#parts.core.files.index.iterate(rows)) {
      const from = numberInKey(key);
      if (from >= before) break;
      const versions = decodeUnsigned(value);
      if (from + versions.count <= first) continue;
      unsound.push(...(await this.#look(from, versions)));
      through = from + versions.count - 1;
    }
    return { unsound, through };
  }

  /** In the queue's turn: signs the oldest versions; false when there are none. */
  async sign(signer: CommitSigner): Promise<boolean> {
    const { core, losses, batch, recent, chain } = this.#parts;
    await core.flush();
    batch.finish();
    for (;;) {
      const { record, unreadable, taken } = await cutCommit(core.files, chain, signer, recent);
      if (unreadable.length > 0) await losses.name(unreadable.flatMap(({ entries }) => entries));
      await this.#proveSkipped(taken);
      if (record !== undefined) await core.appendChain('signed', record);
      batch.settled([...unreadable, ...taken]);
      // Nothing but damage as far as one cut goes: what is behind it must not wait for ever.
      if (record === undefined && unreadable.length > 0) continue;
      if (record === undefined) return false;
      recent.signed(core.files.index.state.signedEntry);
      await batch.eraseSent(core.files);
      return true;
    }
  }

  /** D5: the index alone does not say that a number between signed ones waits no more. */
  async #proveSkipped(taken: readonly BatchedEntries[]): Promise<void> {
    const { core } = this.#parts;
    let next = core.files.index.state.signedEntry + 1;
    for (const { entries } of taken)
      for (const entry of entries) {
        const waits = entry > next ? await core.waiting.waitsIn(next, entry - 1) : undefined;
        if (waits !== undefined) await mustKnow(core.files.index, waits);
        next = entry + 1;
      }
  }

  #freshFrom(): number {
    const nowMs = this.#parts.clock.nowMs();
    const mark = this.#marks.find(({ atMs }) => atMs <= nowMs && atMs >= nowMs - FRESH_MS);
    return mark?.entry ?? Number.MAX_SAFE_INTEGER;
  }

  /** What of a record's versions cannot be sent. */
  async #look(first: number, versions: UnsignedVersions): Promise<readonly Unsound[]> {
    const { at, batch, holdSegment } = versions;
    const { files } = this.#parts.core;
    const opened = await openDrafts(files, at);
    // Where a key is gone, or a draft has rotted, the clear part may still say of what.
    const paths = opened === undefined ? await pathsAt(files, at) : [];
    const unsound: Unsound[] = [];
    for (const entry of unsignedEntries(first, versions)) {
      const draft = opened?.[entry - first]?.draft;
      const path =
        (draft?.kind === 'result' ? draft.root : draft?.list.path) ?? paths[entry - first];
      const items =
        draft === undefined || draft.kind === 'result'
          ? []
          : await this.#missing(draft.content, holdSegment);
      if (draft === undefined || items.length > 0) unsound.push({ entry, batch, path, items });
    }
    return unsound;
  }

  /** What a content needs that the queue should give and cannot. */
  async #missing(whole: References, holdSegment: number): Promise<readonly ChunkId[]> {
    const { files } = this.#parts.core;
    const items: ChunkId[] = [];
    const seen = new Set<string>();
    const stack: References[] = [whole];
    for (let content = stack.pop(); content !== undefined; content = stack.pop()) {
      const ids = content.refs.map(({ id }) => id).filter((id) => isNew(seen, id));
      for (const [position, place] of (
        await files.index.getMany(ids.map((id) => rawKey('i', id)))
      ).entries()) {
        const id = ids[position];
        if (id === undefined) continue;
        if (place === undefined && this.#gone.has(mapKey(id))) items.push(id);
        // What the queue does not hold, or held for an earlier version already, is at the
        // collector.
        if (place === undefined) continue;
        const { file, kind } = decodeItemPlace(place);
        if (file < holdSegment) continue;
        if (kind === 'slab') {
          if (!(await this.#isWholeSlab(id, place))) items.push(id);
          continue;
        }
        const sealed = await this.#read(id, place);
        if (sealed === undefined) items.push(id);
        else if (content.depth > 0) stack.push(decodePage(sealed).content);
      }
    }
    return items;
  }

  /**
   * The files of a slab follow each other, and each asks for it: so the last answer is kept.
   */
  async #isWholeSlab(id: ChunkId, place: Uint8Array): Promise<boolean> {
    const name = mapKey(id);
    if (this.#lastSlab?.name !== name)
      this.#lastSlab = { name, isWhole: (await this.#read(id, place)) !== undefined };
    return this.#lastSlab.isWhole;
  }

  async #read(id: ChunkId, place: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      const { header, payload } = await this.#parts.core.files.segments.read(
        decodeItemPlace(place),
      );
      return equalBytes(header.digest, id) ? payload : undefined;
    } catch (error) {
      if (!(error instanceof QueueError) || error.code !== 'QUEUE_DAMAGED') throw error;
      return undefined;
    }
  }

  /**
   * The record before the index: a crash in between finds the same damage again, and never signs
   * over it.
   */
  async #leaveOut(unsound: readonly Unsound[]): Promise<void> {
    const { core, losses, batch } = this.#parts;
    const names = new Map(
      unsound.flatMap(({ entry, path }): [number, Uint8Array][] =>
        path === undefined ? [] : [[entry, path]],
      ),
    );
    await losses.name(
      unsound.map(({ entry }) => entry),
      names,
    );
    batch.settled(unsound.map(({ entry, batch: under }) => ({ batch: under, entries: [entry] })));
    for (const id of unsound.flatMap(({ items }) => items)) {
      core.files.index.del(rawKey('i', id));
      this.#gone.add(mapKey(id));
    }
    await core.flush();
    await batch.eraseSent(core.files);
  }
}

function isNew(seen: Set<string>, id: ChunkId): boolean {
  const name = mapKey(id);
  if (seen.has(name)) return false;
  seen.add(name);
  return true;
}
