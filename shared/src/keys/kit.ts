import {
  AliquotError,
  type DedupSecret,
  decodeKitContents,
  type ErrorCodes,
  encodeKitContents,
  type KitContents,
  type KitFile,
  type Signed,
  type VaultDescriptorBody,
  type VaultParameters,
} from '@aliquot/proto';
import { type BoxKey, boxKeyFromSecret, newBoxKey } from '../crypto/box.ts';
import { utf8 } from '../crypto/bytes.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { newSigningKey, type SigningKey, signingKeyFromSeed } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { foreignFile } from './armor.ts';
import { CertificateError, issueDescriptor, vaultIdOf, verifyDescriptor } from './certificates.ts';
import {
  decodedOf,
  defaultKitCost,
  type KitCost,
  openPassphraseFile,
  type PassphraseFileKind,
  readPassphraseFile,
  sealPassphraseFile,
} from './passphrase-file.ts';

const codes = {
  /** The file is not a recovery kit: another kind of file, or no armoured text at all. */
  KIT_NOT_A_KIT: 'final',
  /** The kit is damaged or incomplete. */
  KIT_CORRUPT: 'final',
  /** The kit was made by a newer release. */
  KIT_UNKNOWN_VERSION: 'final',
  /** The passphrase is not the kit's (or somebody altered the kit on purpose). */
  KIT_WRONG_PASSPHRASE: 'final',
  /** A kit is not sealed under an empty passphrase. */
  KIT_EMPTY_PASSPHRASE: 'final',
  /** The kit opens, but its keys do not belong together: not made by Aliquot. */
  KIT_INCONSISTENT: 'final',
} satisfies ErrorCodes;

export type KitErrorCode = keyof typeof codes;

/** A recovery kit that cannot be made or opened. */
export class KitError extends AliquotError<KitErrorCode> {
  static override readonly codes = codes;
}

/**
 * An opened kit: everything that a vault's operator can do follows from it. All keys are proved to
 * belong together.
 */
export interface OpenKit {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly authority: SigningKey;
  /** Opens content. */
  readonly vaultKey: BoxKey;
  /** Opens names and times. */
  readonly catalogKey: BoxKey;
  readonly dedupSecrets: readonly DedupSecret[];
  readonly pathSecret: Uint8Array;
  /** The same again in the form that `sealKit` takes: for a new passphrase. */
  readonly contents: KitContents;
}

/**
 * The parameters that a vault starts with. Sizes by measurement on 92 MB of instrument files:
 * against 256 KiB / 1 MiB / 4 MiB they store the same (0.430 of raw, 0.428 there) and send 0.050
 * instead of 0.088 of a document's later states. Test only: `createKit` takes them by itself.
 */
export const defaultVaultParameters: VaultParameters = {
  chunkerVersion: 1,
  minChunkBytes: 64 * 1024,
  averageChunkBytes: 256 * 1024,
  maxChunkBytes: 1024 * 1024,
  encoderVersion: 1,
};

const ARMOR = 'ALIQUOT RECOVERY KIT';
const SECRET_BYTES = 32;

/**
 * Makes all keys of a new vault, on this machine, from `random`. `name` is 1 to 128 printable
 * characters.
 */
export function createKit(
  vault: {
    readonly name: string;
    readonly blind: boolean;
    readonly nowMs: number;
    readonly parameters?: VaultParameters;
  },
  random: Random,
): KitContents {
  const authority = newSigningKey(random);
  const vaultKey = newBoxKey(random);
  const catalogKey = newBoxKey(random);
  const descriptor = issueDescriptor(authority, {
    version: 1,
    vaultId: vaultIdOf(authority.publicKey),
    name: vault.name,
    authorityKey: authority.publicKey,
    vaultKey: vaultKey.publicKey,
    catalogKey: catalogKey.publicKey,
    blind: vault.blind,
    parameters: vault.parameters ?? defaultVaultParameters,
    createdAtMs: vault.nowMs,
  });
  return {
    version: 1,
    descriptor,
    authoritySeed: authority.seed,
    vaultSecretKey: vaultKey.secretKey,
    catalogSecretKey: catalogKey.secretKey,
    dedupSecrets: [{ epoch: 1, secret: random.bytes(SECRET_BYTES) }],
    pathSecret: random.bytes(SECRET_BYTES),
  };
}

