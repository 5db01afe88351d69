import { join } from 'node:path';
import {
  type ChainId,
  type DedupSecret,
  decodeSigned,
  encodeSigned,
  FormatError,
  type Signed,
} from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { signingKeyFromSeed } from '@aliquot/shared/crypto/sign';
import { eraseDurably, readFileIfThere, writeFileDurably } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import {
  CertificateError,
  verifyAgent,
  verifyCollectorCertificate,
  verifyDescriptor,
} from '@aliquot/shared/keys/certificates';
import { vaultKeysFrom } from '@aliquot/shared/keys/derive';
import { z } from 'zod';
import { IdentityError } from './errors.ts';
import type { AgentIdentity } from './identity.ts';

const MAX_FILE_BYTES = 1024 * 1024;

const bytes = (length?: number) =>
  z
    .base64()
    .transform((text): Uint8Array => new Uint8Array(Buffer.from(text, 'base64')))
    .refine((value) => length === undefined || value.length === length, `not ${length} bytes`);
const signed = z.base64().transform((text): Signed => decodeSigned(Buffer.from(text, 'base64')));

const identitySchema = z.strictObject({
  version: z.literal(1),
  url: z.string(),
  tlsCa: z.string(),
  tlsPins: z.array(bytes(32)),
  descriptor: signed,
  collectorCertificate: signed,
  enrolment: signed,
  binding: signed,
  signSeed: bytes(32),
  boxSecret: bytes(32),
  chainId: bytes(16),
  takesOver: bytes(16).optional(),
  cacheSecret: bytes(32),
  pathKey: bytes(32),
  dedupSecrets: z.array(z.strictObject({ epoch: z.int().positive(), secret: bytes(32) })),
});

/**
 * What `identity.json` holds: the agent's own keys, and the parts of the bundle that are needed
 * after enrolment.
 */
export type StoredIdentity = z.infer<typeof identitySchema>;

export function identityPaths(dataDir: string) {
  const dir = join(dataDir, 'identity');
  return { dir, identity: join(dir, 'identity.json'), begun: join(dir, 'enrolling.json') };
}

function encodeIdentity(stored: StoredIdentity): Uint8Array {
  const text = (value: Uint8Array): string => Buffer.from(value).toString('base64');
  const { dedupSecrets, tlsPins, ...rest } = stored;
  const fields = Object.entries(rest).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (value instanceof Uint8Array) return [[name, text(value)]];
    return [typeof value === 'object' ? [name, text(encodeSigned(value))] : [name, value]];
  });
  const secrets = dedupSecrets.map(({ epoch, secret }: DedupSecret) => ({
    epoch,
    secret: text(secret),
  }));
  const parts = {
    ...Object.fromEntries(fields),
    tlsPins: tlsPins.map((pin) => text(pin)),
    dedupSecrets: secrets,
  };
  return Buffer.from(`${JSON.stringify(parts, undefined, 1)}\n`);
}

/**
 * The stored identity, or undefined when there is none under this path. Errors: `IDENTITY_DAMAGED`.
 */
export async function readIdentity(
  port: FilePort,
  path: string,
): Promise<StoredIdentity | undefined> {
  const content = await readFileIfThere(port, path, MAX_FILE_BYTES);
  if (content === undefined) return undefined;
  try {
    return identitySchema.parse(JSON.parse(content.toString('utf8')));
  } catch (cause) {
    // The cause is dropped on purpose: zod and JSON errors quote what they read, and that is
    // secret.
    if (
      !(cause instanceof z.ZodError) &&
      !(cause instanceof SyntaxError) &&
      !(cause instanceof FormatError)
    )
      throw cause;
    throw new IdentityError(
      'IDENTITY_DAMAGED',
      `${path} is damaged; restore it from a copy, or enrol this PC again with --replaces`,
    );
  }
}

export function writeIdentity(port: FilePort, path: string, stored: StoredIdentity): Promise<void> {
  return writeFileDurably(port, path, encodeIdentity(stored), { mode: 0o600 });
}

export function eraseIdentity(port: FilePort, path: string): Promise<void> {
  return eraseDurably(port, path);
}

/**
 * Verifies all certificates against the authority and the agent's own keys. Errors:
 * `IDENTITY_DAMAGED`.
 */
export function verifyIdentity(stored: StoredIdentity): AgentIdentity {
  try {
    const descriptor = verifyDescriptor(stored.descriptor);
    const { authorityKey, vaultId } = descriptor;
    const certificate = verifyAgent(authorityKey, vaultId, stored.enrolment, stored.binding);
    const signKey = signingKeyFromSeed(stored.signSeed);
    const boxKey = boxKeyFromSecret(stored.boxSecret);
    const own =
      equalBytes(signKey.publicKey, certificate.binding.signKey) &&
      equalBytes(boxKey.publicKey, certificate.binding.boxKey);
    if (!own)
      throw new IdentityError(
        'IDENTITY_DAMAGED',
        'the keys in identity.json are not the ones that were enrolled; enrol this PC again',
      );
    return {
      server: { url: stored.url, tlsCa: stored.tlsCa, tlsPins: stored.tlsPins },
      descriptor,
      certificate,
      enrolment: stored.enrolment,
      binding: stored.binding,
      collector: verifyCollectorCertificate(authorityKey, vaultId, stored.collectorCertificate),
      signKey,
      boxKey,
      chainId: stored.chainId as Uint8Array as ChainId,
      takesOver: stored.takesOver as Uint8Array | undefined as ChainId | undefined,
      keys: vaultKeysFrom(stored.dedupSecrets, descriptor),
      pathKey: stored.pathKey,
      cacheSecret: stored.cacheSecret,
    };
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new IdentityError(
      'IDENTITY_DAMAGED',
      `identity.json does not hold together: ${cause.message}; enrol this PC again`,
      { cause },
    );
  }
}

/** The identity of an enrolled folder. Errors: `IDENTITY_MISSING`, `IDENTITY_DAMAGED`. */
export async function loadIdentity(port: FilePort, dataDir: string): Promise<AgentIdentity> {
  const stored = await readIdentity(port, identityPaths(dataDir).identity);
  if (stored === undefined) {
    throw new IdentityError(
      'IDENTITY_MISSING',
      `${dataDir} is not enrolled; run: aliquot-agent enroll BUNDLE --data ${dataDir}`,
    );
  }
  return verifyIdentity(stored);
}
