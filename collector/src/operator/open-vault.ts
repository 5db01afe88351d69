import type { CollectorCertificateBody, VaultDescriptorBody } from '@aliquot/proto';
import type { OpenKit } from '@aliquot/shared/keys/kit';
import type { CommandContext } from '../cli/context.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { openKitFile } from './kit-file.ts';
import { type CollectorOptions, endpointOf, type KitOptions } from './options.ts';
import { Proofs } from './proof/proofs.ts';
import type { EvidenceReader } from './verified.ts';
import { demandContinuation } from './witness.ts';

/** A vault at its collector with its kit open: what every command that reads content needs. */
export interface OpenVault {
  readonly kit: OpenKit;
  readonly vault: VaultClient;
  /** Under the kit's authority, and of the collector that answers. */
  readonly collector: CollectorCertificateBody;
}

/** The same with what proves that its answers are complete and newest. */
export interface ProvedVault extends OpenVault {
  readonly proofs: Proofs;
}

/** What reads the vault's records, with the times that its log has by now. @throws CommandError */
export async function readerOf({ kit, collector, proofs }: ProvedVault): Promise<EvidenceReader> {
  return { kit, collector, times: await proofs.times() };
}

/**
 * The vault, whose log must continue what this operator has seen of it.
 *
 * @param whenKitIsOpen What takes memory of its own begins here, while the collector is asked: to
 * open a kit takes 128 MiB by design, which have been given back then.
 */
export async function openVault(
  context: CommandContext,
  options: CollectorOptions & KitOptions,
  whenKitIsOpen?: () => void,
): Promise<ProvedVault> {
  const open = await openUnwitnessed(context, options, whenKitIsOpen);
  const head = await demandContinuation(context, open.vault);
  return { ...open, proofs: new Proofs(context, open.vault, open.kit.descriptor, head) };
}

/**
 * The vault of a kit or key file at this collector, which proves to be the authority's, and whose
 * log must continue what this operator has seen. Throws CertificateError and `WitnessError`.
 */
export async function provedVault(
  context: CommandContext,
  collector: CollectorClient,
  { vaultId, authorityKey }: Pick<VaultDescriptorBody, 'vaultId' | 'authorityKey'>,
): Promise<VaultClient> {
  const vault = collector.vault({ vaultId });
  vault.certificate(authorityKey);
  await demandContinuation(context, vault);
  return vault;
}

/** As `openVault`, without a look at its log: for `log reopen`, which heals it. */
export async function openUnwitnessed(
  context: CommandContext,
  options: CollectorOptions & KitOptions,
  whenKitIsOpen?: () => void,
): Promise<OpenVault> {
  const endpoint = await endpointOf(context, options);
  // Asked while the kit is opened, which takes half a second by design.
  const connecting = CollectorClient.connect(endpoint);
  connecting.catch(() => undefined);
  const kit = await openKitFile(context, options);
  whenKitIsOpen?.();
  const vault = (await connecting).vault({ vaultId: kit.descriptor.vaultId });
  return { kit, vault, collector: vault.certificate(kit.authority.publicKey) };
}
