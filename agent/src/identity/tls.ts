import { createHash, X509Certificate } from 'node:crypto';
import { getCACertificates, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { type CollectorAddress, isCollectorUrl } from '@aliquot/proto';
import { IdentityError } from './errors.ts';

/** TLS options for `https.request` and `ws`, as far as an address decides them. */
export interface TlsOptions extends Pick<SecureContextOptions, 'ca'> {
  readonly rejectUnauthorized: boolean;
  /**
   * Decides where Node was asked not to. Call when the socket is secure, before anything is sent.
   */
  readonly judge: (socket: TLSSocket) => Error | undefined;
}

/**
 * How to trust a server: a chain that leads to an authority and fits the name, whatever its key, so
 * that a renewed certificate needs no word from anybody; or, for self-signed certificates, one of
 * the pinned keys. With authorities given, those only; else the system's.
 */
export function tlsOptions(trust: CollectorAddress): TlsOptions {
  const pinned = trust.tlsPins.length > 0;
  // Reading the system's store takes a third of a second, so only callers that need it pay for it.
  const system = trust.tlsCa === '' && !pinned && /^(https|wss):/i.test(trust.url);
  const ca = trust.tlsCa !== '' ? trust.tlsCa : system ? knownAuthorities() : undefined;
  return {
    ...(ca === undefined ? {} : { ca }),
    // Without `judge` being called a pinned address would trust anybody.
    rejectUnauthorized: !pinned,
    judge: (socket) => {
      if (!pinned || socket.authorized) return undefined;
      const { raw } = socket.getPeerCertificate();
      const known =
        raw !== undefined &&
        trust.tlsPins.some((pin) => Buffer.compare(spkiSha256(raw), pin) === 0);
      return known
        ? undefined
        : new IdentityError(
            'ENROL_TLS',
            `the TLS certificate of ${trust.url} is not trusted: ${UNKNOWN_KEY}`,
          );
    },
  };
}

const UNKNOWN_KEY =
  'no known authority signed it, and its key is none of those that central IT named; ask whether it was replaced';

/**
 * The same place, trusted by the system's authorities alone: for an address whose own trust did not
 * hold, because its certificate was replaced by one that every PC believes. Undefined where that is
 * how it is trusted anyway.
 */
export function bySystem({ url, tlsCa, tlsPins }: CollectorAddress): CollectorAddress | undefined {
  return tlsCa === '' && tlsPins.length === 0 ? undefined : { url, tlsCa: '', tlsPins: [] };
}

let authorities: string[] | undefined;

/**
 * What Node brings and what this machine's administrator has added: a lab's own authority is mostly
 * there.
 */
function knownAuthorities(): string[] {
  authorities ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return authorities;
}

/**
 * SHA-256 of the SubjectPublicKeyInfo of a DER certificate. Test only: exported to make pins for a
 * test's certificate.
 */
export function spkiSha256(certificate: Uint8Array): Buffer {
  const { publicKey } = new X509Certificate(certificate);
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

/**
 * The address with another scheme family; refuses plain text to anything but this machine
 * (`ENROL_PLAIN_REMOTE`).
 */
export function serverAddress(trust: CollectorAddress, family: 'http' | 'ws', path: string): URL {
  const url = new URL(trust.url);
  if (!isCollectorUrl(trust.url)) {
    throw new IdentityError(
      'ENROL_PLAIN_REMOTE',
      `${url.origin} cannot be used: the address of a collector is https://HOST:PORT; plain http, which is not encrypted, is for this machine only`,
    );
  }
  url.protocol = `${family}${url.protocol === 'https:' ? 's' : ''}:`;
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
  return url;
}
