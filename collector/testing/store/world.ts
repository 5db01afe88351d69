import {
  type AgentBindingBody,
  type AgentId,
  asAgentId,
  asChainId,
  asCommitHash,
  asLineageId,
  type ChainId,
  type ChainPoint,
  type CommitHash,
  type EnrolmentCertificateBody,
  type EntryDraft,
  type EntryKind,
  type EventBody,
  type KitContents,
  type LineageId,
  type ResultRow,
  type Signed,
  type TreeHead,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { type RowDraft, sealDrafts, sealRows } from '@aliquot/shared/commit/block-seal';
import {
  type BuiltCommit,
  buildCommit,
  type CommitRecipient,
  NO_PREDECESSOR,
} from '@aliquot/shared/commit/commit';
import { withoutVersions } from '@aliquot/shared/commit/loss';
import { buildContent } from '@aliquot/shared/content/pages';
import { refOf, sealChunk } from '@aliquot/shared/content/seal';
import { SlabBuilder } from '@aliquot/shared/content/slab';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { u64be, utf8 } from '@aliquot/shared/crypto/bytes';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey, signingKeyFromSeed } from '@aliquot/shared/crypto/sign';
import { nodeDisk } from '@aliquot/shared/derived/node-level';
import {
  collectorIdOf,
  issueBinding,
  issueCollectorCertificate,
  issueEnrolment,
  issueEpochOpening,
  verifyCollectorCertificate,
  verifyDescriptor,
} from '@aliquot/shared/keys/certificates';
import {
  fileIdFor,
  pathKeyFor,
  resultIdFor,
  sourceIdFor,
  type VaultKeys,
  vaultKeysFrom,
} from '@aliquot/shared/keys/derive';
import { createKit } from '@aliquot/shared/keys/kit';
import type { Random } from '@aliquot/shared/ports';
import type { FolderPorts, VaultIdentity } from '../../src/store/vault/vault-parts.ts';
import type { CommitOutcome, PutItem } from '../../src/store/vault-records.ts';
import type { VaultStore } from '../../src/store/vault-store.ts';
import { resultRowDraft } from '../result-row.ts';

/** Random bytes that are the same in every run. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  return {
    bytes(count) {
      const out = new Uint8Array(count);
      for (let at = 0; at < count; at += 32) {
        counter += 1;
        out.set(sha256(utf8(seed), u64be(counter)).subarray(0, Math.min(32, count - at)), at);
      }
      return out;
    },
  };
}

/** A clock that stands still until it is told. */
export class TestClock {
  now = 1_700_000_000_000;

  nowMs(): number {
    return this.now;
  }
}

/**
 * One vault's authority, its collector and its agents, made for a test: everything real but the
 * disk.
 */
export class StoreWorld {
  readonly random: Random;
  readonly clock = new TestClock();
  readonly kit: KitContents;
  readonly descriptor: VaultDescriptorBody;
  readonly authority: SigningKey;
  readonly keys: VaultKeys;
  readonly collector: SigningKey;
  readonly certificate: Signed;

  constructor(seed = 'world', options: { readonly blind?: boolean } = {}) {
    this.random = seededRandom(seed);
    this.kit = createKit(
      { name: `Vault ${seed}`, blind: options.blind === true, nowMs: this.clock.now },
      this.random,
    );
    this.descriptor = verifyDescriptor(this.kit.descriptor);
    this.authority = signingKeyFromSeed(this.kit.authoritySeed);
    this.keys = vaultKeysFrom(this.kit.dedupSecrets, this.descriptor);
    this.collector = newSigningKey(this.random);
    this.certificate = this.certificateFor(this.collector);
  }

  certificateFor(collector: SigningKey): Signed {
    return issueCollectorCertificate(this.authority, {
      version: 1,
      vaultId: this.descriptor.vaultId,
      collectorId: collectorIdOf(collector.publicKey),
      signKey: collector.publicKey,
      generation: 1,
      issuedAtMs: this.clock.now,
    });
  }

  get identity(): VaultIdentity {
    return {
      descriptor: this.descriptor,
      signedDescriptor: this.kit.descriptor,
      certificate: verifyCollectorCertificate(
        this.descriptor.authorityKey,
        this.descriptor.vaultId,
        this.certificate,
      ),
      signedCertificate: this.certificate,
      catalogSecretKey: undefined,
      identity: this.collector,
    };
  }

  ports(overrides: Partial<FolderPorts> = {}): FolderPorts {
    return { files: nodeDisk, random: this.random, clock: this.clock, ...overrides };
  }

  vaultAdded(): EventBody {
    return {
      type: 'vaultAdded',
      timeMs: this.clock.now,
      descriptor: this.kit.descriptor,
      collectorCertificate: this.certificate,
    };
  }

  /** A new agent, expected and enrolled at `store` unless told otherwise. */
  async agent(
    store: VaultStore,
    name: string,
    options: { replaces?: WorldAgent; enrol?: boolean } = {},
  ): Promise<WorldAgent> {
    const agent = new WorldAgent(this, name, options.replaces);
    await store.events.append({
      type: 'agentExpected',
      timeMs: this.clock.now,
      enrolment: agent.enrolment,
    });
    if (options.enrol !== false) await agent.enrolAt(store);
    return agent;
  }

