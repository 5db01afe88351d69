import {
  asVaultId,
  type ChunkId,
  type CollectorCertificateBody,
  decodeSigned,
  decodeStateRecord,
  encodeSigned,
  type FileId,
  type Signed,
  type StateRecord,
  type TreeHead,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { didYouMean, nearest } from '@aliquot/shared/cli/nearest';
import { fromHex, hex } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { DiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';
import { verifyCollectorCertificate, verifyDescriptor } from '@aliquot/shared/keys/certificates';
import type { z } from 'zod';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { decodeItem, type ReceivedItem } from '../api/item-record.ts';
import {
  type AgentInfo,
  type AgentList,
  addressesMessage,
  agentList,
  type CollectorInfo,
  collectorInfo,
  type DiagnosisMessage,
  diagnosisMessage,
  keptFiles,
  type LogInfo,
  type LogProofs,
  leafAnswer,
  logInfo,
  logProofs,
  type NameRecord,
  nameRecord,
  nothing,
  type PolicyMessage,
  policyMessage,
  publishAnswer,
  type ReleaseList,
  releaseList,
  releasePartAnswer,
  type StatsAnswer,
  type setPolicyRequest,
  stats,
  type VaultInfo,
  vaultInfo,
} from '../api/messages.ts';
import type { NamedFile } from '../api/named-releases.ts';
import { readRecords } from '../api/record-stream.ts';
import type { VersionId } from '../api/version-id.ts';
import { CommandError } from '../cli/command-error.ts';
import { type AgentView, everyHistory } from './agent-view.ts';
import { agentCalled, historyCalled, ownerCalled } from './find-agent.ts';
import { type Endpoint, type HttpRequest, send, sendJson } from './http-client.ts';

const RELEASES = '/v1/operator/releases';

/** A running collector, spoken to as its operator. */
export class CollectorClient {
  readonly endpoint: Endpoint;
  readonly info: CollectorInfo;
  /**
   * Over TLS: the certificates that the collector showed, its own first, up to the authority (DER).
   */
  readonly peerChain: readonly Uint8Array[] | undefined;

  private constructor(
    endpoint: Endpoint,
    info: CollectorInfo,
    peerChain: readonly Uint8Array[] | undefined,
  ) {
    this.endpoint = endpoint;
    this.info = info;
    this.peerChain = peerChain;
  }

  static async connect(endpoint: Endpoint): Promise<CollectorClient> {
    const { value, peerChain } = await ask(endpoint, collectorInfo, {
      method: 'GET',
      path: '/v1/operator/collector',
    });
    return new CollectorClient(endpoint, value, peerChain);
  }

  /** The vault that a kit, a name, or its being the only one, selects. */
  vault(choice: {
    readonly vaultId?: Uint8Array;
    readonly name?: string | undefined;
  }): VaultClient {
    return new VaultClient(this, this.#select(choice));
  }

  async addVault(parts: {
    descriptor: Signed;
    certificate: Signed;
    catalogSecretKey: Uint8Array | undefined;
  }): Promise<VaultInfo> {
    const body = {
      descriptor: toBase64(encodeSigned(parts.descriptor)),
      certificate: toBase64(encodeSigned(parts.certificate)),
      catalogSecretKey: parts.catalogSecretKey && toBase64(parts.catalogSecretKey),
    };
    return (await ask(this.endpoint, vaultInfo, post('/v1/operator/vaults', body))).value;
  }

  /** The releases that the collector hands out. */
  async releases(): Promise<ReleaseList> {
    return (await ask(this.endpoint, releaseList, { method: 'GET', path: RELEASES })).value;
  }

  /** Which of these files, by their hashes, the collector has already. */
  async releaseFiles(hashes: readonly string[]): Promise<string[]> {
    return (await ask(this.endpoint, keptFiles, post(`${RELEASES}/kept`, { hashes }))).value.hashes;
  }

  /** A part of a file of a release. */
  async sendReleasePart(sha256: string, offset: number, body: Uint8Array): Promise<void> {
    await ask(this.endpoint, releasePartAnswer, {
      method: 'POST',
      path: `${RELEASES}/parts?sha256=${sha256}&offset=${offset}`,
      body,
    });
  }

  /**
   * Makes what was sent, and what was there, a release; answers which versions the collector did
   * not have before.
   */
  async publishRelease(
    files: readonly NamedFile[],
    targetsHash: string,
  ): Promise<{ versions: string[] }> {
    return (await ask(this.endpoint, publishAnswer, post(RELEASES, { files, targetsHash }))).value;
  }

  async removeRelease(version: string): Promise<void> {
    await ask(this.endpoint, nothing, post(`${RELEASES}/remove`, { version }));
  }

  #select({
    vaultId,
    name,
  }: {
    readonly vaultId?: Uint8Array;
    readonly name?: string | undefined;
  }): VaultInfo {
    const { vaults } = this.info;
    const at = this.endpoint.url;
    if (vaultId !== undefined) {
      const found = vaults.find((vault) => vault.vaultId === hex(vaultId));
      if (found !== undefined) return found;
      throw new CommandError(
        'COMMAND_VAULT',
        `the collector at ${at} does not hold the kit's vault; add it with \`aliquot vault add --kit KIT\``,
      );
    }
    const fitting =
      name === undefined
        ? vaults
        : vaults.filter((vault) => vault.name === name || vault.vaultId === name);
    const [only] = fitting;
    if (only !== undefined && fitting.length === 1) return only;
    if (vaults.length === 0) {
      throw new CommandError(
        'COMMAND_VAULT',
        `the collector at ${at} holds no vault yet; make one with \`aliquot kit create\` and \`aliquot vault add\``,
      );
    }
    const known = vaults.map((vault) => `${vault.name} (${vault.vaultId})`).join(', ');
    if (fitting.length > 1)
      throw new CommandError(
        'COMMAND_VAULT',
        `several vaults fit; choose one with --vault NAME or its id: ${known}`,
      );
    throw new CommandError(
      'COMMAND_VAULT',
      `the collector at ${at} has no vault ${name}; it has: ${known}`,
    );
  }
}

/**
 * One vault of a running collector. Nothing that it returns is verified against a kit; that is for
 * the caller.
 */
export class VaultClient {
  readonly collector: CollectorClient;
  readonly info: VaultInfo;
  readonly #base: string;

  constructor(collector: CollectorClient, info: VaultInfo) {
    this.collector = collector;
    this.info = info;
    this.#base = `/v1/operator/vaults/${info.vaultId}`;
  }

  get descriptor(): VaultDescriptorBody {
    const descriptor = verifyDescriptor(decodeSigned(fromBase64(this.info.descriptor)));
    if (hex(descriptor.vaultId) !== this.info.vaultId)
      throw new CommandError('COMMAND_ANSWER', 'the collector mixes up its vaults');
    return descriptor;
  }

  get signedCertificate(): Signed {
    return decodeSigned(fromBase64(this.info.certificate));
  }

  /**
   * The collector's certificate under the authority's key, and proof that it is for the collector
   * that answers.
   */
  certificate(authorityKey: Uint8Array): CollectorCertificateBody {
    const vaultId = asVaultId(fromHex(this.info.vaultId) ?? new Uint8Array(0));
    const body = verifyCollectorCertificate(authorityKey, vaultId, this.signedCertificate);
    if (!equalBytes(body.signKey, fromBase64(this.collector.info.signKey))) {
      throw new CommandError(
        'COMMAND_FOREIGN_COLLECTOR',
        `the collector at ${this.collector.endpoint.url} is not the one that vault ${this.info.name} was given to`,
      );
    }
    return body;
  }

  async agents(): Promise<AgentList> {
    return (await this.#get(agentList, '/agents')).value;
  }

  /** The agent that a name or an id means; see `agentCalled`. */
  async agent(name: string): Promise<AgentInfo> {
    const { agents } = await this.agents();
    const found = agentCalled(agents, name);
    if (found !== undefined) return found;
    throw new CommandError(
      'COMMAND_AGENT',
      noAgent(this.info.name, name, agents, '`aliquot agents` lists them'),
    );
  }

  /** Whose files a name or an id means; see `historyCalled`. */
  async history(name: string): Promise<AgentView> {
    const { agents } = await this.agents();
    const found = historyCalled(agents, name);
    if (found !== undefined) return found;
    const where = name.includes('~')
      ? '`aliquot fork list` shows what is held apart'
      : '`aliquot agents` lists them';
    throw new CommandError('COMMAND_AGENT', noAgent(this.info.name, name, agents, where));
  }

  /**
   * Says whose a history (`AGENT~xxxxxxxx`) is; saying the same again is answered. Returns the
   * agent that it was held apart from.
   */
  async decideFork(
    name: string,
    decision: { decision: 'restored' } | { decision: 'clone'; name: string },
  ): Promise<AgentInfo> {
    const owner = ownerCalled((await this.agents()).agents, name);
    if (owner === undefined) {
      const see =
        '`aliquot fork list` shows what is held apart, each with its name such as hplc-1~0a1b2c3d';
      throw new CommandError(
        'COMMAND_AGENT',
        `${name} is no history held apart in vault ${this.info.name}; ${see}`,
      );
    }
    await this.#post(leafAnswer, `/agents/${owner.agent.agentId}~${owner.digits}/fork`, decision);
    return owner.agent;
  }

  /** All of them, or none. */
  async expectAgents(enrolments: readonly Signed[]): Promise<void> {
    await this.#post(leafAnswer, '/agents', {
      enrolments: enrolments.map((enrolment) => toBase64(encodeSigned(enrolment))),
    });
  }

  async addGroup(group: Signed): Promise<void> {
    await this.#post(leafAnswer, '/groups', { group: toBase64(encodeSigned(group)) });
  }

  async endGroup(groupId: string): Promise<void> {
    await this.#post(leafAnswer, `/groups/${groupId}/end`, {});
  }

  async approve(approval: Signed, operator: Signed | undefined): Promise<void> {
    const certificate = operator && toBase64(encodeSigned(operator));
    await this.#post(leafAnswer, '/approvals', {
      approval: toBase64(encodeSigned(approval)),
      operator: certificate,
    });
  }

  async revokeAgent(agentId: string, reason: string): Promise<void> {
    await this.#post(leafAnswer, `/agents/${agentId}/revoke`, { reason });
  }

  /** Says of files of a replaced agent that they are gone; at most `MAX_GONE_FILES` at once. */
  async filesGone(agentId: string, fileIds: readonly FileId[]): Promise<void> {
    await this.#post(leafAnswer, `/agents/${agentId}/gone`, {
      fileIds: toBase64(Buffer.concat(fileIds)),
    });
  }

  async acknowledgeProblems(agentId: string): Promise<void> {
    await this.#post(leafAnswer, `/agents/${agentId}/acknowledge`, {});
  }

  /** The collector's signed addresses, as the authority said; undefined while none were set. */
  async addresses(): Promise<Signed | undefined> {
    const { addresses } = (await this.#get(addressesMessage, '/addresses')).value;
    return addresses === undefined ? undefined : decodeSigned(fromBase64(addresses));
  }

  /** How many agents are connected, by the host and port by which they came. */
  async connectedBy(): Promise<ReadonlyMap<string, number>> {
    const { connected } = (await this.#get(addressesMessage, '/addresses')).value;
    return new Map(connected.map(({ host, agents }) => [host, agents]));
  }

  async setAddresses(addresses: Signed): Promise<void> {
    await this.#post(leafAnswer, '/addresses', { addresses: toBase64(encodeSigned(addresses)) });
  }

  /** The newest policy, or the one of a revision, as it was set; nothing of it is verified. */
  async policy(revision?: number): Promise<PolicyMessage> {
    return (
      await this.#get(
        policyMessage,
        revision === undefined ? '/policy' : `/policy?revision=${revision}`,
      )
    ).value;
  }

  async setPolicy(request: z.infer<typeof setPolicyRequest>): Promise<void> {
    await this.#post(leafAnswer, '/policy', request);
  }

  /** Hands a question to a connected agent; the answer is sealed to who signed it. */
  async diagnose(
    agentId: string,
    { request, certificate }: DiagnosisRequest,
  ): Promise<DiagnosisMessage> {
    const body = {
      request: toBase64(encodeSigned(request)),
      certificate: toBase64(encodeSigned(certificate)),
    };
    return (await this.#post(diagnosisMessage, `/agents/${agentId}/diagnosis`, body)).value;
  }

  /** Hands out what waits, up to a number of settings. */
  async promote(sequence: number): Promise<void> {
    await this.#post(leafAnswer, '/policy/promote', { sequence });
  }

  async stats(): Promise<StatsAnswer> {
    return (await this.#get(stats, '/stats')).value;
  }

  async log(): Promise<LogInfo> {
    return (await this.#get(logInfo, '/log')).value;
  }

  /** Proofs that the log continues heads that were seen before. */
  async logProofs(heads: readonly TreeHead[]): Promise<LogProofs> {
    const asked = heads.map(({ logEpoch, size, root }) => ({
      logEpoch,
      size,
      root: toBase64(root),
    }));
    return (await this.#post(logProofs, '/log/proofs', { heads: asked })).value;
  }

  async openEpoch(opening: Signed): Promise<void> {
    await this.#post(leafAnswer, '/log/openings', { opening: toBase64(encodeSigned(opening)) });
  }

  async *state(agentId: string, atMs: number | undefined): AsyncGenerator<StateRecord> {
    const query = atMs === undefined ? '' : `?at=${Math.max(0, Math.floor(atMs))}`;
    for await (const record of this.#stream({
      method: 'GET',
      path: `${this.#base}/agents/${agentId}/state${query}`,
    }))
      yield decodeStateRecord(record);
  }

  async *versions(agentId: string, fileId: Uint8Array): AsyncGenerator<StateRecord> {
    const path = `${this.#base}/agents/${agentId}/versions/${hex(fileId)}`;
    for await (const record of this.#stream({ method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  async *everyVersion(agentId: string): AsyncGenerator<StateRecord> {
    const path = `${this.#base}/agents/${agentId}/versions`;
    for await (const record of this.#stream({ method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  /**
   * The commits that hold versions whose id begins as asked: one, or a few that show that it is not
   * enough.
   */
  async *versionsById(agentId: string, { digits, slot }: VersionId): AsyncGenerator<StateRecord> {
    const path = `${this.#base}/agents/${agentId}/version/${digits}${slot === undefined ? '' : `.${slot}`}`;
    for await (const record of this.#stream({ method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  /** Names that the collector opened itself; only where the vault is not blind. */
  async *names(request: {
    agentId?: string | undefined;
    atMs?: number | undefined;
    versionsOf?: Uint8Array;
    every?: true;
  }): AsyncGenerator<NameRecord> {
    const atMs = request.atMs && Math.max(0, Math.floor(request.atMs));
    const body = {
      agentId: request.agentId,
      atMs,
      versionsOf: request.versionsOf && toBase64(request.versionsOf),
      every: request.every,
    };
    for await (const record of this.#stream(post(`${this.#base}/names`, body))) {
      yield understood(
        this.collector.endpoint,
        nameRecord,
        JSON.parse(Buffer.from(record).toString('utf8')),
      );
    }
  }

  /** Sealed chunks and pages; whoever opens them proves them against their ids. */
  async *items(ids: readonly ChunkId[]): AsyncGenerator<ReceivedItem> {
    const request: HttpRequest = {
      method: 'POST',
      path: `${this.#base}/items`,
      body: Buffer.concat(ids),
      contentType: 'application/octet-stream',
    };
    for await (const record of this.#stream(request)) yield decodeItem(record);
  }

  async *#stream(request: HttpRequest): AsyncGenerator<Uint8Array> {
    const { body } = await send(this.collector.endpoint, request);
    yield* readRecords(body);
  }

  #get<Schema extends z.ZodType>(schema: Schema, path: string) {
    return ask(this.collector.endpoint, schema, { method: 'GET', path: this.#base + path });
  }

  #post<Schema extends z.ZodType>(schema: Schema, path: string, body: unknown) {
    return ask(this.collector.endpoint, schema, post(this.#base + path, body));
  }
}

/** Says which agent was probably meant. */
function noAgent(vault: string, name: string, agents: readonly AgentInfo[], where: string): string {
  const names = everyHistory(agents).map((agent) => agent.name);
  return `vault ${vault} has no agent ${name}${didYouMean(nearest(name, names)) || `; ${where}`}`;
}

function post(path: string, body: unknown): HttpRequest {
  return {
    method: 'POST',
    path,
    body: Buffer.from(JSON.stringify(body)),
    contentType: 'application/json',
  };
}

async function ask<Schema extends z.ZodType>(
  endpoint: Endpoint,
  schema: Schema,
  request: HttpRequest,
) {
  const { value, peerChain } = await sendJson(endpoint, request);
  return { value: understood(endpoint, schema, value), peerChain };
}

function understood<Schema extends z.ZodType>(
  endpoint: Endpoint,
  schema: Schema,
  value: unknown,
): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CommandError(
    'COMMAND_ANSWER',
    `${endpoint.url} answers in a form that this release does not know: are both of the same release?`,
    {
      cause: parsed.error,
    },
  );
}
