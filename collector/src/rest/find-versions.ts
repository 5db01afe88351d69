import type { FileId, StateRecord } from '@aliquot/proto';
import { openNames } from '@aliquot/shared/commit/open-names';
import { readCommit, rowsIn } from '@aliquot/shared/commit/rows';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { pathIdentity } from '@aliquot/shared/keys/path-case';
import type { NameRecord, UnopenedCommit } from '../api/messages.ts';
import { openRows, receivedAt, unopenedCommit } from '../api/name-rows.ts';
import { passedOver } from '../store/errors.ts';
import type { LeafRecord, LostCommit } from '../store/vault-records.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { BranchOf } from './forks.ts';
import { lostCommit, withLost } from './lost-commits.ts';

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
  const { branchId, name } = history;
  if (fileId !== undefined)
    yield* withLost(name, (onLost) =>
      openRows(
        vault.reading.versions(branchId, fileId, onLost),
        name,
        catalogKey,
        vault.log.times(),
      ),
    );
  else for (const unopened of search.unopened.values()) yield { unopened };
}

/** The file with exactly this path; undefined: it is nowhere, or does not open. */
export async function fileWithPath(
  vault: VaultWith<'log' | 'reading' | 'register'>,
  history: BranchOf,
  catalogKey: BoxKey,
  path: Uint8Array,
): Promise<FileId | undefined> {
  const search = new Search(vault, history, catalogKey, path);
  return (await search.amongLive()) ?? (await search.throughLog());
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
    for await (const record of this.#vault.reading.state(
      this.#history.branchId,
      undefined,
      this.#onLost,
    )) {
      const found = this.#inCommit(record);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async throughLog(): Promise<FileId | undefined> {
    for (let index = this.#vault.log.treeHead().size - 1; index >= 0; index--) {
      const record = (await this.#vault.log.leafAt(index).catch(passedOver))?.record;
      if (record === undefined) continue;
      if (record.type !== 'commit' || !this.#isOurs(record)) continue;
      const found = this.#inCommit(record);
      if (found !== undefined) return found;
    }
    for (const lost of this.#vault.reading.lostCommits()) {
      const agent = this.#vault.register.agentById(lost.agentId);
      if (agent !== undefined && equalBytes(agent.lineageId, this.#history.agent.lineageId))
        this.#onLost(lost);
    }
    return undefined;
  }

  readonly #onLost = (lost: LostCommit): void => {
    const unopened = lostCommit(lost, this.#history.name);
    this.unopened.set(unopened.commit, unopened);
  };

  #isOurs({ commit }: Extract<LeafRecord['record'], { type: 'commit' }>): boolean {
    const agent = this.#vault.register.agentById(readCommit(commit).header.agentId);
    return agent !== undefined && equalBytes(agent.lineageId, this.#history.agent.lineageId);
  }

  #inCommit(record: Pick<StateRecord, 'commit' | 'receipt'>): FileId | undefined {
    const commit = readCommit(record.commit);
    const receivedAtMs = receivedAt(record, this.#vault.log.times());
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
