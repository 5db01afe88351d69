import type { Entry } from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { type Named, openNames, type Unopened } from '@aliquot/shared/commit/open-names';
import { type RestoreItem, toRestoreItem } from '@aliquot/shared/restore/restore-files';
import { type BytePath, bytePath, isWithin } from '../capture/paths.ts';
import type { AgentIdentity } from '../identity/identity.ts';
import type { Uplink } from '../uplink/uplink.ts';

/** A file, folder or link of this agent as it was at some time. */
export interface OwnFile extends RestoreItem {
  readonly path: BytePath;
}

/** A commit that holds wanted files, and which of its slots they are. */
interface Wanted {
  readonly commit: Uint8Array;
  readonly slots: readonly number[];
}

/**
 * This agent's own files at `atMs` (0: now) that lie at or below one of `paths`, verified and opened with the agent's own key.
 *
 * The answer is read to its end before the first file is given out: it shares the connection with the chunks that the files
 * need, and a half-read answer would hold those back for ever. What is kept meanwhile are the bytes of the commits that hold
 * wanted files. What does not open is told to `onUnopened`, once for each commit, and costs its own files only. Errors: `UplinkError`, `CommitError` for a commit that is not what this agent signed.
 */
export async function* ownFiles(
  uplink: Uplink,
  identity: AgentIdentity,
  atMs: number,
  paths: readonly BytePath[],
  onUnopened: (sequence: number, unopened: Unopened) => void,
): AsyncGenerator<OwnFile, void, void> {
  const wanted: Wanted[] = [];
  for await (const { commit, live } of uplink.state(atMs)) {
    const slots = [...openSlots(identity, commit, live, onUnopened)]
      .filter(({ path }) => paths.some((folder) => isWithin(path, folder)))
      .map(({ slot }) => slot);
    if (slots.length > 0) wanted.push({ commit, slots });
  }
  for (const { commit, slots } of wanted) {
    for (const { path, ...named } of openSlots(identity, commit, slots)) yield { ...toRestoreItem(named), path };
  }
}

function* openSlots(
  identity: AgentIdentity,
  bytes: Uint8Array,
  live: readonly number[],
  onUnopened: (sequence: number, unopened: Unopened) => void = () => undefined,
): Generator<Named & { readonly entry: Entry; readonly path: BytePath; readonly slot: number }, void, void> {
  const commit = verifyCommit(bytes, { vaultId: identity.descriptor.vaultId, agent: identity.certificate });
  const wanted = live.flatMap((slot) => {
    const stored = commit.slots[slot];
    return stored?.type === 'entry' && stored.entry.kind !== 'gone' ? [{ slot, entry: stored.entry }] : [];
  });
  const opening = { wraps: commit.wraps, place: commit.header };
  const tell = (unopened: Unopened) => onUnopened(commit.header.sequence, unopened);
  for (const named of openNames(opening, wanted, { key: identity.boxKey, recipient: 'agent' }, tell)) {
    yield { ...named, path: bytePath(named.list.path) };
  }
}
