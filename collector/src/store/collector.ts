import { join } from 'node:path';
import {
  decodeEventBody,
  type EventBody,
  encodeEventBody,
  FormatError,
  type Signed,
  type VaultId,
} from '@aliquot/proto';
import { boxKeyFromSecret } from '@aliquot/shared/crypto/box';
import { fromHex, hex, utf8 } from '@aliquot/shared/crypto/bytes';
import { equalBytes, sha256 } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey, signingKeyFromSeed } from '@aliquot/shared/crypto/sign';
import {
  ensureDirectory,
  exists,
  readFileIfThere,
  readWholeFile,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import {
  createDataFolder,
  type DataFolder,
  openDataFolder,
} from '@aliquot/shared/folder/data-folder';
import { jsonOf } from '@aliquot/shared/json';
import {
  collectorIdOf,
  verifyCollectorCertificate,
  verifyDescriptor,
} from '@aliquot/shared/keys/certificates';
import { z } from 'zod';
import { ReleaseShelf } from '../releases/shelf.ts';
import type { CollectorStore, NewVault } from './collector-store.ts';
import { StoreError } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import type { FolderPorts, VaultIdentity } from './vault/vault-parts.ts';
import type { VaultStore } from './vault-store.ts';

/** What the store needs from outside; `packBytes` is for tests. */
export type CollectorPorts = FolderPorts;

const SECRET_MODE = 0o600;
const SMALL_FILE_BYTES = 64 * 1024;
const TOKEN_BYTES = 32;
/** Folders of a vault that are never made anew: on an empty one, all would be taken for lost. */
const folders = ['packs', 'history'] as const;

const collectorFile = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1).max(128),
  collectorId: z.string().regex(/^[0-9a-f]{32}$/),
  signKey: z.string().regex(/^[0-9a-f]{64}$/),
});

/**
 * Makes a collector in a new or empty folder: identity, operator's token, no vaults. Errors:
 * `FOLDER_NOT_EMPTY`, `FOLDER_IN_USE`, `FILE_…`. A run that was cut short leaves a folder that only
 * removing helps; nothing is in it yet.
 */
export async function initCollector(
  dir: string,
  options: { readonly name: string },
  ports: CollectorPorts,
): Promise<CollectorStore> {
  const { files, random } = ports;
  const folder = await createDataFolder(files, dir, 'aliquot-collector');
  try {
    const identity = newSigningKey(random);
    const collectorId = collectorIdOf(identity.publicKey);
    const about = {
      version: 1 as const,
      name: options.name,
      collectorId: hex(collectorId),
      signKey: hex(identity.publicKey),
    };
    await writeSecret(files, join(dir, 'identity.key'), `${hex(identity.seed)}\n`);
    await newToken(dir, ports);
    await ensureDirectory(files, join(dir, 'vaults'));
    const text = `${JSON.stringify(collectorFile.parse(about), undefined, 2)}\n`;
    await writeFileDurably(files, join(dir, 'collector.json'), utf8(text), { mode: 0o644 });
    return await openLocked(folder, ports);
  } catch (error) {
    await folder.release();
    throw error;
  }
}

/**
 * Opens a collector's folder and all its vaults. Errors: `FOLDER_MISSING`, `FOLDER_KIND`,
 * `FOLDER_VERSION`, `FOLDER_IN_USE`, `STORE_FOLDER`, `STORE_CORRUPT`.
 */
export async function openCollector(dir: string, ports: CollectorPorts): Promise<CollectorStore> {
  const folder = await openDataFolder(ports.files, dir, 'aliquot-collector');
  try {
    return await openLocked(folder, ports);
  } catch (error) {
    await folder.release();
    throw error;
  }
}

/** Who a collector is, without opening its store. Error: `STORE_FOLDER`. */
export async function readIdentity(
  files: FilePort,
  dir: string,
): Promise<{ name: string; identity: SigningKey }> {
  const aboutPath = join(dir, 'collector.json');
  const about = collectorFile.safeParse(jsonOf(await readSmall(files, aboutPath)));
  if (!about.success)
    throw new StoreError('STORE_FOLDER', `${aboutPath} is damaged; put it back from a copy`);
  const keyPath = join(dir, 'identity.key');
  const seed = fromHex((await readSmall(files, keyPath)).toString('utf8').trim());
  const identity = seed?.length === 32 ? signingKeyFromSeed(seed) : undefined;
  if (identity === undefined || hex(identity.publicKey) !== about.data.signKey) {
    const remedy =
      'put it back from a copy, or make a new collector and certify it as the successor';
    throw new StoreError(
      'STORE_FOLDER',
      `${keyPath} is not the key of collector ${about.data.name}; ${remedy}`,
    );
  }
  return { name: about.data.name, identity };
}

