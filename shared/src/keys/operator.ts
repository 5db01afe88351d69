import {
  AliquotError,
  decodeOperatorContents,
  type ErrorCodes,
  encodeOperatorContents,
  type KitFile,
  type OperatorCertificateBody,
  type OperatorContents,
  type OperatorPurpose,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { type BoxKey, boxKeyFromSecret, newBoxKey } from '../crypto/box.ts';
import { equalBytes } from '../crypto/primitives.ts';
import { newSigningKey, type SigningKey, signingKeyFromSeed } from '../crypto/sign.ts';
import type { Random } from '../ports.ts';
import { foreignFile } from './armor.ts';
import { CertificateError, verifyDescriptor } from './certificates.ts';
import { policyKeyFor } from './derive.ts';
import type { OpenKit } from './kit.ts';
import { issueOperator, operatorOf } from './operator-certificate.ts';
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
  /** The file is not an operator's key file: another kind of file, or no armoured text at all. */
  OPERATOR_NOT_A_KEY: 'final',
  /** The key file is damaged or incomplete, or its keys do not belong together. */
  OPERATOR_CORRUPT: 'final',
  /** The key file was made by a newer release. */
  OPERATOR_UNKNOWN_VERSION: 'final',
  /** The passphrase is not the key file's. */
  OPERATOR_WRONG_PASSPHRASE: 'final',
  /** By this machine's clock the key is past its term. */
  OPERATOR_EXPIRED: 'final',
  /** The key was certified for other purposes than the one that it is used for. */
  OPERATOR_PURPOSE: 'final',
} satisfies ErrorCodes;

export type OperatorErrorCode = keyof typeof codes;

/** An operator key that cannot be used. */
export class OperatorError extends AliquotError<OperatorErrorCode> {
  static override readonly codes = codes;
}

