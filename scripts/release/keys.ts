import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VendorKeys } from '@aliquot/shared/release/repository';

const rootNames = ['root-1', 'root-2', 'root-3'] as const;
const names = [...rootNames, 'targets', 'newest'] as const;
type Name = (typeof names)[number];

/**
 * Makes the vendor's five keys (PEM, Ed25519), private ones under the passphrase when there is one.
 * Refuses a folder that has any of them. The three root keys belong apart from each other and
 * offline; a release needs `targets` and `newest` only.
 */
export function makeKeys(dir: string, passphrase: string | undefined): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const there = names.find((name) => existsSync(join(dir, `${name}.pem`)));
  if (there !== undefined)
    throw new Error(`${join(dir, there)}.pem is there already: keys are never overwritten`);
  for (const name of names) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const sealed = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
    writeFileSync(
      join(dir, `${name}.pem`),
      privateKey.export({ type: 'pkcs8', format: 'pem', ...sealed }),
      { mode: 0o600 },
    );
    writeFileSync(join(dir, `${name}.pub`), publicKey.export({ type: 'spki', format: 'pem' }));
  }
}

/** The keys that sign every release. Throws with what is missing. */
export function releaseKeys(
  dir: string,
  passphrase: string | undefined,
): Pick<VendorKeys, 'targets' | 'newest'> {
  return {
    targets: privateKey(dir, 'targets', passphrase),
    newest: privateKey(dir, 'newest', passphrase),
  };
}

/**
 * The keys that sign a root: those of the three that are at hand, at least two; and the public
 * halves of all three.
 */
export function rootKeys(
  dir: string,
  passphrase: string | undefined,
): { readonly keys: VendorKeys; readonly all: readonly KeyObject[] } {
  const root = rootNames
    .filter((name) => existsSync(join(dir, `${name}.pem`)))
    .map((name) => privateKey(dir, name, passphrase));
  if (root.length < 2)
    throw new Error(
      `${dir} has ${root.length} of root-1.pem, root-2.pem, root-3.pem; a root is signed by two of them`,
    );
  const all = rootNames.map((name) => createPublicKey(readFileSync(join(dir, `${name}.pub`))));
  return { keys: { root, ...releaseKeys(dir, passphrase) }, all };
}

function privateKey(dir: string, name: Name, passphrase: string | undefined): KeyObject {
  const path = join(dir, `${name}.pem`);
  if (!existsSync(path))
    throw new Error(`${path} is not there; make the keys with --make-keys, or bring them`);
  const key = readFileSync(path);
  try {
    return createPrivateKey(passphrase === undefined ? key : { key, passphrase });
  } catch (cause) {
    throw new Error(`${path} does not open; is ALIQUOT_RELEASE_PASSPHRASE right?`, { cause });
  }
}
