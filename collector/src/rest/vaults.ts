import { asVaultId, decodeSigned, encodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64, toBase64 } from '../api/base64.ts';
import {
  addVaultRequest,
  type CollectorInfo,
  type StatsAnswer,
  type VaultInfo,
} from '../api/messages.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/**
 * What an operator needs to know before anything else: who this collector is and which vaults it
 * holds.
 */
export function collectorAnswer(context: RestContext): CollectorInfo {
  const { store } = context;
  return {
    name: store.name,
    software: context.software,
    collectorId: hex(store.collectorId),
    signKey: toBase64(store.identity.publicKey),
    timeMs: context.clock.nowMs(),
    hold: context.health.hold,
    vaults: store.vaults().map(vaultInfoOf),
    ailing: store.ailing().map(({ id, error }) => ({ vaultId: id, message: error.message })),
  };
}

function vaultInfoOf(
  vault: VaultWith<'descriptor' | 'signedCertificate' | 'signedDescriptor'>,
): VaultInfo {
  return {
    vaultId: hex(asVaultId(vault.descriptor.vaultId)),
    name: vault.descriptor.name,
    blind: vault.descriptor.blind,
    descriptor: toBase64(encodeSigned(vault.signedDescriptor)),
    certificate: toBase64(encodeSigned(vault.signedCertificate)),
  };
}

/** Takes a vault over from the operator. The store verifies descriptor and certificate. */
export async function addVault(context: RestContext, body: unknown): Promise<VaultInfo> {
  const request = addVaultRequest.parse(body);
  const vault = await context.store.addVault({
    descriptor: decodeSigned(fromBase64(request.descriptor)),
    certificate: decodeSigned(fromBase64(request.certificate)),
    catalogSecretKey:
      request.catalogSecretKey === undefined ? undefined : fromBase64(request.catalogSecretKey),
  });
  context.log.info(
    { vault: hex(vault.descriptor.vaultId), blind: vault.descriptor.blind },
    'vault added',
  );
  return vaultInfoOf(vault);
}

export async function statsAnswer(
  context: RestContext,
  vault: VaultWith<'data' | 'figures' | 'register'>,
): Promise<StatsAnswer> {
  const { deadBytes, reserveBytes } = await vault.data.space();
  return {
    ...vault.figures.stats(),
    ...{ deadBytes, reserveBytes },
    ...(await context.health.disk()),
    agents: vault.register.agents().filter((agent) => agent.state === 'enrolled').length,
  };
}
