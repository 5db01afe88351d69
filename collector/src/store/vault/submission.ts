import type { ChunkId, LineageId } from '@aliquot/proto';
import type { VerifiedCommit } from '@aliquot/shared/commit/commit';
import { stillHolds, type WalkSight } from '../../collection/one-set.ts';
import { contentsOf, type NamedContents } from '../catalog/named-contents.ts';
import { type ProvedPages, ReferenceWalk, type WalkStep } from '../catalog/reference-walk.ts';
import type { UnprovedPages } from '../catalog/unproved-pages.ts';
import type { VaultCore } from './core.ts';
import type { CoreKeeper } from './core-keeper.ts';
import type { PendingUploads } from './pending-uploads.ts';

/**
 * A commit that came, while it is judged. Its references are walked in steps. The first is a part
 * of its judgement, and for most commits the only one; all others run beside the vault's queue, and
 * only what they proved is recorded in it. A lineage's set only grows, but for what is found lost:
 * so what was seen holds until then, and the walk begins anew after that.
 */
export class Submission {
  readonly commit: VerifiedCommit;
  readonly bytes: Uint8Array;
  contents: NamedContents;
  readonly #uploads: PendingUploads;
  readonly #unproved: UnprovedPages;
  #hasLeftOut = false;
  #walk: ReferenceWalk | undefined;
  #sight: WalkSight | undefined;
  /** What the walk came to. */
  #end: WalkStep | undefined;

  constructor(
    commit: VerifiedCommit,
    bytes: Uint8Array,
    uploads: PendingUploads,
    unproved: UnprovedPages,
  ) {
    this.commit = commit;
    this.bytes = bytes;
    this.contents = contentsOf(commit.rows);
    this.#uploads = uploads;
    this.#unproved = unproved;
  }

  /**
   * From now on some of its slots do not count: it was accepted before, and they were dropped
   * since.
   */
  leaveOut(dropped: Uint8Array): void {
    if (this.#hasLeftOut || dropped.length === 0) return;
    this.#hasLeftOut = true;
    this.contents = contentsOf(this.commit.rows, dropped);
    this.#walk = undefined;
  }

  /** In the queue: what the walk has come to, or its first step; `more`: to be gone on with. */
  async walked(core: VaultCore, lineageId: LineageId): Promise<WalkStep> {
    if (this.#holds(core, lineageId)) return this.#end ?? { type: 'more' };
    const { step, proved } = await this.#step(core, lineageId);
    if (proved !== undefined) await this.#record(core, lineageId, proved);
    return step;
  }

  /** Beside the queue: one more step. Whether another is to follow. */
  async goOn(keeper: CoreKeeper, lineageId: LineageId): Promise<boolean> {
    const { step, proved } = await keeper.ask((core) => this.#step(core, lineageId));
    if (proved !== undefined)
      await keeper.do(async (now) => {
        if (!this.#holds(now, lineageId)) return;
        await this.#record(now, lineageId, proved);
        await keeper.syncWhenFull(now);
      });
    return step.type === 'more';
  }

  #holds(core: VaultCore, lineageId: LineageId): boolean {
    return this.#sight !== undefined && stillHolds(this.#sight, sightOf(core, lineageId));
  }

  async #step(
    core: VaultCore,
    lineageId: LineageId,
  ): Promise<{ readonly step: WalkStep; readonly proved: ProvedPages | undefined }> {
    if (this.#walk === undefined || !this.#holds(core, lineageId)) {
      this.#walk = new ReferenceWalk(this.contents, this.#unproved.of(lineageId));
      this.#sight = sightOf(core, lineageId);
      this.#end = undefined;
    }
    if (this.#end !== undefined) return { step: this.#end, proved: undefined };
    const walk = this.#walk;
    const source = core.items.referenceSource(this.#ownedOrPending(core, lineageId));
    const step = await walk.step(source);
    const proved = walk.takeProved();
    if (step.type !== 'more') this.#end = step;
    // What it found rotten itself it counts as missing; what it proved before that may rest on it.
    if (this.#holds(core, lineageId)) return { step, proved };
    if (step.type === 'missing') {
      this.#sight = sightOf(core, lineageId);
      return { step, proved: undefined };
    }
    return { step: { type: 'more' }, proved: undefined };
  }

  async #record(core: VaultCore, lineageId: LineageId, proved: ProvedPages): Promise<void> {
    await this.#uploads.appendTo(core, lineageId);
    await core.appendReferences(lineageId, proved);
    this.#uploads.prove(lineageId, proved.pages);
  }

  /** What is written down leaves the pending ones after that: so those are looked at first. */
  #ownedOrPending(core: VaultCore, lineageId: LineageId) {
    return async (ids: readonly ChunkId[]) => {
      const pending = ids.map((id) => this.#uploads.has(lineageId, id));
      const rows = await core.items.owned(lineageId, ids);
      return rows.map((row, at) => row ?? (pending[at] === true ? 'uploaded' : undefined));
    };
  }
}

/** What a walk that looks at a core now may rely on. */
function sightOf(core: VaultCore, lineageId: LineageId): WalkSight {
  return { opening: core, shrunk: core.items.shrunk(lineageId) };
}
