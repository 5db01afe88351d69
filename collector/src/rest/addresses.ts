import { decodeSigned, encodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import type { VaultStore } from '../store/vault-store.ts';
import { fromBase64, toBase64 } from './base64.ts';
import type { RestContext } from './context.ts';
import { type AddressesMessage, setAddressesRequest } from './messages.ts';

/** Where the authority says that this collector is. */
export function addressesAnswer(vault: VaultStore): AddressesMessage {
  const signed = vault.addresses();
  return signed === undefined ? {} : { addresses: toBase64(encodeSigned(signed)) };
}

/** Records newer addresses and hands them to every agent that is connected; the others get them when they come. The store verifies them. */
export async function setAddresses(context: RestContext, vault: VaultStore, body: unknown): Promise<{ leafIndex: number }> {
  const addresses = decodeSigned(fromBase64(setAddressesRequest.parse(body).addresses));
  const { vaultId } = vault.descriptor;
  const answer = await vault.appendEvent({ type: 'addressesSet', timeMs: context.clock.nowMs(), addresses });
  context.sessions.tellAddresses(vaultId, addresses);
  context.log.info({ vault: hex(vaultId) }, 'collector addresses set');
  return answer;
}
