import { createHash, X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { checkServerIdentity, getCACertificates, type PeerCertificate } from 'node:tls';
import { IdentityError } from './errors.ts';
import type { ServerTrust } from './identity.ts';

/** TLS options for `https.request` and `ws`, as far as a bundle decides them. */
export interface TlsOptions extends Pick<SecureContextOptions, 'ca'> {
  readonly rejectUnauthorized: boolean;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  /** The pin also decides where Node would not ask `checkServerIdentity`. Call when the socket is secure, before sending. */
  readonly checkPin: (rawCertificate: Uint8Array | undefined) => Error | undefined;
}

/**
 * How to trust a server: with a pin, exactly its public key and nothing else (a self-made certificate is fine then); with a
 * CA, that one only; else the system's store.
 */
export function tlsOptions(trust: ServerTrust): TlsOptions {
  const pinned = trust.tlsPinSha256.length > 0;
  // Reading the system's store takes a third of a second: only for who needs it.
  const chained = !pinned && /^(https|wss):/i.test(trust.url);
  const checkPin = (raw: Uint8Array | undefined): Error | undefined => {
    if (!pinned) return undefined;
    if (raw !== undefined && Buffer.compare(spkiSha256(raw), trust.tlsPinSha256) === 0) return undefined;
    return new IdentityError(
      'ENROL_TLS',
      `the TLS certificate of ${trust.url} is not the pinned one; ask central IT whether it was replaced`,
    );
  };
  return {
    ...(chained ? { ca: trust.tlsCa === '' ? knownAuthorities() : trust.tlsCa } : {}),
    // With a pin the chain and the name say nothing more; without checkPin being called this would trust anybody.
    rejectUnauthorized: !pinned,
    checkServerIdentity: (host, certificate) => (pinned ? checkPin(certificate.raw) : checkServerIdentity(host, certificate)),
    checkPin,
  };
}

let authorities: string[] | undefined;

/** What Node brings and what this machine's administrator has added: a lab's own authority is mostly there. */
function knownAuthorities(): string[] {
  authorities ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return authorities;
}

/** SHA-256 of the SubjectPublicKeyInfo of a DER certificate. Test only: exported to make pins for a test's certificate. */
export function spkiSha256(certificate: Uint8Array): Buffer {
  const { publicKey } = new X509Certificate(certificate);
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

/** The address with another scheme family; refuses plain text to anything but this machine (`ENROL_PLAIN_REMOTE`). */
export function serverAddress(trust: ServerTrust, family: 'http' | 'ws', path: string): URL {
  const url = new URL(trust.url);
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const loopback = host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
  if (!secure && !loopback) {
    throw new IdentityError(
      'ENROL_PLAIN_REMOTE',
      `${trust.url} is not encrypted; plain http is for this machine only, give the collector TLS`,
    );
  }
  url.protocol = `${family}${secure ? 's' : ''}:`;
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
  return url;
}
