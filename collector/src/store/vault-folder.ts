import { join } from 'node:path';
import {
  type CollectorCertificateBody,
  decodeEventBody,
  decodeStoredEvent,
  type EventBody,
  encodeEventBody,
  FormatError,
  type Signed,
} from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { fromHex, hex, utf8 } from '@aliquot/shared/crypto/bytes';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { exists, readFileIfThere, writeFileDurably } from '@aliquot/shared/durable/durable';
import { FileError } from '@aliquot/shared/durable/errors';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import {
  CertificateError,
  verifyCollectorCertificate,
  verifyDescriptor,
} from '@aliquot/shared/keys/certificates';
import { RecordReader } from '@aliquot/shared/records/reader';
import type { NewVault } from './collector-store.ts';
import { StoreError } from './errors.ts';
import { historyFormat } from './history/history-format.ts';
import type { VaultIdentity } from './vault/vault-parts.ts';

/** Folders of a vault that are never made anew: on an empty one, all would be taken for lost. */
export const vaultParts = ['packs', 'history'] as const;

const SMALL_FILE_BYTES = 64 * 1024;
export const SECRET_MODE = 0o600;

/** A vault's small files as they were found. */
export interface FoundVault {
  readonly vault: VaultIdentity;
  /** What is wrong with them, and does not keep the vault from being served. */
  readonly faults: readonly VaultFault[];
}

/** A small file that is not as it should be. */
export interface VaultFault {
  readonly where: string;
  readonly why: string;
}

/** Folders below `vaults/`, also such that have lost their `vault.bin`. */
export async function vaultFolders(files: FilePort, dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of files.list(join(dir, 'vaults'))) {
    const text = name.toString();
    if (/^[0-9a-f]{32}$/.test(text) && (await holdsVault(files, join(dir, 'vaults', text))))
      names.push(text);
  }
  return names.sort();
}

/** Without `vault.bin`, and with nothing stored, an addition was cut short: it is done again. */
async function holdsVault(files: FilePort, dir: string): Promise<boolean> {
  if (await exists(files, join(dir, 'vault.bin'))) return true;
  for (const part of vaultParts) {
    if (!(await exists(files, join(dir, part)))) continue;
    for await (const _ of files.list(join(dir, part))) return true;
  }
  return false;
}

/**
 * The vault that a folder below `vaults/` holds. What `vault.bin` says stands in the first record
 * of the history, too. Without a catalog key that fits, only names stay closed. Errors:
 * `STORE_VAULT_LOST`, `STORE_VAULT_MISMATCH`, `CERT_…`.
 */
export async function readVault(
  files: FilePort,
  dir: string,
  identity: SigningKey,
): Promise<FoundVault> {
  const faults: VaultFault[] = [];
  const { added, fault } = await readAdded(files, dir, identity);
  if (fault !== undefined) faults.push(fault);
  const { descriptor, certificate } = judgeAdded(added, identity);
  const key = descriptor.blind ? undefined : await readKey(files, dir, descriptor.catalogKey);
  if (key !== undefined && 'why' in key) faults.push(key);
  return {
    vault: {
      descriptor,
      signedDescriptor: added.descriptor,
      certificate,
      signedCertificate: added.collectorCertificate,
      catalogSecretKey: key instanceof Uint8Array ? key : undefined,
      identity,
    },
    faults,
  };
}

type VaultAdded = Extract<EventBody, { type: 'vaultAdded' }>;

async function readAdded(
  files: FilePort,
  dir: string,
  identity: SigningKey,
): Promise<{ readonly added: VaultAdded; readonly fault?: VaultFault }> {
  const path = join(dir, 'vault.bin');
  const read = await readOwn(files, path, dir, identity);
  if (!('why' in read)) return { added: read };
  const added = await addedInHistory(files, dir, identity);
  const says = `${path} ${read.why}`;
  if (added === undefined)
    throw new StoreError(
      'STORE_VAULT_LOST',
      `${says}; hand the vault over again (aliquot vault add), or put the file back from a copy`,
    );
  return { added, fault: { where: path, why: `${says}; its history says it again` } };
}

async function readOwn(
  files: FilePort,
  path: string,
  dir: string,
  identity: SigningKey,
): Promise<VaultAdded | { readonly why: string }> {
  const bytes = await readSmallFile(files, path);
  if (bytes === undefined) return { why: 'is missing' };
  try {
    const event = decodeEventBody(bytes);
    if (event.type !== 'vaultAdded') return { why: 'describes no vault' };
    if (isOf(dir, event, identity)) return event;
    // One that is certified for another collector, in good order, is nobody's damage.
    judgeAdded(event, identity);
    return { why: 'describes another vault' };
  } catch (error) {
    if (!(error instanceof FormatError) && !(error instanceof CertificateError)) throw error;
    return { why: 'is damaged' };
  }
}

