import { encodeSigned, type Signed } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from '../../api/base64.ts';
import {
  type ClockAnswer,
  type CollectorInfo,
  clockAnswer,
  collectorInfo,
  nothing,
  type VaultInfo,
  vaultInfo,
} from '../../api/messages.ts';
import type { NamedFile } from '../../api/named-releases.ts';
import {
  keptFiles,
  publishAnswer,
  type ReleaseList,
  releaseList,
  releasePartAnswer,
} from '../../api/release-messages.ts';
import { RestError } from '../../api/rest-error.ts';
import { CommandError } from '../../cli/command-error.ts';
import type { Endpoint } from '../http-client.ts';
import { ask, post, type ReachedCollector } from './ask.ts';
import { VaultClient } from './vault-client.ts';

const RELEASES = '/v1/operator/releases';

/** A running collector, spoken to as its operator. */
export class CollectorClient implements ReachedCollector {
  readonly endpoint: Endpoint;
  readonly info: CollectorInfo;
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

  /** The machine's clock is right. */
  async confirmClock(): Promise<ClockAnswer> {
    return (await ask(this.endpoint, clockAnswer, post('/v1/operator/clock/confirm', {}))).value;
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
      const ailing = this.info.ailing.find((vault) => vault.vaultId === hex(vaultId));
      if (ailing !== undefined)
        throw new RestError(
          'REST_VAULT_AILING',
          `the collector at ${at} does not serve the kit's vault: ${ailing.message}`,
        );
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
    const [ailing] = this.info.ailing;
    if (ailing !== undefined && fitting.length === 0)
      throw new RestError(
        'REST_VAULT_AILING',
        `the collector at ${at} does not serve vault ${ailing.vaultId}: ${ailing.message}`,
      );
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
