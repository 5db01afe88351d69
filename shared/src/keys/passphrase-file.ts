/**
 * A secret under a passphrase, as armoured text: FORMAT.md, "KitFile". Recovery kits and operators'
 * key files are such files; each has its own armour and its own label, so that neither is ever
 * taken for the other.
 */
import { scrypt, scryptSync } from 'node:crypto';
import {
  decodeKitFile,
  encodeKitFile,
  FormatError,
  type KitFile,
  type VaultDescriptorBody,
} from '@aliquot/proto';
import { concat, lengthPrefixed, u32be, utf8, wipe } from '../crypto/bytes.ts';
import { aeadOpen, aeadSeal, CryptoError, labelled, ZERO_NONCE } from '../crypto/primitives.ts';
import type { Random } from '../ports.ts';
import { type ArmorType, armor, dearmor } from './armor.ts';

/** Cost of scrypt (RFC 7914): memory is 128 * r * 2^logN bytes. */
export interface KitCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/**
 * 128 MiB and about half a second: a guess costs an attacker the same, and such a file is opened a
 * few times a day.
 */
export const defaultKitCost: KitCost = { logN: 17, r: 8, p: 1 };

/** What can be wrong with such a file. */
export type PassphraseFault = 'absent' | 'foreign' | 'damaged' | 'newer' | 'passphrase';

/** A kind of file under a passphrase. */
export interface PassphraseFileKind {
  readonly armor: ArmorType;
  /** Of the associated data. */
  readonly label: string;
  /**
   * The error that says a fault in the words of this kind; `found` is what a foreign armour says,
   * or the vault's name.
   */
  fault(fault: PassphraseFault, found: string, cause?: unknown): Error;
}

const KEY_BYTES = 32;
const SALT_BYTES = 32;

/** Every clear field of the file, so that none can be changed under the seal. */
function associatedData(label: string, file: Omit<KitFile, 'sealed'>): Uint8Array {
  const cost = concat(u32be(file.scryptLogN), u32be(file.scryptR), u32be(file.scryptP));
  return concat(
    labelled(label),
    u32be(file.version),
    cost,
    lengthPrefixed(file.vaultId, utf8(file.vaultName), file.salt),
  );
}

/**
 * NFC, so that the same passphrase typed on another system's keyboard gives the same bytes (as RFC
 * 8265 asks).
 */
function passphraseBytes(passphrase: string): Uint8Array {
  return utf8(passphrase.normalize('NFC'));
}

function scryptOptions(cost: KitCost): { N: number; r: number; p: number; maxmem: number } {
  const N = 2 ** cost.logN;
  // Node refuses at exactly 128 * N * r, which is what scrypt needs without its small change.
  return {
    N,
    r: cost.r,
    p: cost.p,
    maxmem: 128 * N * cost.r + 128 * cost.r * cost.p + 1024 * 1024,
  };
}

/** What is sealed, under which passphrase, with which lines for people. */
export interface Sealing {
  readonly vault: Pick<VaultDescriptorBody, 'name' | 'vaultId'>;
  /** Wiped when it has been sealed. */
  readonly plaintext: Uint8Array;
  readonly passphrase: string;
  readonly headers: readonly string[];
  readonly random: Random;
  readonly cost: KitCost;
}

/**
 * The file as text: the plaintext under AES-256-GCM with a key that scrypt makes from the
 * passphrase and a fresh salt. The key meets one message only, because the salt is drawn again each
 * time. Blocks for about half a second.
 */
export function sealPassphraseFile(kind: PassphraseFileKind, sealing: Sealing): string {
  const { vault, plaintext, passphrase, headers, random, cost } = sealing;
  const header: Omit<KitFile, 'sealed'> = {
    version: 1,
    vaultName: vault.name,
    vaultId: vault.vaultId,
    scryptLogN: cost.logN,
    scryptR: cost.r,
    scryptP: cost.p,
    salt: random.bytes(SALT_BYTES),
  };
  const key = new Uint8Array(
    scryptSync(passphraseBytes(passphrase), header.salt, KEY_BYTES, scryptOptions(cost)),
  );
  const sealed = aeadSeal(key, ZERO_NONCE, plaintext, associatedData(kind.label, header));
  wipe(key, plaintext);
  return armor(kind.armor, headers, encodeKitFile({ ...header, sealed }));
}

/** The file behind its armour, not opened yet. Throws the kind's errors. */
export function readPassphraseFile(kind: PassphraseFileKind, text: string): KitFile {
  const read = dearmor(kind.armor, text);
  if (read.type === 'absent') throw kind.fault('absent', '');
  if (read.type === 'foreign') throw kind.fault('foreign', read.found);
  if (read.type === 'damaged') throw kind.fault('damaged', '');
  return decodedOf(kind, decodeKitFile, read.bytes);
}

/** What a door makes of bytes of such a file, its refusals in the words of the kind. */
export function decodedOf<Value>(
  kind: PassphraseFileKind,
  decode: (bytes: Uint8Array) => Value,
  bytes: Uint8Array,
): Value {
  try {
    return decode(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw kind.fault(cause.code === 'FORMAT_UNKNOWN_VERSION' ? 'newer' : 'damaged', '', cause);
  }
}

/**
 * The door has already limited what a hostile file can make this cost: 1 GiB of memory, 16 passes.
 */
function scryptKey(passphrase: string, file: KitFile): Promise<Uint8Array> {
  const cost: KitCost = { logN: file.scryptLogN, r: file.scryptR, p: file.scryptP };
  return new Promise((resolve, reject) => {
    scrypt(passphraseBytes(passphrase), file.salt, KEY_BYTES, scryptOptions(cost), (error, key) =>
      error === null ? resolve(new Uint8Array(key)) : reject(error),
    );
  });
}

/**
 * The plaintext. Takes the 128 MiB of memory and half a second that scrypt costs. Throws the kind's
 * errors.
 */
export async function openPassphraseFile(
  kind: PassphraseFileKind,
  file: KitFile,
  passphrase: string,
): Promise<Uint8Array> {
  const key = await scryptKey(passphrase, file);
  try {
    return aeadOpen(key, ZERO_NONCE, file.sealed, associatedData(kind.label, file));
  } catch (cause) {
    if (!(cause instanceof CryptoError)) throw cause;
    throw kind.fault('passphrase', file.vaultName, cause);
  } finally {
    wipe(key);
  }
}
