import { decodeSigned, encodeSigned } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { fromBase64, toBase64 } from '../api/base64.ts';
import { type AddressesMessage, setAddressesRequest } from '../api/messages.ts';
import { MAX_HOST_LENGTH, MAX_TOLD_HOSTS } from '../limits.ts';
import type { VaultWith } from '../store/vault-store.ts';
import type { RestContext } from './context.ts';

/** Where the authority says that this collector is, and by which hosts agents are connected. */
export function addressesAnswer(
  { sessions }: RestContext,
  vault: VaultWith<'descriptor' | 'register'>,
): AddressesMessage {
  const signed = vault.register.addresses();
  const hosts = [...sessions.connectedBy(vault.descriptor.vaultId)].toSorted(
    ([, left], [, right]) => right - left,
  );
  const connected = hosts
    .slice(0, MAX_TOLD_HOSTS)
    .map(([host, agents]) => ({ host: host.slice(0, MAX_HOST_LENGTH), agents }));
  return {
    connected,
    ...(signed === undefined ? {} : { addresses: toBase64(encodeSigned(signed)) }),
  };
}

/**
 * Records newer addresses and hands them to every agent that is connected; the others get them when
 * they come. The store verifies them.
 */
export async function setAddresses(
  context: RestContext,
  vault: VaultWith<'descriptor' | 'events'>,
  body: unknown,
): Promise<{ leafIndex: number }> {
  const addresses = decodeSigned(fromBase64(setAddressesRequest.parse(body).addresses));
  const { vaultId } = vault.descriptor;
  const answer = await vault.events.append({
    type: 'addressesSet',
    timeMs: context.clock.nowMs(),
    addresses,
  });
  context.sessions.tellAddresses(vaultId, addresses);
  context.log.info({ vault: hex(vaultId) }, 'collector addresses set');
  return answer;
}
