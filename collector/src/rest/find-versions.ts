import { decodeReceiptBody, type FileId } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import type { NameRecord, UnopenedCommit } from '../api/messages.ts';
import { openRows, unopenedCommit } from '../api/name-rows.ts';
import type { LeafRecord } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { BranchOf } from './forks.ts';

/**
 * Every version of the file with exactly this path. A file id follows from the path only with the
 * lineage's path key, which the collector must not have, so the id is looked for by opening names:
 * among the live files first, then (the file may be deleted) through the log from its newest leaf
 * back. When it is nowhere, the answer is what did not open: it may be there.
 */
export async function* findVersions(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  history: BranchOf,
  catalogKey: BoxKey,
  path: Uint8Array,
): AsyncGenerator<NameRecord> {
  const search = new Search(vault, history, catalogKey, path);
  const fileId = (await search.amongLive()) ?? (await search.throughLog());
  // A path has one id in all histories of a lineage: the path key is the lineage's.
  if (fileId !== undefined)
    yield* openRows(vault.reading.versions(history.branchId, fileId), history.name, catalogKey);
  else for (const unopened of search.unopened.values()) yield { unopened };
}

class Search {
  /** By the commit's name: the log holds again what was among the live files. */
  readonly unopened = new Map<string, UnopenedCommit>();
  readonly #vault: VaultWith<'log' | 'reading' | 'register'>;
  readonly #history: BranchOf;
  readonly #catalogKey: BoxKey;
  /** As `pathIdentity` gives it. */
  readonly #path: Uint8Array;

  constructor(
    vault: VaultWith<'log' | 'reading' | 'register'>,
    history: BranchOf,
    catalogKey: BoxKey,
    path: Uint8Array,
  ) {
    this.#vault = vault;
    this.#history = history;
    this.#catalogKey = catalogKey;
    this.#path = pathIdentity(path);
  }

  async amongLive(): Promise<FileId | undefined> {
    for await (const { commit, receipt } of this.#vault.reading.state(
      this.#history.branchId,
      undefined,
    )) {
      const found = this.#inCommit(commit, decodeReceiptBody(receipt.body).receivedAtMs);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async throughLog(): Promise<FileId | undefined> {
    for (let index = this.#vault.log.treeHead().size - 1; index >= 0; index--) {
      const { record } = await this.#vault.log.leafAt(index);
      if (record.type !== 'commit' || !this.#isOurs(record)) continue;
      const found = this.#inCommit(
        record.commit,
        decodeReceiptBody(record.receipt.body).receivedAtMs,
      );
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #isOurs({ commit }: Extract<LeafRecord['record'], { type: 'commit' }>): boolean {
    const agent = this.#vault.register.agentById(readCommit(commit).header.agentId);
    return agent !== undefined && equalBytes(agent.lineageId, this.#history.agent.lineageId);
  }

  #inCommit(bytes: Uint8Array, receivedAtMs: number): FileId | undefined {
    const commit = readCommit(bytes);
    const named = openNames(
      commit,
      rowsIn(commit.rows),
      { key: this.#catalogKey, recipient: 'catalog' },
      (what) => {
        const place = {
          agent: this.#history.name,
          hash: commit.hash,
          receivedAtMs,
          sequence: commit.header.sequence,
        };
        const unopened = unopenedCommit(what, place);
        this.unopened.set(unopened.commit, unopened);
      },
    );
    for (const { entry, list } of named)
      if (equalBytes(pathIdentity(list.path), this.#path)) return entry.fileId;
    return undefined;
  }
}
