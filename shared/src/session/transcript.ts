import type { ChainId, ServerHello, Signed } from '@aliquot/proto';
import { lengthPrefixed, u32be, wipe } from '../crypto/bytes.ts';
import { hkdf, labelled, sha256 } from '../crypto/primitives.ts';
import type { SessionKeys } from './frames.ts';

/** Protocol versions that this release speaks, best last. */
export const protocolVersions: readonly number[] = [1];

/**
 * Labels under which each side signs: they name the roles, so that no signature can stand for the
 * other side's.
 */
export const SERVER_SIGNATURE = 'aliquot/v1/session-server';
export const CLIENT_SIGNATURE = 'aliquot/v1/session-client';

/**
 * What the collector signs: hash of everything said so far. The client's hello counts as the exact
 * bytes that were received, so offered versions, vault, nonce and ephemeral key are in it as the
 * collector saw them.
 */
export function serverTranscript(
  clientHello: Uint8Array,
  hello: Omit<ServerHello, 'signature'>,
): Uint8Array {
  return sha256(
    labelled('aliquot/v1/session-transcript'),
    lengthPrefixed(
      clientHello,
      u32be(hello.version),
      hello.nonce,
      hello.ephemeralKey,
      hello.certificate.body,
      hello.certificate.signature,
    ),
  );
}

/** The transcript with the collector's signature: salts the session keys. */
export function sessionTranscript(serverPart: Uint8Array, serverSignature: Uint8Array): Uint8Array {
  return sha256(labelled('aliquot/v1/session-signed'), lengthPrefixed(serverPart, serverSignature));
}

/** What the agent signs: the whole transcript, and who it claims to be. */
export function clientTranscript(
  session: Uint8Array,
  agent: { readonly enrolment: Signed; readonly binding: Signed; readonly chainId: ChainId },
): Uint8Array {
  return sha256(
    labelled('aliquot/v1/session-agent'),
    lengthPrefixed(
      session,
      agent.enrolment.body,
      agent.enrolment.signature,
      agent.binding.body,
      agent.binding.signature,
      agent.chainId,
    ),
  );
}

/** The frame keys of a session from the raw X25519 secret, which is wiped. */
export function sessionKeys(shared: Uint8Array, transcript: Uint8Array): SessionKeys {
  const keys = {
    clientToServer: hkdf(shared, transcript, 'aliquot/v1/session-client-to-server', 32),
    serverToClient: hkdf(shared, transcript, 'aliquot/v1/session-server-to-client', 32),
  };
  wipe(shared);
  return keys;
}
