import { decodeSigned, FormatError } from '@aliquot/proto';
import type { Agent } from '../folder/agent.ts';
import { IdentityError } from '../identity/errors.ts';
import type { Emit } from '../socket/protocol.ts';

/**
 * `address set`: keeps signed addresses of the collector and tries them; one `addresses` event.
 * Errors: `ADDRESSES_FOREIGN`.
 */
export async function setAddresses({ uplink }: Agent, base64: string, emit: Emit): Promise<void> {
  const { news, first } = await uplink.setAddresses(signedIn(base64));
  await emit({ event: 'addresses', news, collector: first });
}

function signedIn(base64: string) {
  try {
    return decodeSigned(new Uint8Array(Buffer.from(base64, 'base64')));
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new IdentityError(
      'ADDRESSES_FOREIGN',
      `these are no addresses of a collector: ${cause.message}`,
      { cause },
    );
  }
}
