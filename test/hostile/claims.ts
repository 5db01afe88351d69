/**
 * Contents of any claimed size, made of little: what whoever stole an agent's key can commit.
 * Nobody ever holds the bytes.
 */
import {
  asChunkId,
  type Content,
  type EntryDraft,
  encodePage,
  encodePageClear,
  type Ref,
  type ServerFrame,
} from '@aliquot/proto';
import { sealDrafts } from '@aliquot/shared/commit/block-seal';
import { type BuiltCommit, buildCommit } from '@aliquot/shared/commit/commit';
import {
  currentSubkeys,
  itemHeader,
  refOf,
  type SealedItem,
  sealChunk,
} from '@aliquot/shared/content/seal';
import { aeadSeal, hmacSha256, sha256, ZERO_NONCE } from '@aliquot/shared/crypto/primitives';
import { fileIdFor, sourceIdFor } from '@aliquot/shared/keys/derive';
import { systemRandom } from '@aliquot/shared/ports';
import { type SessionTestAgent, storedOf } from '../../collector/testing/agent.ts';

const MIB = 1024 * 1024;
/** Items of one message. */
const ITEMS_AT_ONCE = 1024;
const BYTES_AT_ONCE = MIB;

export const bytesOf = (refs: readonly Pick<Ref, 'plainSize'>[]): number =>
  refs.reduce((sum, { plainSize }) => sum + plainSize, 0);

export const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

/** A chunk of a few bytes that claims more. */
export function tinyChunk(
  agent: SessionTestAgent,
  claims = 4 * MIB,
): { readonly item: SealedItem; readonly ref: Ref } {
  const item = sealChunk(agent.keys, systemRandom.bytes(8));
  return { item, ref: { ...refOf(item), plainSize: claims } };
}

/** A page whose sealed keys are rubbish: a collector cannot tell. */
export function rubbishPage(depth: number, refs: readonly Ref[]): SealedItem {
  const sealed = encodePage({ depth, refs: [...refs] }, systemRandom.bytes(refs.length * 32 + 16));
  return {
    ...{ id: asChunkId(sha256(sealed)), kind: 'page', sealed, epoch: 1 },
    ...{ key: new Uint8Array(32), plainSize: bytesOf(refs) },
  };
}

/** What a reference names, with its key. */
export interface Keyed {
  readonly ref: Ref;
  readonly key: Uint8Array;
}

/** A page whose keys open, as an agent makes it. */
export function truePage(
  agent: SessionTestAgent,
  depth: number,
  of: readonly Keyed[],
): { readonly item: SealedItem } & Keyed {
  const refs = of.map(({ ref }) => ref);
  const clear = encodePageClear({ depth, refs });
  const keys = Buffer.concat(of.map(({ key }) => key));
  const { pageSubkey } = currentSubkeys(agent.keys);
  const key = hmacSha256(pageSubkey, clear, keys);
  const header = Buffer.concat([itemHeader('page', agent.keys.vaultId), clear]);
  const sealed = encodePage({ depth, refs }, aeadSeal(key, ZERO_NONCE, keys, header));
  const made = { id: asChunkId(sha256(sealed)), kind: 'page', sealed, epoch: 1 } as const;
  const item = { ...made, key, plainSize: bytesOf(refs) };
  return { item, ref: refOf(item), key };
}

/** Uploads many items in few messages. */
export async function uploadAll(
  agent: SessionTestAgent,
  items: Iterable<Pick<SealedItem, 'id' | 'kind' | 'sealed'>>,
): Promise<void> {
  let [some, bytes]: [Pick<SealedItem, 'id' | 'kind' | 'sealed'>[], number] = [[], 0];
  const flush = async (): Promise<void> => {
    const sent = some;
    [some, bytes] = [[], 0];
    const body = Buffer.concat(sent.map(({ sealed }) => sealed));
    const answer = await agent.ask(() => ({ type: 'chunks', items: sent.map(storedOf) }), body);
    if (answer.type !== 'credit') throw new Error(`${answer.type} instead of credit`);
  };
  for (const item of items) {
    some.push(item);
    bytes += item.sealed.length;
    if (some.length >= ITEMS_AT_ONCE || bytes >= BYTES_AT_ONCE) await flush();
  }
  if (some.length > 0) await flush();
}

/** A version as the agent claims it; without content it is gone. */
export interface Claim {
  readonly path: string;
  readonly content?: Omit<Content, 'piece'>;
  /** Of the content's references; rubbish unless given. */
  readonly keys?: readonly Uint8Array[];
  readonly sha256?: Uint8Array;
}

/** The next commit of an agent's chain, with these versions. */
export function commitOf(agent: SessionTestAgent, claims: readonly Claim[]): BuiltCommit {
  const { vaultId, agentId } = agent.bundle.enrolment;
  const { vaultKey, catalogKey, parameters } = agent.bundle.descriptor;
  const { chunkerVersion, encoderVersion } = parameters;
  const { chainId, sequence, predecessor, forkedFrom, signKey } = agent;
  return buildCommit(
    {
      ...{ vaultId, agentId, chainId, sequence, predecessor, forkedFrom, signKey },
      ...{ agentTimeMs: Date.now(), treeHead: undefined, chunkerVersion, encoderVersion },
      blocks: sealDrafts(
        claims.map((claim) => draftOf(agent, claim)),
        systemRandom,
      ),
      recipients: [
        { recipient: 'vault', key: vaultKey },
        { recipient: 'catalog', key: catalogKey },
        { recipient: 'agent', key: agent.boxKey.publicKey },
      ],
    },
    systemRandom,
  );
}

function draftOf(agent: SessionTestAgent, claim: Claim): EntryDraft {
  const path = new Uint8Array(Buffer.from(claim.path));
  const refs = claim.content?.refs ?? [];
  const isFile = claim.content !== undefined;
  return {
    kind: isFile ? 'file' : 'gone',
    sourceId: sourceIdFor(agent.bundle.pathKey, new Uint8Array(Buffer.from('/data'))),
    class: 'default',
    fileId: fileIdFor(agent.bundle.pathKey, path),
    size: bytesOf(refs),
    capturedAtMs: Date.now(),
    completion: 'assumed',
    resultId: undefined,
    content: { depth: claim.content?.depth ?? 0, piece: 0, refs },
    list: {
      ...{ platform: 'posix', path, resultPathLength: 0, mtimeNs: 1n },
      ...{ mode: 0o644, attributes: 0, linkTarget: new Uint8Array(0) },
    },
    read: isFile
      ? {
          sha256: claim.sha256 ?? systemRandom.bytes(32),
          keys: [...(claim.keys ?? refs.map(() => systemRandom.bytes(32)))],
        }
      : undefined,
  };
}

/** Sends a commit; an accepted one moves the chain on. */
export async function submit(agent: SessionTestAgent, made: BuiltCommit): Promise<ServerFrame> {
  const answer = await agent.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
  if (answer.type === 'receipt') {
    agent.sequence += 1;
    agent.predecessor = made.hash;
    agent.forkedFrom = undefined;
    agent.remember(answer.head);
  }
  return answer;
}
