import { createHash, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import type { CollectorAddress } from '@aliquot/proto';
import { UsageError } from '@aliquot/shared/cli/errors';

/** How agents are to trust the collector's TLS at an address. */
export type TlsTrust = Pick<CollectorAddress, 'tlsCa' | 'tlsPins'>;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * What agents learn of a collector that this command trusts. A chain is named by its authority,
 * never by its key, so that a renewed certificate is trusted as the old one was; only a self-signed
 * certificate is pinned to its key.
 * @param chain the certificates that the collector showed, its own first (DER); undefined where it
 * was not seen, or without TLS
 * @param given PEM that the operator trusts it by: authorities, self-signed certificates, several
 * side by side
 */
export function tlsTrustOf(
  chain: readonly Uint8Array[] | undefined,
  given: string | undefined,
): TlsTrust {
  if (given !== undefined)
    return { tlsCa: given, tlsPins: certificatesIn(given).filter(isSelfSigned).map(keyHash) };
  const certificates = (chain ?? []).map((der) => new X509Certificate(der));
  const [own] = certificates;
  const root = certificates.at(-1);
  if (own === undefined || root === undefined) return { tlsCa: '', tlsPins: [] };
  if (isSelfSigned(own)) return { tlsCa: '', tlsPins: [keyHash(own)] };
  // An authority that every system knows needs no word; the lab's own may not be installed on the
  // instrument's PC.
  return { tlsCa: isSelfSigned(root) && !isPublic(root) ? root.toString() : '', tlsPins: [] };
}

function certificatesIn(pem: string): X509Certificate[] {
  try {
    const found = (pem.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
    if (found.length > 0) return found;
  } catch {
    // Any error: OpenSSL has many for bytes that are no certificate, which is said below.
  }
  throw new UsageError(
    'USAGE_INVALID',
    'the file of --tls-ca holds no certificate in PEM; give the authority’s, such as ca.pem',
  );
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.issuer === certificate.subject && certificate.verify(certificate.publicKey);
}

function isPublic(root: X509Certificate): boolean {
  return rootCertificates.some(
    (known) => new X509Certificate(known).fingerprint256 === root.fingerprint256,
  );
}

/** SHA-256 of the SubjectPublicKeyInfo, as agents compare it. */
function keyHash({ publicKey }: X509Certificate): Uint8Array {
  return new Uint8Array(
    createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest(),
  );
}
