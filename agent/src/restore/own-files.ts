import type { Entry } from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { CommitError } from '@aliquot/shared/commit/errors';
import {
  isOpeningError,
  type Named,
  openNames,
  type Unopened,
} from '@aliquot/shared/commit/open-names';
import { readCommit } from '@aliquot/shared/commit/rows';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fileIdFor } from '@aliquot/shared/keys/derive';
import { type RestoreItem, toRestoreItem } from '@aliquot/shared/restore/placing';
import type { AgentIdentity } from '../identity/identity.ts';
import { type BytePath, bytePath, isWithin, pathBytes } from '../source/paths.ts';
import type { Uplink } from '../uplink/uplink.ts';
import type { OwnNewest } from './own-newest.ts';

/** A file, folder or link of this agent as it was at some time. */
export interface OwnFile extends RestoreItem {
  readonly path: BytePath;
  readonly entry: Entry;
}

/** Who hears what is not given out. */
export interface OwnFilesWatch {
  /** What a commit of this agent holds and does not open. */
  onUnopened(sequence: number, unopened: Unopened): void;
  /** One of the paths is among what the PC had that this one replaces: only the kit opens that. */
  onEarlier(path: BytePath): void;
  /**
   * The newest version of a path, as this PC captured it and has a receipt for it, was not in the
   * answer: the collector lost it, or keeps it back.
   */
  onKeptBack(path: BytePath, sequence: number): void;
}

/** A commit that holds wanted files, and which of its slots they are. */
interface Wanted {
  readonly commit: Uint8Array;
  readonly slots: readonly number[];
}

/**
 * This agent's own files at `atMs` (0: now) that lie at or below one of `paths`, verified and
 * opened with the agent's own key.
 *
 * The answer is read to its end before the first file is given out: it shares the connection with
 * the chunks that the files need, and a half-read answer would hold those back for ever. What is
 * kept meanwhile are the bytes of the commits that hold wanted files. What does not open costs its
 * own files only. What the PC has receipts for, and the answer lacks, goes to `onKeptBack`. Errors:
 * `UplinkError`, `CommitError` for a commit that is not what this agent signed.
 */
export async function* ownFiles(
  uplink: Pick<Uplink, 'state'>,
  identity: AgentIdentity,
  atMs: number,
  paths: readonly BytePath[],
  watch: OwnFilesWatch,
  newest?: OwnNewest,
): AsyncGenerator<OwnFile, void, void> {
  const wanted: Wanted[] = [];
  const ids = new Map(
    paths.map((path) => [hex(fileIdFor(identity.pathKey, pathBytes(path))), path]),
  );
  for await (const { commit, live, isForeign } of uplink.state(atMs)) {
    if (isForeign) {
      for (const id of idsIn(commit, live)) {
        const path = ids.get(id);
        if (path !== undefined) watch.onEarlier(path);
      }
      continue;
    }
    newest?.saw(commit, live);
    const slots = [...openSlots(identity, commit, live, watch.onUnopened)]
      .filter(({ path }) => paths.some((folder) => isWithin(path, folder)))
      .map(({ slot }) => slot);
    if (slots.length > 0) wanted.push({ commit, slots });
  }
  if (newest !== undefined)
    for await (const { sequence, commit, slots } of newest.keptBack())
      for (const { path } of openSlots(identity, commit, slots))
        if (paths.some((folder) => isWithin(path, folder))) watch.onKeptBack(path, sequence);
  for (const { commit, slots } of wanted) {
    for (const { path, ...named } of openSlots(identity, commit, slots))
      yield { ...toRestoreItem(named), entry: named.entry, path };
  }
}

/**
 * The ids of a commit's files. Nobody vouches for it here: what it holds is a hint whom to ask, and
 * a malformed hint counts as none.
 */
function idsIn(bytes: Uint8Array, live: readonly number[]): string[] {
  const { rows } = readCommit(bytes);
  return live.flatMap((slot) => {
    try {
      const entry = rows.entry(slot);
      return entry === undefined ? [] : [hex(entry.fileId)];
    } catch (error) {
      if (!isOpeningError(error)) throw error;
      return [];
    }
  });
}

function* openSlots(
  identity: AgentIdentity,
  bytes: Uint8Array,
  live: readonly number[],
  onUnopened: (sequence: number, unopened: Unopened) => void = () => undefined,
): Generator<Named & { readonly path: BytePath }, void, void> {
  const commit = verifyCommit(bytes, {
    vaultId: identity.descriptor.vaultId,
    agent: identity.certificate,
  });
  const wanted = live.flatMap((slot) => {
    const kind = commit.rows.entry(slot)?.kind;
    return kind === undefined || kind === 'gone' ? [] : [{ slot }];
  });
  const { sequence } = commit.header;
  // What is lost or purged is live nowhere: whoever lists it keeps it back.
  const withheld = live.filter((slot) => commit.rows.placeOf(slot) === undefined).length;
  let closed: Unopened | undefined;
  const reader = { key: identity.boxKey, recipient: 'agent' } as const;
  for (const named of openNames(commit, wanted, reader, (unopened) => {
    closed = unopened;
  }))
    yield { ...named, path: bytePath(named.list.path) };
  const versions = withheld + (closed?.versions ?? 0);
  if (versions === 0) return;
  const lacks = 'the collector lists versions that are not in the commit it gives';
  onUnopened(sequence, {
    versions,
    error: closed?.error ?? new CommitError('COMMIT_ENTRIES', lacks),
  });
}
