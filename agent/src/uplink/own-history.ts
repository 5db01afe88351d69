import {
  type ChunkId,
  FormatError,
  type ServerFrame,
  type StoredKind,
  splitItems,
} from '@aliquot/proto';
import { verifyCommit } from '@aliquot/shared/commit/commit';
import { CommitError } from '@aliquot/shared/commit/errors';
import { SealError } from '@aliquot/shared/content/errors';
import { proveSlab } from '@aliquot/shared/content/slab';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import type { AgentIdentity } from '../identity/identity.ts';
import { enrolmentOf } from '../identity/identity.ts';
import { asUplinkError, refusalError, UplinkError } from './errors.ts';
import type { Session } from './session.ts';
import type { ItemAnswer, StateCommit } from './uplink.ts';

/** Ids in one fetch: bounds what one answer can be. */
const FETCH_AT_ONCE = 512;

/**
 * The agent's live versions at a time, each commit verified against its own keys, or marked;
 * `onForeign` gets those.
 */
export async function* askState(
  session: Session,
  identity: AgentIdentity,
  atMs: number,
  onForeign: () => void,
): AsyncGenerator<StateCommit, void, void> {
  const expected = { vaultId: identity.descriptor.vaultId, agent: identity.certificate };
  for await (const { frame, body } of session.stream((requestId) => ({
    type: 'state',
    requestId,
    atMs,
  }))) {
    if (frame.type === 'stateEnd') return;
    if (frame.type !== 'commitData') throw unexpected('a question for versions', frame);
    const commit = body.slice();
    let isForeign = false;
    try {
      verifyCommit(commit, expected);
    } catch (error) {
      if (!(error instanceof CommitError)) throw asUplinkError(error);
      if (error.code !== 'COMMIT_SIGNATURE')
        throw new UplinkError(
          'UPLINK_PROTOCOL',
          `the collector shows a damaged commit: ${error.message}`,
          { cause: error },
        );
      // Of the PC that this one replaces: signed and wrapped for keys that are not here.
      onForeign();
      isForeign = true;
    }
    yield { commit, live: frame.live, receivedAtMs: frame.receivedAtMs, isForeign };
  }
}

/**
 * Sealed bytes by id, each checked against its id; `session` is asked for again, because it may
 * have ended between two parts.
 */
export async function* askItems(
  session: () => Session,
  ids: readonly ChunkId[],
): AsyncGenerator<ItemAnswer, void, void> {
  for (let start = 0; start < ids.length; start += FETCH_AT_ONCE) {
    const part = ids.slice(start, start + FETCH_AT_ONCE);
    for await (const { frame, body } of session().stream((requestId) => ({
      type: 'fetch',
      requestId,
      ids: part,
    }))) {
      if (frame.type !== 'chunkData') throw unexpected('a fetch', frame);
      for (const { id, kind, bytes } of splitItems(frame.items, body)) {
        yield isOf(id, kind, bytes) ? { id, kind, bytes: bytes.slice() } : { id, missing: true };
      }
      for (const id of frame.missing) yield { id, missing: true };
      if (frame.last) break;
    }
  }
}

/**
 * Whether an answer is what its id stands for. Of a slab that is its directory: a piece that is not
 * here, or has rotted, must not cost the others, and is found when it is opened.
 */
function isOf(id: ChunkId, kind: StoredKind, bytes: Uint8Array): boolean {
  if (kind !== 'slab') return equalBytes(sha256(bytes), id);
  try {
    proveSlab(id, bytes);
    return true;
  } catch (error) {
    if (error instanceof SealError || error instanceof FormatError) return false;
    throw error;
  }
}

function unexpected(what: string, frame: ServerFrame): UplinkError {
  if (frame.type === 'refused') return refusalError(frame.code, frame.message);
  return new UplinkError('UPLINK_PROTOCOL', `the collector answers ${what} with ${frame.type}`);
}

/** Errors: `UPLINK_SELF_RESTORE_OFF`. */
export function requireSelfRestore(identity: AgentIdentity): void {
  const { name, selfRestore } = enrolmentOf(identity);
  if (selfRestore) return;
  throw new UplinkError(
    'UPLINK_SELF_RESTORE_OFF',
    `agent ${name} may not restore by itself; ask central IT`,
  );
}
