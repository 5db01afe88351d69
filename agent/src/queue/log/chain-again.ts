import { asChainId, asCommitHash } from '@aliquot/proto';
import { mapKey } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import type { RecordLog } from '@aliquot/shared/records/record-log';
import {
  decodeDroppedReferences,
  decodeFork,
  decodeLostMark,
  decodeLostReference,
  decodeReferences,
  encodeDroppedReferences,
  encodeFork,
  encodeLostReference,
  encodeReferences,
  MAX_REFERENCES_PER_RECORD,
} from './chain-payloads.ts';
import type { FileReference } from './facts.ts';
import type { ChainKind } from './formats.ts';
import { decodeCommitPlace, familyRange, numberInKey } from './index-rows.ts';
import type { IndexState } from './index-state.ts';
import type { IndexStore } from './index-store.ts';
import { lostRecords } from './lost-payloads.ts';
import { decodeCounter, decodeSignedRecord, encodeCounter } from './payloads.ts';
import { referencesIn } from './reference-rows.ts';
import { decodeRemains, encodeRemains } from './remains.ts';

/**
 * The chain log has lost its end, or files, and the index knows what stood there: it is written
 * again as far as it is known. Of commits that is their headers, which is enough that nothing is
 * signed in their place and that what follows them can go on; their receipts are asked for again.
 * Durable. The index is to be made anew behind it.
 */
export async function restoreChain(index: IndexStore, chain: RecordLog<ChainKind>): Promise<void> {
  const there = await heldBy(chain);
  const put = (kind: ChainKind, payload: Uint8Array) =>
    chain.append(kind, payload, sha256(payload));
  const { fork, inheritedSequence, gcEpoch } = index.state;
  const forked = forkRecord(fork, inheritedSequence);
  let isForked = fork === undefined || fork.chainId === there.chainId;
  for await (const [key, value] of index.iterate(familyRange('c'))) {
    const sequence = numberInKey(key);
    // What is signed behind a fork is on its chain.
    if (!isForked && sequence > (fork?.from.sequence ?? 0)) {
      isForked = true;
      if (forked !== undefined) await put('forked', forked);
    }
    if (there.sequences.has(sequence)) continue;
    await put('remains', encodeRemains({ sequence, ...decodeCommitPlace(value) }));
  }
  if (!isForked && forked !== undefined) await put('forked', forked);
  if (gcEpoch > there.gcEpoch) await put('gcEpoch', encodeCounter(gcEpoch));
  const names = new Map<number, Uint8Array>();
  for await (const [key, value] of index.iterate(familyRange('l'))) {
    const entry = numberInKey(key);
    const { path, why } = decodeLostMark(value);
    if (why === 'version') names.set(entry, path ?? new Uint8Array());
    else if (path !== undefined)
      await put('referenceLost', encodeLostReference({ entry, why, path }));
  }
  for (const record of lostRecords([...names.keys()], names)) await put('lost', record);
  let some: FileReference[] = [];
  const write = async (): Promise<void> => {
    if (some.length > 0) await put('references', encodeReferences(some));
    some = [];
  };
  for await (const reference of referencesIn(index)) {
    there.references.delete(mapKey(reference.path));
    some.push(reference);
    if (some.length === MAX_REFERENCES_PER_RECORD) await write();
  }
  await write();
  const dropped = [...there.references.values()];
  for (let at = 0; at < dropped.length; at += MAX_REFERENCES_PER_RECORD)
    await put(
      'referencesDropped',
      encodeDroppedReferences(dropped.slice(at, at + MAX_REFERENCES_PER_RECORD)),
    );
  await chain.sync();
}

/** What a chain log still says, as far as the index could say more. */
interface Held {
  readonly sequences: Set<number>;
  chainId: string | undefined;
  gcEpoch: number;
  /** Paths of references that it does not drop. */
  readonly references: Map<string, Uint8Array>;
}

async function heldBy(chain: RecordLog<ChainKind>): Promise<Held> {
  const held: Held = {
    ...{ sequences: new Set(), references: new Map() },
    ...{ chainId: undefined, gcEpoch: 0 },
  };
  let torn: { readonly file: number; readonly offset: number } | undefined;
  for await (const item of chain.scan()) {
    if (item.type === 'damage' && item.isTorn) torn = item;
    if (item.type !== 'record' || item.payload === undefined) continue;
    const { payload } = item;
    switch (item.header.kind) {
      case 'signed':
        held.sequences.add(decodeSignedRecord(payload).sequence);
        break;
      case 'remains':
        held.sequences.add(decodeRemains(payload).sequence);
        break;
      case 'forked':
        held.chainId = Buffer.from(decodeFork(payload).chainId).toString('hex');
        break;
      case 'gcEpoch':
        held.gcEpoch = Math.max(held.gcEpoch, decodeCounter(payload));
        break;
      case 'references':
        for (const { path } of decodeReferences(payload)) held.references.set(mapKey(path), path);
        break;
      case 'referencesDropped':
        for (const path of decodeDroppedReferences(payload)) held.references.delete(mapKey(path));
        break;
      case 'referenceLost':
        held.references.delete(mapKey(decodeLostReference(payload).path));
        break;
      default:
    }
  }
  if (torn !== undefined) await chain.cut(torn);
  return held;
}

function forkRecord(fork: IndexState['fork'], inheritedSequence: number): Uint8Array | undefined {
  if (fork === undefined) return undefined;
  const { chainId, from } = fork;
  return encodeFork({
    chainId: asChainId(Buffer.from(chainId, 'hex')),
    from: {
      chainId: asChainId(Buffer.from(from.chainId, 'hex')),
      sequence: from.sequence,
      hash: asCommitHash(Buffer.from(from.hash, 'hex')),
    },
    inherited: from.sequence === inheritedSequence,
  });
}
