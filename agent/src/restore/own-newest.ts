import { ID_BYTES, rowKind, SUMMARY_MARK_BYTES } from '@aliquot/proto';
import { lastSlots, markName } from '@aliquot/shared/commit/last-slots';
import { lostMarks } from '@aliquot/shared/commit/lost-marks';
import { MarkTable } from '@aliquot/shared/commit/mark-table';
import { readCommit } from '@aliquot/shared/commit/rows';
import { type MarkWords, markOf } from '@aliquot/shared/commit/summary';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { AgentIdentity } from '../identity/identity.ts';
import type { CommitChain, Outbox } from '../queue/outbox/outbox.ts';

/**
 * A version that this PC has a receipt for, and the collector did not show as its file's newest.
 */
export interface KeptBack {
  readonly sequence: number;
  /** The encoded `SignedCommit`, as the chain log has it. */
  readonly commit: Uint8Array;
  readonly slots: readonly number[];
}

interface OwnQueue {
  readonly outbox: Pick<Outbox, 'receiptedCommits'>;
  readonly chain: Pick<CommitChain, 'present'>;
}

const NO_MARKS = new Uint8Array(0);

/**
 * What the PC's own chain log says is the newest version of each file, to hold a collector's answer
 * against. Where the chain was forked another installation's versions may be newer, or may be what
 * an operator decided for: then nothing is said to be missing.
 */
export class OwnNewest {
  readonly #outbox: Pick<Outbox, 'receiptedCommits'>;
  readonly #atMs: number;
  readonly #table = new MarkTable();
  /** By hash: the sequences of own commits that count. */
  readonly #own = new Map<string, number>();

  private constructor(outbox: Pick<Outbox, 'receiptedCommits'>, atMs: number) {
    this.#outbox = outbox;
    this.#atMs = atMs;
  }

  /** Undefined where the chain was forked. */
  static async read(
    { outbox, chain }: OwnQueue,
    identity: Pick<AgentIdentity, 'certificate'>,
    atMs: number,
  ): Promise<OwnNewest | undefined> {
    const { forkedFrom, inherited } = chain.present();
    if (forkedFrom !== undefined && !inherited) return undefined;
    const newest = new OwnNewest(outbox, atMs);
    const { agentId } = identity.certificate.binding;
    for await (const { sequence, hash, commit, isAfter } of outbox.receiptedCommits(atMs)) {
      const { header, rows } = readCommit(commit);
      // What the agent before a takeover signed is not opened here.
      if (!equalBytes(header.agentId, agentId)) continue;
      if (isAfter) {
        newest.#goneSoon(rows.summary);
        continue;
      }
      newest.#own.set(mapKey(hash), sequence);
      newest.#table.enter(rows.summary, sequence, NO_MARKS);
    }
    return newest;
  }

  /** Takes in a commit of the answer: what it shows of its files. */
  saw(bytes: Uint8Array, live: readonly number[]): void {
    const { hash, rows } = readCommit(bytes);
    const sequence = this.#own.get(mapKey(hash));
    const last = sequence === undefined ? undefined : lastSlots(rows);
    for (const slot of live) {
      const at = rows.placeOf(slot);
      const block = at === undefined ? undefined : rows.blocks[at.index]?.rows;
      if (at === undefined || block === undefined) continue;
      const mark = markOf(block.ids, ID_BYTES * at.place, rowKind(block, at.place) === 'result');
      // An earlier one of the same commit is not the newest.
      if (last === undefined || last.get(markName(mark)) === slot) this.#show(mark, sequence);
    }
    // What nobody has any more is named where the collector's list has it.
    const lost = lostMarks(rows);
    const words = new DataView(lost.buffer, lost.byteOffset, lost.length);
    for (let at = 0; at < lost.length; at += SUMMARY_MARK_BYTES)
      this.#show({ high: words.getUint32(at), low: words.getUint32(at + 4) }, sequence);
  }

  /** What is gone by the first commit after the time may have been gone then. */
  #goneSoon(summary: Uint8Array): void {
    const words = new DataView(summary.buffer, summary.byteOffset, summary.length);
    for (let at = 0; at < summary.length; at += SUMMARY_MARK_BYTES) {
      const mark = { high: words.getUint32(at), low: words.getUint32(at + 4) };
      if ((mark.low & 1) !== 0) this.#show(mark, undefined);
    }
  }

  /** Shown by a commit that is not this chain's, it may be newer. */
  #show(mark: MarkWords, sequence: number | undefined): void {
    const place = this.#table.placeOf(mark);
    if (place === -1) return;
    if (sequence === undefined || sequence === this.#table.commitAt(place)) this.#table.show(place);
  }

  /** Newest versions that are not gone, and that the answer did not show. */
  async *keptBack(): AsyncGenerator<KeptBack, void, void> {
    if (!this.#lacksSome()) return;
    for await (const { sequence, commit, isAfter } of this.#outbox.receiptedCommits(this.#atMs)) {
      if (isAfter) continue;
      const slots = new Map<string, number>();
      readCommit(commit).rows.each((block, place, slot) => {
        const kind = rowKind(block, place);
        const mark = markOf(block.ids, ID_BYTES * place, kind === 'result');
        if (kind === 'result' || kind === 'gone') return;
        const at = this.#table.placeOf(mark);
        if (at !== -1 && this.#isMissing(at) && this.#table.commitAt(at) === sequence)
          slots.set(`${mark.high} ${mark.low}`, slot);
      });
      if (slots.size > 0)
        yield { sequence, commit, slots: [...slots.values()].sort((a, b) => a - b) };
    }
  }

  #lacksSome(): boolean {
    for (const place of this.#table.places()) if (this.#isMissing(place)) return true;
    return false;
  }

  #isMissing(place: number): boolean {
    const isResult = (this.#table.markAt(place).low & 2) !== 0;
    return !isResult && !this.#table.isGoneAt(place) && !this.#table.isShownAt(place);
  }
}
