import {
  type AgentId,
  asAgentId,
  asLineageId,
  type BundleContents,
  type GroupCertificateBody,
  type GroupId,
  type LineageId,
  type Signed,
} from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import { parseDuration } from '@aliquot/shared/cli/time';
import { newSigningKey } from '@aliquot/shared/crypto/sign';
import { sealBundle } from '@aliquot/shared/keys/bundle';
import { issueEnrolment } from '@aliquot/shared/keys/certificates';
import { groupSecretFor, pathKeyFor } from '@aliquot/shared/keys/derive';
import { groupIdOf, issueGroup } from '@aliquot/shared/keys/group';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { CommandContext } from '../cli/context.ts';
import { agentUrl, presentOf } from './address.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { openKitFile } from './kit-file.ts';
import { provedVault } from './open-vault.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { type FirstSettings, firstSettings, settingsInBundle } from './policy/first.ts';
import { tlsTrustOf } from './tls-trust.ts';

/** What every way of enrolling takes. */
export interface DeskOptions extends CollectorOptions, KitOptions {
  readonly expires?: string;
  readonly selfRestore: boolean;
  readonly agentUrl?: string;
  readonly json?: boolean;
}

/** Whose line an agent goes on with. */
export interface AgentLine {
  readonly agentId: AgentId;
  readonly lineageId: LineageId;
  readonly replaces: AgentId | undefined;
  readonly lineageGroup: GroupId | undefined;
}

/** What is the same in all bundles. */
type CommonContents = Omit<
  BundleContents,
  'enrolment' | 'enrolmentSeed' | 'pathKey' | 'groupSecret' | 'settings'
>;

const AGENT_ID_BYTES = 16;
const YEAR_MS = 366 * 24 * 3600 * 1000;

/** When a bundle that is made now can no longer be used. Errors: `USAGE_INVALID`. */
export function termOf(context: CommandContext, { expires }: DeskOptions, usual: string): number {
  const nowMs = context.clock.nowMs();
  const expiresAtMs = nowMs + parseDuration(expires ?? usual, '--expires');
  if (expiresAtMs > nowMs + YEAR_MS)
    throw new UsageError(
      'USAGE_INVALID',
      '--expires is above a year; a bundle is a secret that lies around, give days',
    );
  return expiresAtMs;
}

/**
 * An open kit beside the collector that its vault is at: what every bundle is made from. Holds
 * secrets.
 */
export class EnrolmentDesk {
  readonly kit: OpenKit;
  readonly vault: VaultClient;
  readonly #context: CommandContext;
  readonly #common: CommonContents;
  readonly #first: FirstSettings;

  private constructor(
    context: CommandContext,
    kit: OpenKit,
    vault: VaultClient,
    common: CommonContents,
    first: FirstSettings,
  ) {
    this.#context = context;
    this.kit = kit;
    this.vault = vault;
    this.#common = common;
    this.#first = first;
  }

  /** Opens the kit and finds the vault's collector, which has to prove itself. */
  static async open(context: CommandContext, options: DeskOptions): Promise<EnrolmentDesk> {
    const endpoint = await endpointOf(context, options);
    const kit = await openKitFile(context, options);
    const collector = await CollectorClient.connect(endpoint);
    const vault = await provedVault(context, collector, kit.descriptor);
    const common: CommonContents = {
      version: 1,
      url: options.agentUrl === undefined ? endpoint.url : agentUrl(options.agentUrl),
      ...tlsTrustOf(collector.peerChain, endpoint.tlsCa),
      descriptor: kit.signedDescriptor,
      collectorCertificate: vault.signedCertificate,
      dedupSecrets: kit.dedupSecrets,
      addresses: (await presentOf(vault))?.signed,
    };
    return new EnrolmentDesk(context, kit, vault, common, await firstSettings(kit, vault));
  }

  /** A line of its own. */
  newLine(): AgentLine {
    const agentId = asAgentId(this.#context.random.bytes(AGENT_ID_BYTES));
    return {
      agentId,
      lineageId: asLineageId(agentId),
      replaces: undefined,
      lineageGroup: undefined,
    };
  }

  /** A bundle for one PC, and the enrolment in it, which the collector must learn to expect. */
  bundleFor(
    name: string,
    line: AgentLine,
    { selfRestore, expiresAtMs }: { readonly selfRestore: boolean; readonly expiresAtMs: number },
  ): { readonly text: string; readonly enrolment: Signed } {
    const enrolmentKey = newSigningKey(this.#context.random);
    // The term was counted from the command's beginning, and a term of nothing is over by now.
    const issuedAtMs = Math.min(this.#context.clock.nowMs(), expiresAtMs);
    const enrolment = issueEnrolment(this.kit.authority, {
      version: 1,
      vaultId: this.kit.descriptor.vaultId,
      ...line,
      name,
      enrolmentKey: enrolmentKey.publicKey,
      selfRestore,
      dedupEpoch: this.#dedupEpoch,
      issuedAtMs,
      expiresAtMs,
    });
    const pathKey = pathKeyFor(this.kit.pathSecret, line);
    const settings = settingsInBundle(
      this.#first,
      { name, agentId: line.agentId },
      { issuedAtMs, expiresAtMs },
    );
    return {
      enrolment,
      text: sealBundle({
        ...this.#common,
        enrolment,
        enrolmentSeed: enrolmentKey.seed,
        pathKey,
        settings,
      }),
    };
  }

  /**
   * A bundle for all PCs of a group, and the certificate in it, which the collector must be sent.
   */
  groupBundle(
    terms: Omit<
      GroupCertificateBody,
      'version' | 'vaultId' | 'groupKey' | 'dedupEpoch' | 'issuedAtMs'
    >,
  ): {
    readonly text: string;
    readonly group: Signed;
  } {
    const groupKey = newSigningKey(this.#context.random);
    const issuedAtMs = Math.min(this.#context.clock.nowMs(), terms.expiresAtMs);
    const group = issueGroup(this.kit.authority, {
      ...terms,
      version: 1,
      vaultId: this.kit.descriptor.vaultId,
      groupKey: groupKey.publicKey,
      dedupEpoch: this.#dedupEpoch,
      issuedAtMs,
    });
    const groupSecret = groupSecretFor(this.kit.pathSecret, groupIdOf(groupKey.publicKey));
    const settings = settingsInBundle(
      this.#first,
      { group: terms.name },
      { issuedAtMs, expiresAtMs: terms.expiresAtMs },
    );
    return {
      group,
      text: sealBundle({
        ...this.#common,
        enrolment: group,
        enrolmentSeed: groupKey.seed,
        pathKey: undefined,
        groupSecret,
        settings,
      }),
    };
  }

  get #dedupEpoch(): number {
    return Math.max(...this.kit.dedupSecrets.map((secret) => secret.epoch));
  }
}
