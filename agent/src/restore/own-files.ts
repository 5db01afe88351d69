import { openCommitKeys, verifyCommit } from '@aliquot/shared/commit/commit';
import { openList, openRead } from '@aliquot/shared/commit/entry';
import type { RestoreItem } from '@aliquot/shared/restore/restore-files';
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
 * wanted files. Errors: `UplinkError`, `CommitError` for a commit that is not what this agent signed.
 */
export async function* ownFiles(
  uplink: Uplink,
  identity: AgentIdentity,
  atMs: number,
  paths: readonly BytePath[],
): AsyncGenerator<OwnFile, void, void> {
  const wanted: Wanted[] = [];
  for await (const { commit, live } of uplink.state(atMs)) {
    const slots = [...openSlots(identity, commit, live)]
      .filter(({ path }) => paths.some((folder) => isWithin(path, folder)))
      .map(({ slot }) => slot);
    if (slots.length > 0) wanted.push({ commit, slots });
  }
  for (const { commit, slots } of wanted) yield* openSlots(identity, commit, slots);
}

function* openSlots(
  identity: AgentIdentity,
  bytes: Uint8Array,
  slots: readonly number[],
): Generator<OwnFile & { readonly slot: number }, void, void> {
  const commit = verifyCommit(bytes, { vaultId: identity.descriptor.vaultId, agent: identity.certificate });
  const { listKey, readKey } = openCommitKeys(commit.wraps, identity.boxKey, 'agent', commit.header);
  if (listKey === undefined) return;
  for (const index of slots) {
    const slot = commit.slots[index];
    if (slot === undefined || slot.type !== 'entry' || slot.entry.kind === 'gone') continue;
    const { entry } = slot;
    const list = openList(entry, listKey);
    const read = entry.kind === 'file' && readKey !== undefined ? openRead(entry, readKey) : undefined;
    yield { entry, list, read, path: bytePath(list.path), slot: index };
  }
}