const kitFileKind: PassphraseFileKind = {
  armor: ARMOR,
  label: 'aliquot/v1/kit',
  fault(fault, found, cause) {
    switch (fault) {
      case 'absent':
        return new KitError(
          'KIT_NOT_A_KIT',
          'no recovery kit in this file; a kit begins with the line BEGIN ALIQUOT RECOVERY KIT',
        );
      case 'foreign':
        return new KitError('KIT_NOT_A_KIT', foreignFile(found, 'a recovery kit'));
      case 'damaged':
        return new KitError(
          'KIT_CORRUPT',
          'the recovery kit is damaged or incomplete; use another copy of it',
          { cause },
        );
      case 'newer':
        return new KitError(
          'KIT_UNKNOWN_VERSION',
          'the recovery kit was made by a newer release of Aliquot; open it with that release',
          {
            cause,
          },
        );
      case 'passphrase': {
        const remedy =
          'check it (the keyboard layout; ALIQUOT_PASSPHRASE, where that is set) and try again';
        return new KitError(
          'KIT_WRONG_PASSPHRASE',
          `the passphrase does not open the recovery kit of vault ${found}; ${remedy}`,
          {
            cause,
          },
        );
      }
    }
  },
};

/** The kit file as armoured text, under a passphrase (`sealPassphraseFile`). */
export function sealKit(
  contents: KitContents,
  passphrase: string,
  random: Random,
  cost: KitCost = defaultKitCost,
): string {
  if (passphrase === '')
    throw new KitError(
      'KIT_EMPTY_PASSPHRASE',
      'a recovery kit needs a passphrase that is not empty',
    );
  const descriptor = verifyDescriptor(contents.descriptor);
  const headers = [
    `Vault: ${descriptor.name}`,
    `Created: ${new Date(descriptor.createdAtMs).toISOString()}`,
    'Whoever has this text and its passphrase can read and administer the whole vault.',
    'Keep two printed copies in two places, and the passphrase in neither of them.',
  ];
  return sealPassphraseFile(kitFileKind, {
    vault: descriptor,
    plaintext: encodeKitContents(contents),
    passphrase,
    headers,
    random,
    cost,
  });
}

/** Which vault a kit belongs to, without the passphrase. Not proved before the kit is opened. */
export function inspectKit(text: string): Pick<KitFile, 'vaultName' | 'vaultId'> {
  const { vaultName, vaultId } = readPassphraseFile(kitFileKind, text);
  return { vaultName, vaultId };
}

/**
 * Opens a kit, and proves that every key in it belongs to the vault that it names. Throws KitError;
 * damage is told apart from a wrong passphrase by the armour's checksum. Takes the 128 MiB of
 * memory and half a second that scrypt costs.
 */
export async function openKit(text: string, passphrase: string): Promise<OpenKit> {
  const file = readPassphraseFile(kitFileKind, text);
  return proved(
    file,
    decodedOf(
      kitFileKind,
      decodeKitContents,
      await openPassphraseFile(kitFileKind, file, passphrase),
    ),
  );
}

function proved(file: KitFile, contents: KitContents): OpenKit {
  const descriptor = descriptorOf(contents);
  const authority = signingKeyFromSeed(contents.authoritySeed);
  const vaultKey = boxKeyFromSecret(contents.vaultSecretKey);
  const catalogKey = boxKeyFromSecret(contents.catalogSecretKey);
  const pairs: readonly [string, Uint8Array, Uint8Array][] = [
    ['vault id', file.vaultId, descriptor.vaultId],
    ['vault name', utf8(file.vaultName), utf8(descriptor.name)],
    ['authority key', authority.publicKey, descriptor.authorityKey],
    ['vault key', vaultKey.publicKey, descriptor.vaultKey],
    ['catalog key', catalogKey.publicKey, descriptor.catalogKey],
  ];
  for (const [what, found, expected] of pairs) {
    if (!equalBytes(found, expected)) throw inconsistent(`its ${what} is not the one of its vault`);
  }
  if (!contents.dedupSecrets.some((secret) => secret.epoch === 1))
    throw inconsistent('the first dedup secret is missing');
  return {
    descriptor,
    signedDescriptor: contents.descriptor,
    authority,
    vaultKey,
    catalogKey,
    dedupSecrets: contents.dedupSecrets,
    pathSecret: contents.pathSecret,
    contents,
  };
}

function descriptorOf(contents: KitContents): VaultDescriptorBody {
  try {
    return verifyDescriptor(contents.descriptor);
  } catch (cause) {
    if (cause instanceof CertificateError) throw inconsistent(cause.message, cause);
    throw cause;
  }
}

function inconsistent(why: string, cause?: unknown): KitError {
  return new KitError(
    'KIT_INCONSISTENT',
    `the recovery kit does not fit together: ${why}; use another copy of it`,
    { cause },
  );
}
