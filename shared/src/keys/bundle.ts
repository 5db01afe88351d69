import {
  AliquotError,
  type BundleContents,
  type CollectorCertificateBody,
  type DedupSecret,
  decodeBundleContents,
  type EnrolmentCertificateBody,
  type ErrorCodes,
  encodeBundleContents,
  FormatError,
  type GroupCertificateBody,
  type Settings,
  type Signed,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { equalBytes } from '../crypto/primitives.ts';
import { type SigningKey, signingKeyFromSeed } from '../crypto/sign.ts';
import { armor, dearmor, foreignFile } from './armor.ts';
import {
  CertificateError,
  verifyAddresses,
  verifyCollectorCertificate,
  verifyDescriptor,
  verifyEnrolment,
} from './certificates.ts';
import { verifyGroup } from './group.ts';
import { verifySettings } from './settings.ts';

const codes = {
  /** The file is not an enrolment bundle: another kind of file, or no armoured text at all. */
  BUNDLE_NOT_A_BUNDLE: 'final',
  /** The bundle is damaged or incomplete. */
  BUNDLE_CORRUPT: 'final',
  /** The bundle was made by a newer release. */
  BUNDLE_UNKNOWN_VERSION: 'final',
  /**
   * The certificates in it are not all of one vault and its authority, or its keys do not belong to
   * them.
   */
  BUNDLE_FOREIGN: 'final',
  /** By this machine's clock the bundle is past its term. */
  BUNDLE_EXPIRED: 'final',
} satisfies ErrorCodes;

export type BundleErrorCode = keyof typeof codes;

/** An enrolment bundle that cannot be used. */
export class BundleError extends AliquotError<BundleErrorCode> {
  static override readonly codes = codes;
}

/**
 * A bundle whose certificates are verified against its vault's authority. Every secret in it stays
 * one after expiry.
 */
interface OpenParts {
  /** The collector's base address, as `aliquot serve` printed it. */
  readonly url: string;
  readonly tlsCa: string;
  readonly tlsPins: readonly Uint8Array[];
  /** What the collector's signed addresses were when the bundle was made. */
  readonly signedAddresses: Signed | undefined;
  /** What the PC does at first, verified to be of its vault; still to be judged by it. */
  readonly settings: Settings | undefined;
  readonly descriptor: VaultDescriptorBody;
  readonly signedDescriptor: Signed;
  readonly collector: CollectorCertificateBody;
  readonly signedCollector: Signed;
  /** The enrolment certificate, or that of the group. */
  readonly signedEnrolment: Signed;
  /** The key that signs an agent's binding: good once, or of the group. */
  readonly enrolmentKey: SigningKey;
  readonly dedupSecrets: readonly DedupSecret[];
}

/** The bundle of one PC. */
export interface OpenBundle extends OpenParts {
  readonly enrolment: EnrolmentCertificateBody;
  readonly pathKey: Uint8Array;
  readonly group: undefined;
}

/** The bundle of all PCs of a group. */
export interface OpenGroupBundle extends OpenParts {
  readonly group: GroupCertificateBody;
  /** Each PC makes its path key of it. */
  readonly groupSecret: Uint8Array;
}

export type AnyBundle = OpenBundle | OpenGroupBundle;

const ARMOR = 'ALIQUOT ENROLMENT BUNDLE';

/**
 * The bundle file as armoured text. It is not encrypted: it must reach its PC by a way that nobody
 * else reads.
 */
export function sealBundle(contents: BundleContents): string {
  const open = verifiedParts(contents);
  const { group } = open;
  const headers = [
    group === undefined
      ? `Agent: ${open.enrolment.name}`
      : `Group: ${group.name}, for ${group.uses} PCs`,
    `Vault: ${open.descriptor.name}`,
    `Expires: ${new Date(termOf(open)).toISOString()}`,
    'This file is a secret, and stays one after it has expired: it holds keys of the vault.',
    group === undefined
      ? 'Carry it to its PC by a way that nobody else reads, and erase it there after enrolment.'
      : 'Bring it to its PCs by a way that nobody else reads, and erase it there after enrolment.',
  ];
  return armor(ARMOR, headers, encodeBundleContents(contents));
}

/**
 * Reads a bundle and verifies everything in it: the descriptor proves itself, its authority signed
 * collector and enrolment, and the enrolment key is the certified one. With `nowMs`, an expired
 * bundle throws BUNDLE_EXPIRED; leave it out only to repeat an enrolment that was begun in time
 * (the collector has the last word either way).
 */
export function openAnyBundle(text: string, nowMs?: number): AnyBundle {
  const read = dearmor(ARMOR, text);
  if (read.type === 'absent') {
    throw new BundleError(
      'BUNDLE_NOT_A_BUNDLE',
      'no enrolment bundle in this file; a bundle begins with the line BEGIN ALIQUOT ENROLMENT BUNDLE',
    );
  }
  if (read.type === 'foreign')
    throw new BundleError('BUNDLE_NOT_A_BUNDLE', foreignFile(read.found, 'an enrolment bundle'));
  if (read.type === 'damaged') {
    throw new BundleError(
      'BUNDLE_CORRUPT',
      'the enrolment bundle is damaged or incomplete; copy it again, or ask for a new one',
    );
  }
  const open = verifiedParts(decoded(read.bytes));
  if (nowMs !== undefined && nowMs >= termOf(open)) {
    const expiry = new Date(termOf(open)).toISOString();
    throw new BundleError(
      'BUNDLE_EXPIRED',
      `the bundle for ${subjectOf(open)} expired at ${expiry}; check this PC's clock, or ask for a new bundle`,
    );
  }
  return open;
}

/** `openAnyBundle` for one that must be of one PC. Test only: agents take either. */
export function openBundle(text: string, nowMs?: number): OpenBundle {
  const open = openAnyBundle(text, nowMs);
  if (open.group !== undefined) throw foreign('it is one of a group');
  return open;
}

/** Whom a bundle is for, in messages. */
function subjectOf(bundle: AnyBundle): string {
  return bundle.group === undefined ? bundle.enrolment.name : `group ${bundle.group.name}`;
}

function termOf(bundle: AnyBundle): number {
  return (bundle.group ?? bundle.enrolment).expiresAtMs;
}

function decoded(bytes: Uint8Array): BundleContents {
  try {
    return decodeBundleContents(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    if (cause.code === 'FORMAT_UNKNOWN_VERSION') {
      throw new BundleError(
        'BUNDLE_UNKNOWN_VERSION',
        'the bundle was made by a newer release of Aliquot; update this one',
        { cause },
      );
    }
    throw new BundleError(
      'BUNDLE_CORRUPT',
      'the enrolment bundle is damaged; copy it again, or ask for a new one',
      { cause },
    );
  }
}

function verifiedParts(contents: BundleContents): AnyBundle {
  try {
    const descriptor = verifyDescriptor(contents.descriptor);
    const { authorityKey, vaultId } = descriptor;
    const collector = verifyCollectorCertificate(
      authorityKey,
      vaultId,
      contents.collectorCertificate,
    );
    if (contents.addresses !== undefined)
      verifyAddresses(authorityKey, vaultId, contents.addresses);
    // Whether their term, or that of who signed, is over is judged by the PC when it takes them.
    if (contents.settings !== undefined) verifySettings(descriptor, contents.settings, 0);
    const enrolmentKey = signingKeyFromSeed(contents.enrolmentSeed);
    const parts: OpenParts = {
      url: contents.url,
      tlsCa: contents.tlsCa,
      tlsPins: contents.tlsPins,
      signedAddresses: contents.addresses,
      settings: contents.settings,
      descriptor,
      signedDescriptor: contents.descriptor,
      collector,
      signedCollector: contents.collectorCertificate,
      signedEnrolment: contents.enrolment,
      enrolmentKey,
      dedupSecrets: contents.dedupSecrets,
    };
    const { groupSecret, pathKey } = contents;
    if (groupSecret !== undefined) {
      const group = verifyGroup(authorityKey, vaultId, contents.enrolment);
      requireKeys(parts, group.groupKey, group.dedupEpoch);
      return { ...parts, group, groupSecret };
    }
    if (pathKey === undefined) throw foreign('its path key is missing');
    const enrolment = verifyEnrolment(authorityKey, vaultId, contents.enrolment);
    requireKeys(parts, enrolment.enrolmentKey, enrolment.dedupEpoch);
    return { ...parts, enrolment, pathKey, group: undefined };
  } catch (cause) {
    if (cause instanceof CertificateError) throw foreign(cause.message, cause);
    throw cause;
  }
}

function requireKeys(
  { enrolmentKey, dedupSecrets }: OpenParts,
  certified: Uint8Array,
  dedupEpoch: number,
): void {
  if (!equalBytes(enrolmentKey.publicKey, certified))
    throw foreign('its enrolment key is not the certified one');
  const epochs = dedupSecrets.map((secret) => secret.epoch);
  // Epoch 1 always: the gear table is of the first epoch, whichever epoch the agent seals in.
  if (!epochs.includes(1) || !epochs.includes(dedupEpoch))
    throw foreign('a dedup secret is missing');
}

function foreign(why: string, cause?: unknown): BundleError {
  return new BundleError(
    'BUNDLE_FOREIGN',
    `the enrolment bundle does not belong to one vault: ${why}; ask for a new one`,
    { cause },
  );
}