async function openLocked(folder: DataFolder, ports: CollectorPorts): Promise<CollectorStore> {
  const { dir } = folder;
  const { name, identity } = await readIdentity(ports.files, dir);
  const tokenPath = join(dir, 'admin.token');
  // A token that was removed is replaced: that is how an operator changes it.
  const token = await readFileIfThere(ports.files, tokenPath, SMALL_FILE_BYTES);
  const tokenText = token?.toString('utf8').trim() ?? (await newToken(dir, ports));
  if (tokenText.length < 20)
    throw new StoreError(
      'STORE_FOLDER',
      `${tokenPath} holds no token; remove it, and the next start makes a new one`,
    );
  const store = new FolderStore(folder, name, identity, sha256(utf8(tokenText)), ports);
  try {
    for (const id of await vaultFolders(ports.files, dir)) await store.open(id);
    return store;
  } catch (error) {
    await store.closeVaults();
    throw error;
  }
}

class FolderStore implements CollectorStore {
  readonly dir: string;
  readonly name: string;
  readonly identity: SigningKey;
  readonly collectorId: CollectorStore['collectorId'];
  readonly adminTokenHash: Uint8Array;
  readonly releases: ReleaseShelf;
  readonly #folder: DataFolder;
  readonly #ports: CollectorPorts;
  readonly #vaults = new Map<string, StoredVault>();
  /** Vaults are added one after the other: two requests for the same one must not race. */
  #adding: Promise<unknown> = Promise.resolve();

  constructor(
    folder: DataFolder,
    name: string,
    identity: SigningKey,
    adminTokenHash: Uint8Array,
    ports: CollectorPorts,
  ) {
    this.#folder = folder;
    this.#ports = ports;
    this.dir = folder.dir;
    this.name = name;
    this.identity = identity;
    this.collectorId = collectorIdOf(identity.publicKey);
    this.adminTokenHash = adminTokenHash;
    this.releases = new ReleaseShelf(ports.files, folder.dir);
  }

  vault(id: VaultId): VaultStore | undefined {
    return this.#vaults.get(hex(id));
  }

