import { type AgentId, decodeSigned, FormatError, type PolicyBody } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';
import type { BoxKey } from '@aliquot/shared/crypto/box';
import { CertificateError, verifyAgent } from '@aliquot/shared/keys/certificates';
import { openPolicyText, verifyPolicy } from '@aliquot/shared/keys/policy';
import type { SigningVault } from '@aliquot/shared/keys/settings-signer';
import { type Policy, readPolicy } from '@aliquot/shared/settings/policy';
import { fromBase64 } from '../../api/base64.ts';
import type { AgentInfo, PolicyMessage } from '../../api/messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import type { CommandContext } from '../../cli/context.ts';
import { CollectorClient } from '../client/collector-client.ts';
import type { VaultClient } from '../client/vault-client.ts';
import { provedVault } from '../open-vault.ts';
import { type ByOptions, openSigner, type Signer } from '../operator-key.ts';
import { type CollectorOptions, endpointOf } from '../options.ts';

export type PolicyDeskOptions = CollectorOptions & ByOptions;

/** Anyone who makes settings, beside the collector of the vault. */
export interface OpenDesk {
  readonly signer: Signer & { readonly policyKey: BoxKey };
  readonly vault: VaultClient;
}

/** Opens kit or key file and finds the vault's collector, which has to prove itself. */
export async function openDesk(
  context: CommandContext,
  options: PolicyDeskOptions,
): Promise<OpenDesk> {
  const endpoint = await endpointOf(context, options);
  const signer = await openSigner(context, options, 'settings');
  const { policyKey, descriptor } = signer;
  if (policyKey === undefined)
    throw new UsageError(
      'USAGE_INVALID',
      'this key does not open the policy; use one made for settings',
    );
  const vault = await provedVault(context, await CollectorClient.connect(endpoint), descriptor);
  return { signer: { ...signer, policyKey }, vault };
}

/** A policy as the collector has it, verified and opened. */
export interface StoredPolicy {
  readonly body: PolicyBody;
  readonly text: string;
  /** Undefined when this release cannot read it: a newer one wrote it. */
  readonly policy: Policy | undefined;
  /** What keeps beside it what it kept, and until when, by the collector's word. */
  readonly earlier: NonNullable<PolicyMessage['earlier']>;
}

/**
 * The newest policy, or the one of a revision; undefined while none was set. What the collector
 * shows is believed only with its signature.
 */
export async function storedPolicy(
  { signer, vault }: OpenDesk,
  revision?: number,
): Promise<StoredPolicy | undefined> {
  const answer = await vault.desk.policy(revision);
  const { policy, certificate, sealed, timeMs, earlier = [] } = answer;
  if (policy === undefined || sealed === undefined) return undefined;
  const bytes = fromBase64(sealed);
  const signed = {
    policy: decodeSigned(fromBase64(policy)),
    certificate: certificate === undefined ? undefined : decodeSigned(fromBase64(certificate)),
  };
  return evidence(() => {
    const body = verifyPolicy(signer.descriptor, { ...signed, sealed: bytes }, timeMs ?? 0);
    if (revision !== undefined && body.revision !== revision)
      throw unverified(`shows policy ${body.revision} as policy ${revision}`);
    const text = openPolicyText(signer.policyKey, signer.descriptor, bytes);
    const read = readPolicy(text);
    return { body, text, policy: 'policy' in read ? read.policy : undefined, earlier };
  });
}

/** A living PC, as the authority certified it: its keys are never the collector's word. */
export interface DeskPc {
  readonly name: string;
  readonly agentId: AgentId;
  readonly boxKey: Uint8Array;
  readonly info: AgentInfo;
}

/** Those of the collector's list that have enrolled, verified. */
export function deskPcs(
  { authorityKey, vaultId }: SigningVault,
  agents: readonly AgentInfo[],
): readonly DeskPc[] {
  return agents.flatMap((info) => {
    const { enrolment, binding, state } = info;
    if (state !== 'enrolled' || binding === undefined) return [];
    return evidence(() => {
      const certified = verifyAgent(
        authorityKey,
        vaultId,
        decodeSigned(fromBase64(enrolment)),
        decodeSigned(fromBase64(binding)),
      );
      const { name, agentId } = certified.enrolment;
      if (name !== info.name) throw unverified(`passes agent ${name} off as ${info.name}`);
      return [{ name, agentId, boxKey: certified.binding.boxKey, info }];
    });
  });
}

function evidence<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof CertificateError) && !(cause instanceof FormatError)) throw cause;
    throw new CommandError(
      'COMMAND_UNVERIFIED',
      `what the collector sent does not verify: ${cause.message} (${cause.code})`,
      { cause },
    );
  }
}

function unverified(what: string): CommandError {
  return new CommandError(
    'COMMAND_UNVERIFIED',
    `the collector ${what}; do not trust this collector, and tell who runs it`,
  );
}