/** What an operator's key is to be good for. */
export interface OperatorTerms {
  readonly name: string;
  readonly purposes: readonly OperatorPurpose[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Makes the keys of one operator, certified by the kit's authority. They exist in the result only.
 */
export function newOperator(kit: OpenKit, terms: OperatorTerms, random: Random): OperatorContents {
  const signKey = newSigningKey(random);
  const boxKey = newBoxKey(random);
  const { vaultId } = kit.descriptor;
  const body = {
    version: 1,
    vaultId,
    ...terms,
    signKey: signKey.publicKey,
    boxKey: boxKey.publicKey,
  } as const;
  return {
    version: 1,
    descriptor: kit.signedDescriptor,
    certificate: issueOperator(kit.authority, body),
    signSeed: signKey.seed,
    boxSecretKey: boxKey.secretKey,
    policySecretKey: terms.purposes.includes('settings')
      ? policyKeyFor(kit.pathSecret, vaultId).secretKey
      : undefined,
  };
}

const operatorFileKind: PassphraseFileKind = {
  armor: 'ALIQUOT OPERATOR KEY',
  label: 'aliquot/v1/operator-key',
  fault(fault, found, cause) {
    switch (fault) {
      case 'absent':
        return new OperatorError(
          'OPERATOR_NOT_A_KEY',
          'no operator key in this file; one begins with the line BEGIN ALIQUOT OPERATOR KEY',
        );
      case 'foreign':
        return new OperatorError('OPERATOR_NOT_A_KEY', foreignFile(found, 'an operator key'));
      case 'damaged':
        return corrupt('it is damaged or incomplete', cause);
      case 'newer':
        return new OperatorError(
          'OPERATOR_UNKNOWN_VERSION',
          'the operator key was made by a newer release of Aliquot; update this one',
          {
            cause,
          },
        );
      case 'passphrase': {
        const remedy =
          'check it (the keyboard layout; ALIQUOT_PASSPHRASE, where that is set) and try again';
        return new OperatorError(
          'OPERATOR_WRONG_PASSPHRASE',
          `the passphrase does not open this operator key of vault ${found}; ${remedy}`,
          {
            cause,
          },
        );
      }
    }
  },
};

function corrupt(why: string, cause?: unknown): OperatorError {
  const way = 'use another copy, or have a new one made with `aliquot operator add`';
  return new OperatorError('OPERATOR_CORRUPT', `the operator key cannot be used: ${why}; ${way}`, {
    cause,
  });
}

/** The key file as armoured text, under a passphrase of its owner. */
export function sealOperator(
  contents: OperatorContents,
  passphrase: string,
  random: Random,
  cost: KitCost = defaultKitCost,
): string {
  const descriptor = verifyDescriptor(contents.descriptor);
  const { name, purposes, expiresAtMs } = operatorOf(
    descriptor.authorityKey,
    descriptor.vaultId,
    contents.certificate,
  );
  const headers = [
    `Operator: ${name}`,
    `Vault: ${descriptor.name}`,
    `For: ${purposes.join(', ')}`,
    `Expires: ${new Date(expiresAtMs).toISOString()}`,
    'Whoever has this text and its passphrase acts in the name of this operator until then.',
  ];
  return sealPassphraseFile(operatorFileKind, {
    vault: descriptor,
    plaintext: encodeOperatorContents(contents),
    passphrase,
    headers,
    random,
    cost,
  });
}

/** Which vault a key file is of, without its passphrase. Not proved before it is opened. */
export function inspectOperator(text: string): Pick<KitFile, 'vaultName' | 'vaultId'> {
  const { vaultName, vaultId } = readPassphraseFile(operatorFileKind, text);
  return { vaultName, vaultId };
}

/**
 * An opened key file: who its owner is to the vault, and the keys. All are proved to belong
 * together.
 */
export interface OpenOperator {
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly certificate: OperatorCertificateBody;
  readonly signedCertificate: Signed;
  readonly signKey: SigningKey;
  readonly boxKey: BoxKey;
  /** Opens the policy; there exactly with the purpose `settings`. */
  readonly policyKey: BoxKey | undefined;
}

/**
 * Opens a key file, for one purpose unless it is only to be looked at. Errors: `OPERATOR_…`, in the
 * words of the person at the keyboard.
 */
export async function openOperator(
  text: string,
  passphrase: string,
  purpose: OperatorPurpose | undefined,
  nowMs: number,
): Promise<OpenOperator> {
  const file = readPassphraseFile(operatorFileKind, text);
  const open = proved(
    file,
    decodedOf(
      operatorFileKind,
      decodeOperatorContents,
      await openPassphraseFile(operatorFileKind, file, passphrase),
    ),
  );
  const { name, purposes, expiresAtMs } = open.certificate;
  const way = 'have a new one made with `aliquot operator add`';
  if (purpose !== undefined && !purposes.includes(purpose)) {
    throw new OperatorError(
      'OPERATOR_PURPOSE',
      `the key of ${name} is for ${purposes.join(', ')}, not for ${purpose}; ${way}`,
    );
  }
  if (nowMs >= expiresAtMs) {
    const expired = new Date(expiresAtMs).toISOString();
    throw new OperatorError(
      'OPERATOR_EXPIRED',
      `the key of ${name} expired at ${expired}; check this computer's clock, or ${way}`,
    );
  }
  return open;
}

function proved(file: KitFile, contents: OperatorContents): OpenOperator {
  try {
    const descriptor = verifyDescriptor(contents.descriptor);
    const certificate = operatorOf(
      descriptor.authorityKey,
      descriptor.vaultId,
      contents.certificate,
    );
    const signKey = signingKeyFromSeed(contents.signSeed);
    const boxKey = boxKeyFromSecret(contents.boxSecretKey);
    if (!equalBytes(file.vaultId, descriptor.vaultId))
      throw corrupt('it names another vault than it belongs to');
    if (
      !equalBytes(signKey.publicKey, certificate.signKey) ||
      !equalBytes(boxKey.publicKey, certificate.boxKey)
    )
      throw corrupt('its keys are not the certified ones');
    if ((contents.policySecretKey === undefined) === certificate.purposes.includes('settings'))
      throw corrupt('it does not hold the keys that its purposes need');
    return {
      descriptor,
      signedDescriptor: contents.descriptor,
      certificate,
      signedCertificate: contents.certificate,
      signKey,
      boxKey,
      policyKey: contents.policySecretKey && boxKeyFromSecret(contents.policySecretKey),
    };
  } catch (cause) {
    if (cause instanceof CertificateError) throw corrupt(cause.message, cause);
    throw cause;
  }
}
