import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { ReleasePart } from './targets.ts';

/**
 * A release as its vendor makes it: signed lists in the form of TUF (The Update Framework,
 * specification 1.0.31), for `npm run release`.
 */

const SPEC_VERSION = '1.0.31';
/** Two of three root keys say who may sign lists: one that is stolen, or lost, decides nothing. */
const ROOT_THRESHOLD = 2;
/** An Ed25519 public key in SubjectPublicKeyInfo has so many bytes in front (RFC 8410). */
const SPKI_HEAD_BYTES = 12;

/** Private keys of the vendor, Ed25519. */
export interface VendorKeys {
  /** At least two of the three, to sign a root. */
  readonly root: readonly KeyObject[];
  /** Signs the list of files. */
  readonly targets: KeyObject;
  /** Signs which list is the newest. */
  readonly newest: KeyObject;
}

/** A file of a release with what the vendor says about it. */
export interface VendorTarget {
  readonly name: string;
  readonly length: number;
  /** In hexadecimal. */
  readonly sha256: string;
  readonly custom: ReleasePart;
}

/** A JSON value of the lists. Numbers are whole. */
type Json = string | number | boolean | readonly Json[] | { readonly [name: string]: Json };

/** The root: who may sign what from now on. Signed by the root keys at hand, at least two. */
export function rootMetadata(
  keys: VendorKeys,
  rootKeys: readonly KeyObject[],
  version: number,
  expiresMs: number,
): Buffer {
  const all = [...rootKeys, keys.targets, keys.newest].map(publicKeyOf);
  const role = (of: readonly KeyObject[], threshold = 1) => ({
    keyids: of.map((key) => publicKeyOf(key).id),
    threshold,
  });
  return signed(
    {
      _type: 'root',
      spec_version: SPEC_VERSION,
      version,
      expires: instant(expiresMs),
      consistent_snapshot: true,
      keys: Object.fromEntries(all.map(({ id, value }) => [id, value])),
      roles: {
        root: role(rootKeys, ROOT_THRESHOLD),
        targets: role([keys.targets]),
        snapshot: role([keys.newest]),
        timestamp: role([keys.newest]),
      },
    },
    keys.root,
  );
}

/**
 * The lists of one release by their names in its folder: `version` rises with every release, by
 * one.
 */
export function listMetadata(
  keys: Pick<VendorKeys, 'targets' | 'newest'>,
  targets: readonly VendorTarget[],
  version: number,
  expiresMs: number,
): ReadonlyMap<string, Buffer> {
  const common = { spec_version: SPEC_VERSION, version, expires: instant(expiresMs) };
  const named = targets.map(
    ({ name, length, sha256, custom }) =>
      [name, { length, hashes: { sha256 }, custom: custom as Json }] as const,
  );
  return new Map([
    [
      `metadata/${version}.targets.json`,
      signed({ _type: 'targets', ...common, targets: Object.fromEntries(named) }, [keys.targets]),
    ],
    [
      `metadata/${version}.snapshot.json`,
      signed({ _type: 'snapshot', ...common, meta: { 'targets.json': { version } } }, [
        keys.newest,
      ]),
    ],
    [
      'metadata/timestamp.json',
      signed({ _type: 'timestamp', ...common, meta: { 'snapshot.json': { version } } }, [
        keys.newest,
      ]),
    ],
  ]);
}

function signed(body: { readonly [name: string]: Json }, signers: readonly KeyObject[]): Buffer {
  const bytes = Buffer.from(canonicalJson(body));
  const signatures = signers.map((key) => ({
    keyid: publicKeyOf(key).id,
    sig: sign(null, bytes, key).toString('hex'),
  }));
  return Buffer.from(`${JSON.stringify({ signed: body, signatures })}\n`);
}

/** TUF names a key by the hash of what describes it. Takes private or public keys. */
function publicKeyOf(key: KeyObject): {
  readonly id: string;
  readonly value: { readonly [name: string]: Json };
} {
  const spki = (key.type === 'public' ? key : createPublicKey(key)).export({
    type: 'spki',
    format: 'der',
  });
  const value = {
    keytype: 'ed25519',
    scheme: 'ed25519',
    keyval: { public: spki.subarray(SPKI_HEAD_BYTES).toString('hex') },
  };
  return { id: createHash('sha256').update(canonicalJson(value)).digest('hex'), value };
}

/**
 * The one text of a value that is signed: names sorted, nothing between, only `"` and `\` escaped
 * (OLPC canonical JSON, which TUF uses).
 */
function canonicalJson(value: Json): string {
  if (typeof value === 'string')
    return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** To the second, as TUF writes times. */
function instant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