/** What the first record of the history says of the vault; `undefined` where it says nothing. */
async function addedInHistory(
  files: FilePort,
  dir: string,
  identity: SigningKey,
): Promise<VaultAdded | undefined> {
  const folder = { port: files, dir: join(dir, 'history'), format: historyFormat };
  if (!(await exists(files, folder.dir))) return undefined;
  const reader = await RecordReader.open(folder);
  try {
    for await (const item of reader.scanFile(1, { take: () => 'give' })) {
      if (item.type !== 'record' || item.payload === undefined) continue;
      if (item.header.kind !== 'event') return undefined;
      const event = decodeEventBody(decodeStoredEvent(item.payload).event);
      return event.type === 'vaultAdded' && isOf(dir, event, identity) ? event : undefined;
    }
  } catch (error) {
    // Of what keeps the history from being read is told when it is opened.
    if (!(error instanceof FormatError) && !(error instanceof StoreError)) throw error;
  } finally {
    await reader.close();
  }
  return undefined;
}

/** Whether it is the vault that this folder is named after, and certified for this collector. */
function isOf(dir: string, added: VaultAdded, identity: SigningKey): boolean {
  try {
    return dir.endsWith(hex(judgeAdded(added, identity).descriptor.vaultId));
  } catch (error) {
    if (!(error instanceof CertificateError) && !(error instanceof StoreError)) throw error;
    return false;
  }
}

async function readKey(
  files: FilePort,
  dir: string,
  catalogKey: Uint8Array,
): Promise<Uint8Array | VaultFault> {
  const where = join(dir, 'catalog.key');
  const text = (await readSmallFile(files, where))?.toString('utf8').trim();
  const key = text === undefined ? undefined : fromHex(text);
  if (key?.length === 32 && equalBytes(boxKeyFromSecret(key).publicKey, catalogKey)) return key;
  const what = text === undefined ? 'is missing' : 'is damaged';
  return { where, why: `${where} ${what}: names open with the kit alone until aliquot vault add` };
}

/** `undefined` where there is none; one that is far too large is as good as damaged. */
async function readSmallFile(files: FilePort, path: string): Promise<Buffer | undefined> {
  try {
    return await readFileIfThere(files, path, SMALL_FILE_BYTES);
  } catch (error) {
    if (error instanceof FileError && error.code === 'FILE_TOO_LARGE') return Buffer.alloc(0);
    throw error;
  }
}

function judgeAdded(
  {
    descriptor: signed,
    collectorCertificate,
  }: Pick<VaultAdded, 'descriptor' | 'collectorCertificate'>,
  identity: SigningKey,
) {
  const descriptor = verifyDescriptor(signed);
  const { authorityKey, vaultId, name } = descriptor;
  const certificate: CollectorCertificateBody = verifyCollectorCertificate(
    authorityKey,
    vaultId,
    collectorCertificate,
  );
  if (!equalBytes(certificate.signKey, identity.publicKey))
    throw mismatch(`the certificate of vault ${name} is for another collector`);
  return { descriptor, certificate };
}

/** A vault as an operator hands it over. Errors: `STORE_VAULT_MISMATCH`, `CERT_…`. */
export function judgeParts(
  { descriptor: signed, certificate: signedCertificate, catalogSecretKey }: NewVault,
  identity: SigningKey,
): VaultIdentity {
  const added = { descriptor: signed, collectorCertificate: signedCertificate };
  const { descriptor, certificate } = judgeAdded(added, identity);
  const { name, blind, catalogKey } = descriptor;
  if (blind && catalogSecretKey !== undefined)
    throw mismatch(`vault ${name} is blind: its catalog key must stay in the kit`);
  if (!blind) {
    if (catalogSecretKey?.length !== 32)
      throw mismatch(
        `the catalog key of vault ${name} is missing; aliquot vault add hands it over`,
      );
    if (!equalBytes(boxKeyFromSecret(catalogSecretKey).publicKey, catalogKey))
      throw mismatch(`the catalog key is not the one of vault ${name}`);
  }
  return {
    ...{ descriptor, signedDescriptor: signed, certificate, signedCertificate },
    ...{ catalogSecretKey, identity },
  };
}

/** Writes the catalog key of a vault, where it has one here. */
export async function writeKey(
  files: FilePort,
  dir: string,
  key: Uint8Array | undefined,
): Promise<void> {
  if (key === undefined) return;
  const text = utf8(`${hex(key)}\n`);
  await writeFileDurably(files, join(dir, 'catalog.key'), text, { mode: SECRET_MODE });
}

/** Writes what says which vault a folder holds: the last thing of an addition. */
export async function writeAdded(files: FilePort, dir: string, added: EventBody): Promise<void> {
  const bytes = encodeEventBody(added);
  await writeFileDurably(files, join(dir, 'vault.bin'), bytes, { mode: SECRET_MODE });
}

/** What the history and `vault.bin` say of a vault that is added. */
export function vaultAdded(
  descriptor: Signed,
  collectorCertificate: Signed,
  timeMs: number,
): EventBody {
  return { type: 'vaultAdded', timeMs, descriptor, collectorCertificate };
}

/** What was handed over does not fit this collector, or the vault that is here. */
export function mismatch(why: string): StoreError {
  return new StoreError('STORE_VAULT_MISMATCH', why);
}