  opening(logEpoch: number, base: TreeHead, lost: readonly TreeHead[]): EventBody {
    const body = {
      version: 1 as const,
      vaultId: this.descriptor.vaultId,
      logEpoch,
      base,
      lost,
      approvedAtMs: this.clock.now,
    };
    return {
      type: 'epochOpened',
      timeMs: this.clock.now,
      opening: issueEpochOpening(this.authority, body),
    };
  }
}

export interface WorldFile {
  readonly draft: EntryDraft;
  readonly items: readonly PutItem[];
}

/** What a commit says instead of continuing its agent's chain. */
export interface CommitOverrides {
  /** Slots that the agent declares lost. */
  readonly lacking?: readonly number[] | undefined;
  readonly sequence?: number;
  readonly predecessor?: CommitHash;
  readonly chainId?: ChainId;
  readonly forkedFrom?: ChainPoint;
  readonly recipients?: readonly CommitRecipient[];
  /** Rows of results, in blocks behind those of the files. */
  readonly results?: readonly RowDraft[];
}

/** An agent that seals, signs and keeps its chain, like the real one. */
export class WorldAgent {
  readonly world: StoreWorld;
  readonly name: string;
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  readonly signKey: SigningKey;
  readonly enrolmentBody: EnrolmentCertificateBody;
  readonly enrolment: Signed;
  readonly binding: Signed;
  readonly enrolmentKey: SigningKey;
  readonly pathKey: Uint8Array;
  chainId: ChainId;
  sequence = 0;
  headHash: CommitHash = NO_PREDECESSOR;
  treeHead: TreeHead | undefined;
  forkedFrom: ChainPoint | undefined;

  constructor(world: StoreWorld, name: string, replaces?: WorldAgent) {
    const { random } = world;
    this.world = world;
    this.name = name;
    this.agentId = asAgentId(random.bytes(16));
    this.lineageId = replaces?.lineageId ?? asLineageId(this.agentId.slice());
    this.chainId = asChainId(random.bytes(16));
    this.signKey = newSigningKey(random);
    this.enrolmentKey = newSigningKey(random);
    this.pathKey = pathKeyFor(world.kit.pathSecret, this);
    this.enrolmentBody = {
      version: 1,
      vaultId: world.descriptor.vaultId,
      agentId: this.agentId,
      lineageId: this.lineageId,
      replaces: replaces?.agentId,
      name,
      enrolmentKey: this.enrolmentKey.publicKey,
      selfRestore: true,
      dedupEpoch: 1,
      issuedAtMs: world.clock.now,
      expiresAtMs: world.clock.now + 86_400_000,
    };
    this.enrolment = issueEnrolment(world.authority, this.enrolmentBody);
    this.binding = this.bindingOf(this.signKey);
  }

  bindingOf(signKey: SigningKey): Signed {
    const { vaultId } = this.world.descriptor;
    const boxKey = newBoxKey(this.world.random).publicKey;
    const body: AgentBindingBody = {
      version: 1,
      vaultId,
      agentId: this.agentId,
      signKey: signKey.publicKey,
      boxKey,
    };
    return issueBinding(this.enrolmentKey, body);
  }

  async enrolAt(store: VaultStore, binding = this.binding): Promise<number> {
    const event = {
      type: 'agentEnrolled' as const,
      timeMs: this.world.clock.now,
      enrolment: this.enrolment,
      binding,
    };
    return (await store.events.append(event)).leafIndex;
  }

  /** A file of these chunks, sealed. */
  file(
    path: string,
    chunks: readonly Uint8Array[],
    options: { capturedAtMs?: number } = {},
  ): WorldFile {
    const sealed = chunks.map((chunk) => sealChunk(this.world.keys, chunk));
    const built = buildContent(
      this.world.keys,
      sealed.map((item) => ({ ref: refOf(item), key: item.key })),
    );
    const items: PutItem[] = [...sealed, ...built.pages].map((item) => ({
      id: item.id,
      kind: item.kind,
      bytes: item.sealed,
    }));
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const read = { sha256: sha256(...chunks), keys: built.keys };
    return {
      draft: {
        ...this.draftOf('file', path, options.capturedAtMs),
        size,
        content: built.content,
        read,
      },
      items,
    };
  }

  /** Small files, sealed into one slab in this order; `whole`: the first brings the slab's key. */
  small(
    files: Readonly<Record<string, Uint8Array>>,
    { whole = false }: { readonly whole?: boolean } = {},
  ): WorldFile[] {
    const builder = new SlabBuilder(this.world.keys);
    for (const plain of Object.values(files)) builder.add(plain, sha256(plain));
    const { id, kind, sealed: bytes, epoch, pieceKeys, slabKey } = builder.seal();
    return Object.entries(files).map(([path, plain], at): WorldFile => {
      const ref = { id, plainSize: plain.length, epoch };
      const key = pieceKeys[at] ?? new Uint8Array(32);
      const draft = {
        ...this.draftOf('file', path, undefined),
        size: plain.length,
        content: { depth: 0, piece: at + 1, refs: [ref] },
        read: { sha256: sha256(plain), keys: [key] },
      };
      const keyed = whole && at === 0 ? { ...draft, slabKey } : draft;
      return { draft: keyed, items: [{ id, kind, bytes }] };
    });
  }