  vaults(): VaultStore[] {
    return [...this.#vaults.values()];
  }

  addVault(parts: NewVault): Promise<VaultStore> {
    const added = this.#adding.then(() => this.#add(parts));
    this.#adding = added.catch(() => undefined);
    return added;
  }

  async open(idHex: string): Promise<StoredVault> {
    const dir = join(this.dir, 'vaults', idHex);
    for (const part of folders) {
      if (await exists(this.#ports.files, join(dir, part))) continue;
      const says = `${join(dir, part)} is missing; is its disk there? Else put it back from a copy`;
      throw new StoreError('STORE_FOLDER', says);
    }
    const vault = await StoredVault.inFolder(
      dir,
      await readVault(this.#ports.files, dir, this.identity),
      this.#ports,
    );
    this.#vaults.set(idHex, vault);
    if (vault.log.treeHead().size === 0) {
      const { signedDescriptor, signedCertificate } = vault;
      await vault.events.append(
        vaultAdded(signedDescriptor, signedCertificate, this.#ports.clock.nowMs()),
      );
    }
    return vault;
  }

  async close(): Promise<void> {
    await this.#adding;
    try {
      await this.closeVaults();
    } finally {
      await this.#folder.release();
    }
  }

  /** Closes every vault, also when one of them fails to; then tells the first failure. */
  async closeVaults(): Promise<void> {
    const results = await Promise.allSettled(
      [...this.#vaults.values()].map((vault) => vault.close()),
    );
    this.#vaults.clear();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #add(parts: NewVault): Promise<VaultStore> {
    const vault = judgeParts(parts, this.identity);
    const idHex = hex(vault.descriptor.vaultId);
    const existing = this.#vaults.get(idHex);
    if (existing !== undefined) {
      if (equalBytes(existing.signedDescriptor.body, parts.descriptor.body)) return existing;
      throw mismatch(`vault ${existing.descriptor.name} is held already, with another descriptor`);
    }
    const { files } = this.#ports;
    const dir = join(this.dir, 'vaults', idHex);
    await ensureDirectory(files, dir);
    if (parts.catalogSecretKey !== undefined)
      await writeSecret(files, join(dir, 'catalog.key'), `${hex(parts.catalogSecretKey)}\n`);
    // Before `vault.bin`: a vault without the folders of its packs and its history has lost them.
    for (const part of folders) await ensureDirectory(files, join(dir, part));
    // Last: a folder without it is an addition that was cut short, and is passed over at start.
    const event = vaultAdded(parts.descriptor, parts.certificate, this.#ports.clock.nowMs());
    await writeFileDurably(files, join(dir, 'vault.bin'), encodeEventBody(event), {
      mode: SECRET_MODE,
    });
    return this.open(idHex);
  }
}

/**
 * The vault that a folder below `vaults/` holds. Errors: `STORE_FOLDER`, `STORE_VAULT_MISMATCH`,
 * `CERT_…`.
 */
export async function readVault(
  files: FilePort,
  dir: string,
  identity: SigningKey,
): Promise<VaultIdentity> {
  const path = join(dir, 'vault.bin');
  let event: EventBody;
  try {
    event = decodeEventBody(await readSmall(files, path));
  } catch (error) {
    if (error instanceof FormatError)
      throw new StoreError('STORE_FOLDER', `${path} is damaged; put it back from a copy`, {
        cause: error,
      });
    throw error;
  }
  if (event.type !== 'vaultAdded')
    throw new StoreError('STORE_FOLDER', `${path} describes no vault; put it back from a copy`);
  const key = await readFileIfThere(files, join(dir, 'catalog.key'), SMALL_FILE_BYTES);
  const catalogSecretKey = key === undefined ? undefined : fromHex(key.toString('utf8').trim());
  if (key !== undefined && catalogSecretKey === undefined)
    throw new StoreError(
      'STORE_FOLDER',
      `${join(dir, 'catalog.key')} is damaged; add the vault again`,
    );
  return judgeParts(
    { descriptor: event.descriptor, certificate: event.collectorCertificate, catalogSecretKey },
    identity,
  );
}

/** Folders of vaults that were added completely. */
export async function vaultFolders(files: FilePort, dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of files.list(join(dir, 'vaults'))) {
    const text = name.toString();
    if (
      /^[0-9a-f]{32}$/.test(text) &&
      (await exists(files, join(dir, 'vaults', text, 'vault.bin')))
    )
      names.push(text);
  }
  return names.sort();
}

function judgeParts(
  { descriptor, certificate, catalogSecretKey }: NewVault,
  identity: SigningKey,
): VaultIdentity {
  const body = verifyDescriptor(descriptor);
  const certified = verifyCollectorCertificate(body.authorityKey, body.vaultId, certificate);
  if (!equalBytes(certified.signKey, identity.publicKey))
    throw mismatch(`the certificate of vault ${body.name} is for another collector`);
  if (body.blind && catalogSecretKey !== undefined)
    throw mismatch(`vault ${body.name} is blind: its catalog key must stay in the kit`);
  if (!body.blind) {
    if (catalogSecretKey?.length !== 32)
      throw mismatch(
        `the catalog key of vault ${body.name} is missing; aliquot vault add hands it over`,
      );
    if (!equalBytes(boxKeyFromSecret(catalogSecretKey).publicKey, body.catalogKey)) {
      throw mismatch(`the catalog key is not the one of vault ${body.name}`);
    }
  }
  return {
    descriptor: body,
    signedDescriptor: descriptor,
    certificate: certified,
    signedCertificate: certificate,
    catalogSecretKey,
    identity,
  };
}

function mismatch(why: string): StoreError {
  return new StoreError('STORE_VAULT_MISMATCH', why);
}

function vaultAdded(descriptor: Signed, collectorCertificate: Signed, timeMs: number): EventBody {
  return { type: 'vaultAdded', timeMs, descriptor, collectorCertificate };
}

async function newToken(dir: string, { files, random }: CollectorPorts): Promise<string> {
  const token = Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url');
  await writeSecret(files, join(dir, 'admin.token'), `${token}\n`);
  return token;
}

function writeSecret(files: FilePort, path: string, text: string): Promise<void> {
  return writeFileDurably(files, path, utf8(text), { mode: SECRET_MODE });
}

async function readSmall(files: FilePort, path: string): Promise<Buffer> {
  if (!(await exists(files, path)))
    throw new StoreError('STORE_FOLDER', `${path} is missing; put it back from a copy`);
  return readWholeFile(files, path, SMALL_FILE_BYTES);
}
