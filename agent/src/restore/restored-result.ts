import type { Entry, ResultId } from '@aliquot/proto';
import { clearHashOf } from '@aliquot/shared/commit/block-leaf';
import { isMadeOf, MemberSet } from '@aliquot/shared/commit/results';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { resultIdFor } from '@aliquot/shared/keys/derive';
import type { Agent } from '../folder/agent.ts';
import { type BytePath, pathBytes } from '../source/paths.ts';

/** What of a folder result was given back, held against the rows that this PC has signed of it. */
export class RestoredResult {
  readonly #agent: Pick<Agent, 'identity' | 'queue'>;
  readonly #root: Uint8Array;
  readonly #resultId: ResultId;
  readonly #members = new MemberSet();
  #failed = false;

  constructor(agent: Pick<Agent, 'identity' | 'queue'>, path: BytePath) {
    this.#agent = agent;
    this.#root = pathBytes(path);
    this.#resultId = resultIdFor(agent.identity.pathKey, this.#root);
  }

  /** A version that was given back; those of others do not count. */
  add(entry: Entry): void {
    const { fileId, size, resultId } = entry;
    if (resultId === undefined || !equalBytes(resultId, this.#resultId)) return;
    this.#members.add(fileId, size, clearHashOf(entry));
  }

  /** Something of it did not come. */
  fail(): void {
    this.#failed = true;
  }

  /**
   * Whether it is whole: every member of one closed version of it, and no other. Nothing, of what
   * is no folder result.
   */
  async fields(): Promise<object> {
    if (this.#members.count === 0) return {};
    const folder = { root: this.#root, resultId: this.#resultId };
    const versions = await this.#agent.queue.outbox.ownVersions({ fileIds: [], folder });
    const version = versions.findLast(
      ({ size, result }) =>
        result?.membersRoot !== undefined &&
        isMadeOf({ ...result, size, membersRoot: result.membersRoot }, this.#members),
    );
    const isWhole = version?.result?.progress === 'closed' && !this.#failed;
    if (!isWhole) return { complete: false };
    return { complete: true, grade: version.result?.grade, version: version.version };
  }
}