  gone(path: string, capturedAtMs?: number): EntryDraft {
    return this.draftOf('gone', path, capturedAtMs);
  }

  directory(path: string): EntryDraft {
    return this.draftOf('directory', path, undefined);
  }

  /** The same files as members of the result with this root. */
  membersOf(root: string, drafts: readonly EntryDraft[]): EntryDraft[] {
    const resultId = resultIdFor(this.pathKey, utf8(root));
    return drafts.map((draft) => ({ ...draft, resultId }));
  }

  /** The row of a result that has these members. */
  result(root: string, members: readonly EntryDraft[], change: Partial<ResultRow> = {}): RowDraft {
    return resultRowDraft(this.pathKey, this.directory(root), members, change);
  }

  fileId(path: string) {
    return fileIdFor(this.pathKey, utf8(path));
  }

  resultId(root: string) {
    return resultIdFor(this.pathKey, utf8(root));
  }

  /** The next commit of the chain; the agent's own idea of its head moves on only with `accept`. */
  build(drafts: readonly EntryDraft[], overrides: CommitOverrides = {}): BuiltCommit {
    const { descriptor, clock, random } = this.world;
    return buildCommit(
      {
        vaultId: descriptor.vaultId,
        agentId: this.agentId,
        chainId: overrides.chainId ?? this.chainId,
        sequence: overrides.sequence ?? this.sequence + 1,
        predecessor: overrides.predecessor ?? this.headHash,
        agentTimeMs: clock.now,
        treeHead: this.treeHead,
        chunkerVersion: 1,
        encoderVersion: 1,
        forkedFrom: overrides.forkedFrom ?? this.forkedFrom,
        blocks: [...sealDrafts(drafts, random), ...sealRows(overrides.results ?? [], random)],
        recipients: overrides.recipients ?? [
          { recipient: 'vault', key: descriptor.vaultKey },
          { recipient: 'catalog', key: descriptor.catalogKey },
        ],
        signKey: this.signKey,
      },
      random,
    );
  }

  /** Uploads what the files consist of, commits them, and keeps the receipt's head. */
  async back(
    store: VaultStore,
    files: readonly (WorldFile | EntryDraft)[],
    overrides: CommitOverrides = {},
  ): Promise<CommitOutcome & { type: 'accepted' } & { bytes: Uint8Array }> {
    const drafts = files.map((file) => ('draft' in file ? file.draft : file));
    for (const file of files)
      if ('draft' in file) await store.intake.putChunks(this.lineageId, file.items);
    const built = this.build(drafts, overrides);
    const { lacking } = overrides;
    const bytes =
      lacking === undefined ? built.bytes : withoutVersions(built.bytes, lacking, this.signKey);
    const outcome = await store.intake.commit(this.agentId, bytes, this.world.clock.now);
    if (outcome.type !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(outcome)}`);
    this.advance(built, outcome.head);
    return { ...outcome, bytes };
  }

  /** The same folder on another disk: same keys and chain from here on, each on its own. */
  copy(): WorldAgent {
    const copy: WorldAgent = Object.create(WorldAgent.prototype);
    return Object.assign(copy, this);
  }

  /** The newest commit of this installation. */
  get head(): ChainPoint {
    return { chainId: this.chainId, sequence: this.sequence, hash: this.headHash };
  }

  /**
   * Goes on under a new chain id, as an agent does that finds a stranger's commit at its chain's
   * head; the next commit says so.
   */
  fork(): void {
    this.forkedFrom = this.head;
    this.chainId = asChainId(this.world.random.bytes(16));
  }

  advance(built: BuiltCommit, head?: TreeHead): void {
    this.forkedFrom = undefined;
    this.sequence = built.header.sequence;
    this.headHash = asCommitHash(built.hash);
    this.treeHead = head ?? this.treeHead;
  }

  private draftOf(kind: EntryKind, path: string, capturedAtMs: number | undefined): EntryDraft {
    return {
      kind,
      sourceId: sourceIdFor(this.pathKey, utf8('/data')),
      class: 'standard',
      fileId: this.fileId(path),
      size: 0,
      capturedAtMs: capturedAtMs ?? this.world.clock.now,
      completion: 'assumed',
      resultId: undefined,
      content: { depth: 0, piece: 0, refs: [] },
      list: {
        platform: 'posix',
        path: utf8(path),
        resultPathLength: 0,
        mtimeNs: 1_700_000_000_000_000_000n,
        mode: 0o644,
        attributes: 0,
        linkTarget: new Uint8Array(0),
      },
      read: undefined,
    };
  }
}

/** Bytes that look random and follow from a word. */
export function content(word: string, bytes = 300): Uint8Array {
  return seededRandom(`content ${word}`).bytes(bytes);
}
