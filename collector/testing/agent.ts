import {
  asChainId,
  type ChainPoint,
  type ClientFrame,
  type CommitHash,
  decodeEnrolAnswer,
  decodeReceiptBody,
  decodeServerFrame,
  decodeTreeHeadBody,
  type EntryDraft,
  encodeClientFrame,
  encodeEnrolRequest,
  encodeFrame,
  type ResultRow,
  type ServerFrame,
  type Signed,
  type StoredItem,
  splitFrame,
} from '@aliquot/proto';
import { type RowDraft, sealDrafts, sealRows } from '@aliquot/shared/commit/block-seal';
import { buildCommit, NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { buildContent } from '@aliquot/shared/content/pages';
import { refOf, type SealedItem, sealChunk } from '@aliquot/shared/content/seal';
import { type SealedSlab, SlabBuilder } from '@aliquot/shared/content/slab';
import { type BoxKey, newBoxKey } from '@aliquot/shared/crypto/box';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import type { OpenBundle } from '@aliquot/shared/keys/bundle';
import { issueBinding, verifyAgent } from '@aliquot/shared/keys/certificates';
import {
  fileIdFor,
  resultIdFor,
  sourceIdFor,
  type VaultKeys,
  vaultKeysFrom,
} from '@aliquot/shared/keys/derive';
import { issueMember } from '@aliquot/shared/keys/group';
import { systemRandom } from '@aliquot/shared/ports';
import { FrameOpener, FrameSealer } from '@aliquot/shared/session/frames';
import { ClientHandshake } from '@aliquot/shared/session/handshake';
import { resultRowDraft } from './result-row.ts';
import { type Spoilt, spoiled } from './spoiled.ts';
import type { Wire } from './wire.ts';

type ReadyFrame = Extract<ServerFrame, { type: 'ready' }>;

/** What stands in a body. */
type UploadedItem = Pick<SealedItem | SealedSlab, 'id' | 'kind' | 'sealed'>;

/** What a test backs up. Without `bytes` it is a deletion. */
export interface TestFile {
  readonly path: string | Uint8Array;
  readonly bytes?: Uint8Array;
  readonly mtimeNs?: bigint;
  readonly capturedAtMs?: number;
  /** `default` unless given. */
  readonly class?: string;
  /** Cut into chunks of this size; one chunk unless given. */
  readonly chunkBytes?: number;
  /** A folder, which has no bytes. */
  readonly isFolder?: true;
  /** The root of the result that it is a member of. */
  readonly result?: string;
}

export interface MadeCommit {
  readonly bytes: Uint8Array;
  readonly hash: CommitHash;
  readonly items: readonly SealedItem[];
}

/** The smallest agent that speaks the whole protocol, for tests of the collector. */
export class SessionTestAgent {
  readonly bundle: OpenBundle;
  readonly signKey: SigningKey;
  readonly boxKey: BoxKey;
  chainId = asChainId(systemRandom.bytes(16));
  forkedFrom: ChainPoint | undefined;
  readonly keys: VaultKeys;
  readonly binding: Signed;
  sequence = 1;
  predecessor: CommitHash = NO_PREDECESSOR;
  head: { readonly signed: Signed; readonly certificate: Signed } | undefined;
  #wire: Wire | undefined;
  #sealer: FrameSealer | undefined;
  #opener: FrameOpener | undefined;
  #requestId = 0;
  #certificate: Signed | undefined;

  /** A new agent, or a copy of another's folder: same keys, and the same chain up to here. */
  constructor(bundle: OpenBundle, original?: SessionTestAgent, binding?: Signed) {
    this.bundle = bundle;
    this.signKey = original?.signKey ?? newSigningKey(systemRandom);
    this.boxKey = original?.boxKey ?? newBoxKey(systemRandom);
    this.keys = vaultKeysFrom(bundle.dedupSecrets, bundle.descriptor);
    const { vaultId, agentId } = bundle.enrolment;
    const body = {
      version: 1,
      vaultId,
      agentId,
      signKey: this.signKey.publicKey,
      boxKey: this.boxKey.publicKey,
    } as const;
    this.binding = binding ?? issueBinding(bundle.enrolmentKey, body);
    if (original === undefined) return;
    this.chainId = original.chainId;
    this.sequence = original.sequence;
    this.predecessor = original.predecessor;
    this.head = original.head;
  }

  /**
   * This agent's keys as those of an agent of a group: what the holder of the group's key makes of
   * them.
   */
  asMember(group: Signed, groupKey: SigningKey, name: string): SessionTestAgent {
    const { descriptor } = this.bundle;
    const { vaultId, authorityKey } = descriptor;
    const binding = issueMember(vaultId, groupKey, name, {
      signKey: this.signKey,
      boxKey: this.boxKey.publicKey,
    });
    const { enrolment } = verifyAgent(authorityKey, vaultId, group, binding);
    return new SessionTestAgent(
      { ...this.bundle, enrolment, signedEnrolment: group },
      this,
      binding,
    );
  }

  copy(): SessionTestAgent {
    return new SessionTestAgent(this.bundle, this);
  }

  /**
   * Goes on under a new chain id, as an agent does that finds a stranger's commit at its chain's
   * head.
   */
  fork(): void {
    this.forkedFrom = {
      chainId: this.chainId,
      sequence: this.sequence - 1,
      hash: this.predecessor,
    };
    this.chainId = asChainId(systemRandom.bytes(16));
  }

  enrolRequest(): Uint8Array {
    return encodeEnrolRequest({
      version: 1,
      enrolment: this.bundle.signedEnrolment,
      binding: this.binding,
    });
  }

  async enrol(url: string): Promise<void> {
    const answer = await fetch(`${url}/v1/enrol`, {
      method: 'POST',
      body: Buffer.from(this.enrolRequest()),
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (answer.status !== 200) throw new Error(await answer.text());
    decodeEnrolAnswer(new Uint8Array(await answer.arrayBuffer()));
  }

  /** Sends the hello and the auth frame; does not wait for the answer to the latter. */
  async greet(
    wire: Wire,
    change: (auth: Extract<ClientFrame, { type: 'auth' }>) => ClientFrame = (auth) => auth,
  ): Promise<void> {
    const { descriptor } = this.bundle;
    const handshake = new ClientHandshake({
      vaultId: descriptor.vaultId,
      authorityKey: descriptor.authorityKey,
      random: systemRandom,
    });
    wire.send(handshake.start());
    const hello = await wire.next();
    if (hello === undefined) throw new Error('closed instead of a hello');
    const { keys, certificate } = handshake.onServerHello(hello);
    this.#wire = wire;
    this.#certificate = certificate;
    this.#sealer = new FrameSealer(keys, 'client');
    this.#opener = new FrameOpener(keys, 'client');
    const auth = handshake.auth({
      enrolment: this.bundle.signedEnrolment,
      binding: this.binding,
      signKey: this.signKey,
      chainId: this.chainId,
      software: 'test agent',
      treeHead: this.head && decodeTreeHeadBody(this.head.signed.body).head,
      signedHead: this.head?.signed,
      signedHeadCertificate: this.head?.certificate,
      addressesRevision: 0,
      settingsSequence: 0,
    });
    this.send(change(auth));
  }

  async open(wire: Wire): Promise<ReadyFrame> {
    await this.greet(wire);
    const { frame } = await this.next();
    if (frame.type !== 'ready')
      throw new Error(`${frame.type} instead of ready: ${JSON.stringify(frame)}`);
    return frame;
  }

  /** Remembers a head as an agent does after having verified it. */
  remember(signed: Signed): void {
    if (this.#certificate === undefined) throw new Error('no session');
    this.head = { signed, certificate: this.#certificate };
  }

  send(frame: ClientFrame, body: Uint8Array = new Uint8Array(0)): void {
    const message = this.sealed(frame, body);
    this.#wire?.send(message);
  }

  /** The next message, not sent yet. */
  sealed(frame: ClientFrame, body: Uint8Array = new Uint8Array(0)): Uint8Array {
    if (this.#sealer === undefined) throw new Error('no session');
    return this.#sealer.seal(encodeFrame(encodeClientFrame(frame), body));
  }

  async next(): Promise<{ frame: ServerFrame; body: Uint8Array }> {
    const message = await this.#wire?.next();
    if (message === undefined || this.#opener === undefined) throw new Error('connection closed');
    const { header, body } = splitFrame(this.#opener.open(message));
    return { frame: decodeServerFrame(header), body };
  }

  async ask(make: (requestId: number) => ClientFrame, body?: Uint8Array): Promise<ServerFrame> {
    this.#requestId += 1;
    this.send(make(this.#requestId), body);
    return (await this.next()).frame;
  }

  /** Seals files into a commit that continues this agent's chain. Nothing is sent. */
  commitOf(
    files: readonly TestFile[],
    selfRestore = true,
    results: readonly RowDraft[] = [],
  ): MadeCommit {
    const items = new Map<string, SealedItem>();
    const drafts = files.map((file) => this.#draft(file, items));
    const { vaultId, agentId } = this.bundle.enrolment;
    const { vaultKey, catalogKey, parameters } = this.bundle.descriptor;
    const built = buildCommit(
      {
        vaultId,
        agentId,
        chainId: this.chainId,
        sequence: this.sequence,
        predecessor: this.predecessor,
        agentTimeMs: Date.now(),
        treeHead: undefined,
        chunkerVersion: parameters.chunkerVersion,
        encoderVersion: parameters.encoderVersion,
        forkedFrom: this.forkedFrom,
        blocks: [...sealDrafts(drafts, systemRandom), ...sealRows(results, systemRandom)],
        recipients: [
          { recipient: 'vault', key: vaultKey },
          { recipient: 'catalog', key: catalogKey },
          ...(selfRestore ? [{ recipient: 'agent', key: this.boxKey.publicKey } as const] : []),
        ],
        signKey: this.signKey,
      },
      systemRandom,
    );
    return { bytes: built.bytes, hash: built.hash, items: [...items.values()] };
  }

  /** Small files, sealed into one slab. */
  slabOf(...files: readonly Uint8Array[]): SealedSlab {
    const builder = new SlabBuilder(this.keys);
    for (const file of files) builder.add(file, sha256(file));
    return builder.seal();
  }

  /** Uploads what is missing, commits, and returns the receipt; the chain moves on. */
  async backUp(
    files: readonly TestFile[],
    selfRestore = true,
    results: readonly RowDraft[] = [],
  ): Promise<Extract<ServerFrame, { type: 'receipt' }>> {
    return this.#send(this.commitOf(files, selfRestore, results));
  }

  /** The row of a result that has these members, which say so themselves. */
  resultOf(root: string, files: readonly TestFile[], change: Partial<ResultRow> = {}): RowDraft {
    const folder = this.#draft({ path: root, isFolder: true }, new Map());
    const members = files.map((file) => this.#draft({ ...file, result: root }, new Map()));
    return resultRowDraft(this.bundle.pathKey, folder, members, change);
  }

  /**
   * The same with a commit that is signed, accepted, and does not open: as an agent with a fault,
   * or a stolen one, makes it.
   */
  async backUpSpoiled(files: readonly TestFile[], what: Spoilt): Promise<void> {
    const made = this.commitOf(files);
    await this.#send({ ...made, ...spoiled(made.bytes, what, this.signKey) });
  }

  async #send(made: MadeCommit): Promise<Extract<ServerFrame, { type: 'receipt' }>> {
    await this.upload(made.items);
    const answer = await this.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
    if (answer.type !== 'receipt')
      throw new Error(`${answer.type} instead of a receipt: ${JSON.stringify(answer)}`);
    decodeReceiptBody(answer.receipt.body);
    this.forkedFrom = undefined;
    this.sequence += 1;
    this.predecessor = made.hash;
    this.remember(answer.head);
    return answer;
  }

  async upload(items: readonly UploadedItem[]): Promise<void> {
    for (const item of items) {
      const answer = await this.ask(
        () => ({ type: 'chunks', items: [storedOf(item)] }),
        item.sealed,
      );
      if (answer.type !== 'credit')
        throw new Error(`${answer.type} instead of credit: ${JSON.stringify(answer)}`);
    }
  }

  #draft(file: TestFile, items: Map<string, SealedItem>): EntryDraft {
    const path = typeof file.path === 'string' ? new Uint8Array(Buffer.from(file.path)) : file.path;
    const { bytes } = file;
    const chunks =
      bytes === undefined || bytes.length === 0
        ? []
        : cut(bytes, file.chunkBytes).map((part) => sealChunk(this.keys, part));
    const built = buildContent(
      this.keys,
      chunks.map((chunk) => ({ ref: refOf(chunk), key: chunk.key })),
    );
    for (const item of [...chunks, ...built.pages])
      items.set(Buffer.from(item.id).toString('hex'), item);
    const kind = bytes === undefined ? 'gone' : 'file';
    const root = file.result === undefined ? undefined : new Uint8Array(Buffer.from(file.result));
    return {
      kind: file.isFolder === true ? 'directory' : kind,
      sourceId: sourceIdFor(this.bundle.pathKey, new Uint8Array(Buffer.from('/data'))),
      class: file.class ?? 'default',
      fileId: fileIdFor(this.bundle.pathKey, path),
      size: bytes?.length ?? 0,
      capturedAtMs: file.capturedAtMs ?? Date.now(),
      completion: 'assumed',
      resultId: root && resultIdFor(this.bundle.pathKey, root),
      content: built.content,
      list: {
        platform: 'posix',
        path,
        resultPathLength: root?.length ?? 0,
        mtimeNs: file.mtimeNs ?? 1_700_000_000_123_456_789n,
        mode: file.isFolder === true ? 0o755 : 0o644,
        attributes: 0,
        linkTarget: new Uint8Array(0),
      },
      read: bytes === undefined ? undefined : { sha256: sha256(bytes), keys: built.keys },
    };
  }
}

export function storedOf(item: UploadedItem): StoredItem {
  return { id: item.id, kind: item.kind, size: item.sealed.length };
}

function cut(bytes: Uint8Array, size = bytes.length): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return parts;
}
