import type { CommitHeader, Wrap, WrapPurpose, WrapRecipient } from '@aliquot/proto';
import type { BoxKey } from '../crypto/box.ts';
import { concat } from '../crypto/bytes.ts';
import { aeadOpen, aeadSeal, CryptoError, equalBytes, labelled } from '../crypto/primitives.ts';
import { openWrap, type WrapContext, WrapError, wrapKey } from '../crypto/wrap.ts';
import type { Random } from '../ports.ts';
import { CommitError } from './errors.ts';

/** Somebody who shall be able to open a commit. */
export interface CommitRecipient {
  readonly recipient: Exclude<WrapRecipient, 'grant'>;
  /** X25519 public key. */
  readonly key: Uint8Array;
}

/** The two random keys of a commit. */
export interface CommitKeys {
  readonly listKey: Uint8Array;
  readonly readKey: Uint8Array;
}

/** What of a commit's keys a recipient got. */
export interface OpenedCommitKeys {
  readonly listKey: Uint8Array | undefined;
  readonly readKey: Uint8Array | undefined;
}

/** Where a commit stands: part of what its wraps are bound to. */
export type CommitPlace = Pick<CommitHeader, 'vaultId' | 'agentId' | 'chainId' | 'sequence'>;

const KEY_BYTES = 32;

/** The catalog key opens names and times only; all others open everything. */
const purposes: Record<CommitRecipient['recipient'], readonly WrapPurpose[]> = {
  vault: ['list', 'read'],
  catalog: ['list'],
  agent: ['list', 'read'],
};

export function newCommitKeys(random: Random): CommitKeys {
  return { listKey: random.bytes(KEY_BYTES), readKey: random.bytes(KEY_BYTES) };
}

/** A commit's keys for all its recipients, in the order given. */
export function wrapCommitKeys(
  keys: CommitKeys,
  recipients: readonly CommitRecipient[],
  place: CommitPlace,
  random: Random,
): Wrap[] {
  return recipients.flatMap(({ recipient, key }) =>
    purposes[recipient].map((purpose) =>
      wrapKey(
        recipient,
        key,
        contextOf(place, purpose),
        purpose === 'list' ? keys.listKey : keys.readKey,
        random,
      ),
    ),
  );
}

/**
 * Whether a recipient finds a wrap for every key that it should get. Whether they open, only the
 * recipient can tell.
 */
export function hasWrapsFor(wraps: readonly Wrap[], { recipient, key }: CommitRecipient): boolean {
  return purposes[recipient].every((purpose) =>
    wraps.some(
      (wrap) =>
        wrap.recipient === recipient &&
        wrap.purpose === purpose &&
        equalBytes(wrap.recipientKey, key),
    ),
  );
}

/**
 * Opens what a commit's wraps hold for `boxKey` as `recipient`.
 *
 * @param place The verified header of the commit, to whose place the wraps are bound.
 * @throws CommitError `COMMIT_NO_WRAP` when there is nothing for this key; WrapError when there is,
 * and none opens.
 */
export function openCommitKeys(
  wraps: readonly Wrap[],
  boxKey: BoxKey,
  recipient: WrapRecipient,
  place: CommitPlace,
): OpenedCommitKeys {
  const mine = wraps.filter(
    (wrap) => wrap.recipient === recipient && equalBytes(wrap.recipientKey, boxKey.publicKey),
  );
  const listKey = openFirst(mine, boxKey, contextOf(place, 'list'));
  const readKey = openFirst(mine, boxKey, contextOf(place, 'read'));
  if (listKey === undefined && readKey === undefined) {
    throw new CommitError(
      'COMMIT_NO_WRAP',
      `commit ${place.sequence} holds no key for this ${recipient} key`,
    );
  }
  return { listKey, readKey };
}

/** Wraps can be added later, so one that does not open must not hide another that does. */
function openFirst(
  wraps: readonly Wrap[],
  boxKey: BoxKey,
  context: WrapContext,
): Uint8Array | undefined {
  let failure: WrapError | undefined;
  for (const wrap of wraps.filter((candidate) => candidate.purpose === context.purpose)) {
    try {
      return openWrap(wrap, boxKey, context);
    } catch (error) {
      if (!(error instanceof WrapError)) throw error;
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}

function contextOf(place: CommitPlace, purpose: WrapPurpose): WrapContext {
  const { vaultId, agentId, chainId, sequence } = place;
  return { purpose, vaultId, agentId, chainId, sequence };
}

const NONCE_BYTES = 12;
const boxLabel: Record<WrapPurpose, string> = {
  list: 'aliquot/v1/block-list-key',
  read: 'aliquot/v1/block-read-key',
};

/**
 * A block's key for whoever has the commit's. The nonce is random and stands in front: a purge
 * seals another block key under the same key of the commit.
 */
export function sealBlockKey(
  purpose: WrapPurpose,
  commitKey: Uint8Array,
  blockKey: Uint8Array,
  random: Random,
): Uint8Array {
  const nonce = random.bytes(NONCE_BYTES);
  return concat(nonce, aeadSeal(commitKey, nonce, blockKey, labelled(boxLabel[purpose])));
}

/** @throws CommitError `COMMIT_ENTRY_SEALED`. */
export function openBlockKey(
  purpose: WrapPurpose,
  commitKey: Uint8Array,
  box: Uint8Array,
): Uint8Array {
  try {
    const nonce = box.subarray(0, NONCE_BYTES);
    return aeadOpen(commitKey, nonce, box.subarray(NONCE_BYTES), labelled(boxLabel[purpose]));
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw new CommitError(
      'COMMIT_ENTRY_SEALED',
      `the ${purpose} key of a block does not open with the commit's`,
      { cause },
    );
  }
}
