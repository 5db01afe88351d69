import type { ChunkId } from '@aliquot/proto';
import { maskKey } from '@aliquot/shared/content/cache-key';
import { hkdf, hmacSha256, labelled, sha256, sha512 } from '@aliquot/shared/crypto/primitives';
import { decodeCached } from '../../agent/src/queue/ledger/rows.ts';
import { decodeColumns, unpackKnown } from '../../agent/src/queue/log/known-block.ts';
import type { Material } from './material.ts';
import type { Trove } from './trove.ts';

/** Every label with which some key or hash is derived. */
const LABELS = [
  ...[
    'chunk-subkey',
    'page-subkey',
    'slab-subkey',
    'slab-key',
    'gear-seed',
    'gear-table',
    'path-key',
    'file-id',
    'source-id',
    'cache-index',
    'cache-mask',
  ],
  ...[
    'entry-list-key',
    'entry-read-key',
    'entry-list-part',
    'entry-read-part',
    'wrap',
    'commit',
    'commit-hash',
    'commit-wraps',
    'kit',
  ],
  ...[
    'session-client-to-server',
    'session-server-to-client',
    'enrolment',
    'agent-binding',
    'vault-id',
    'armor',
    'frame',
  ],
].map((name) => `aliquot/v1/${name}`);

const EMPTY = new Uint8Array(0);

/**
 * What somebody who knows the source code makes of the secrets in hand: all subkeys, with every
 * salt in use; Ed25519 seeds as X25519 secrets; convergent keys of what is sealed.
 */
export function derived(secrets: readonly Uint8Array[], trove: Trove): Set<string> {
  const found = new Set<string>();
  const take = (key: Uint8Array): void => {
    for (let at = 0; at + 32 <= key.length; at += 32)
      found.add(Buffer.from(key.subarray(at, at + 32)).toString('latin1'));
  };
  const places = trove.commits.flatMap(({ header }) => [
    header.vaultId,
    header.agentId,
    header.chainId,
  ]);
  const salts = [
    EMPTY,
    ...new Map(places.map((salt) => [Buffer.from(salt).toString('hex'), salt])).values(),
  ];
  const sealed = [...trove.items].flatMap(([id, { bytes }]) => [Buffer.from(id, 'hex'), bytes]);
  for (const secret of secrets) {
    take(secret);
    take(sha256(secret));
    take(sha512(secret)); // its first half is the X25519 secret of an Ed25519 seed
    for (const label of LABELS) {
      take(hmacSha256(secret, labelled(label)));
      for (const salt of salts) take(hkdf(secret, salt, label, 32));
    }
    for (const salt of salts) {
      const subkeys = ['chunk-subkey', 'page-subkey', 'slab-subkey'].map((name) =>
        hkdf(secret, salt, `aliquot/v1/${name}`, 32),
      );
      if (salt === places[0])
        for (const subkey of subkeys) for (const bytes of sealed) take(hmacSha256(subkey, bytes));
    }
  }
  return found;
}

/**
 * The cache's masked keys under every mask that can be had without the plaintext: everything at
 * hand is tried as the fingerprint, as what the fingerprint is made from, and as the mask itself.
 *
 * @param published SHA-256 values of the files that the attacker knows from elsewhere (people
 * publish those).
 */
export function unmasked(
  material: Material,
  secrets: readonly Uint8Array[],
  published: readonly Uint8Array[],
): Set<string> {
  const found = new Set<string>();
  const take = (key: Uint8Array): void => void found.add(Buffer.from(key).toString('latin1'));
  const { pieces } = material;
  const valuesOf = (family: string): Buffer[] =>
    pieces.filter((_, at) => at > 0 && pieces[at - 1]?.toString('latin1', 0, 1) === family);
  const tags = [...valuesOf('K'), ...valuesOf('k')].flatMap((value) => tagsIn(value));
  const hints = [...published, ...tags];
  const fingerprints = [
    ...secrets,
    ...hints,
    ...secrets.flatMap((secret) => hints.map((hint) => hmacSha256(secret, hint))),
  ];
  const rows = new Map<string, { readonly id: ChunkId; readonly masked: Uint8Array }>();
  for (const value of valuesOf('x')) {
    const cached = decodeCached(value);
    if (cached !== undefined)
      rows.set(Buffer.from(cached.id).toString('hex'), { id: cached.id, masked: cached.maskedKey });
  }
  const distinct = [
    ...new Map(fingerprints.map((print) => [Buffer.from(print).toString('hex'), print])).values(),
  ];
  for (const { id, masked } of rows.values()) {
    for (const mask of [...distinct, id, ...[...rows.values()].map((other) => other.masked)])
      take(masked.map((byte, at) => byte ^ (mask[at] ?? 0)));
    for (const print of [...distinct, id]) take(maskKey(print, id, masked));
  }
  return found;
}

function tagsIn(value: Buffer): Uint8Array[] {
  try {
    return unpackKnown(value).map((row) => decodeColumns(row).stat.contentTag);
  } catch {
    return []; // another kind of bytes that happens to stand behind a 'K' or 'k'
  }
}

/**
 * How many chunks the cache of this material remembers: an attack on an empty cache would prove
 * nothing.
 */
export function cachedChunks(material: Material): number {
  return new Set(
    material.pieces.flatMap((piece) =>
      decodeCached(piece) === undefined ? [] : [piece.toString('hex')],
    ),
  ).size;
}
