import { join } from 'node:path';
import { AliquotError, type VaultId } from '@aliquot/proto';
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
import { collectorIdOf } from '@aliquot/shared/keys/certificates';
import { z } from 'zod';
import { ReleaseShelf } from '../releases/shelf.ts';
import type { AilingVault, CollectorStore, NewVault } from './collector-store.ts';
import { StoreError } from './errors.ts';
import { StoredVault } from './stored-vault.ts';
import type { FolderPorts, VaultIdentity } from './vault/vault-parts.ts';
import {
  judgeParts,
  mismatch,
  readVault,
  SECRET_MODE,
  vaultAdded,
  vaultFolders,
  vaultParts,
  writeAdded,
  writeKey,
} from './vault-folder.ts';
import type { VaultStore } from './vault-store.ts';

/** What the store needs from outside; `packBytes` is for tests. */
export type CollectorPorts = FolderPorts;

const SMALL_FILE_BYTES = 64 * 1024;
/** Of a token as text. */
const LEAST_TOKEN_LENGTH = 20;
const TOKEN_BYTES = 32;

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
 * Opens a collector's folder and all its vaults. One that cannot be opened is ailing, and keeps no
 * other from being served. Errors: `FOLDER_MISSING`, `FOLDER_KIND`, `FOLDER_VERSION`,
 * `FOLDER_IN_USE`, `STORE_FOLDER`; `STORE_FAILED` and `STORE_NO_SPACE`, which pass.
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
  // A token that was removed is replaced: that is how an operator changes it. So is what is none
  // any more: nobody could come in by it, and agents are served whatever became of it.
  const file = await readFileIfThere(ports.files, tokenPath, SMALL_FILE_BYTES);
  const held = file?.toString('utf8').trim() ?? '';
  if (file !== undefined && held.length < LEAST_TOKEN_LENGTH)
    ports.onUnfit?.({
      type: 'file',
      where: tokenPath,
      why: 'it holds no token: a new one was made in its place, and operators need that one',
    });
  const token = held.length < LEAST_TOKEN_LENGTH ? await newToken(dir, ports) : held;
  const store = new FolderStore(folder, name, identity, sha256(utf8(token)), ports);
  try {
    for (const id of await vaultFolders(ports.files, dir)) await store.openOrAil(id);
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
  readonly #ailing = new Map<string, AilingVault>();
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

  ailing(): AilingVault[] {
    return [...this.#ailing.values()];
  }

  /** Opens a vault; what keeps it from being served is remembered, and keeps no other from it. */
  async openOrAil(idHex: string): Promise<void> {
    try {
      await this.#open(idHex);
    } catch (error) {
      // A disk that is full or fails for now is waited for by whoever starts us again.
      if (!(error instanceof AliquotError) || error.retryable) throw error;
      this.#ailing.set(idHex, { id: idHex, error });
    }
  }

  async #open(idHex: string): Promise<StoredVault> {
    const dir = join(this.dir, 'vaults', idHex);
    const { files, clock } = this.#ports;
    const { vault: found, faults } = await readVault(files, dir, this.identity);
    for (const part of vaultParts) {
      if (await exists(files, join(dir, part))) continue;
      const says = `${join(dir, part)} is missing; is its disk there? Else put it back from a copy`;
      throw new StoreError('STORE_FOLDER', says);
    }
    for (const fault of faults) this.#ports.onUnfit?.({ type: 'file', ...fault });
    const vault = await StoredVault.inFolder(dir, found, this.#ports);
    this.#vaults.set(idHex, vault);
    this.#ailing.delete(idHex);
    const { signedDescriptor, signedCertificate } = vault;
    const added = vaultAdded(signedDescriptor, signedCertificate, clock.nowMs());
    if (vault.log.treeHead().size === 0) await vault.events.append(added);
    if (faults.some(({ where }) => where === join(dir, 'vault.bin')))
      await writeAdded(files, dir, added);
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
    const { files, clock } = this.#ports;
    const vault = judgeParts(parts, this.identity);
    const idHex = hex(vault.descriptor.vaultId);
    const dir = join(this.dir, 'vaults', idHex);
    const existing = this.#vaults.get(idHex);
    if (existing !== undefined) {
      if (!equalBytes(existing.signedDescriptor.body, parts.descriptor.body))
        throw mismatch(
          `vault ${existing.descriptor.name} is held already, with another descriptor`,
        );
      await this.#giveBack(dir, existing, vault);
      return existing;
    }
    // What is left of one that ails stays as it is: only its small files come again.
    if (!this.#ailing.has(idHex))
      // Before `vault.bin`: without the folders of its packs and history a vault has lost them.
      for (const part of vaultParts) await ensureDirectory(files, join(dir, part));
    await writeKey(files, dir, parts.catalogSecretKey);
    // Last: a folder without it is an addition that was cut short, and is passed over at start.
    await writeAdded(files, dir, vaultAdded(parts.descriptor, parts.certificate, clock.nowMs()));
    return this.#open(idHex);
  }

  /** What the folder of a vault has lost of its small files, while it is served. */
  async #giveBack(dir: string, known: StoredVault, given: VaultIdentity): Promise<void> {
    const { files, clock } = this.#ports;
    const found = await readVault(files, dir, this.identity).catch((error: unknown) => {
      if (!(error instanceof AliquotError)) throw error;
      return undefined;
    });
    if (known.catalogSecretKey === undefined) known.catalogSecretKey = given.catalogSecretKey;
    if (found?.vault.catalogSecretKey === undefined)
      await writeKey(files, dir, known.catalogSecretKey);
    if (found !== undefined && !found.faults.some(({ where }) => where.endsWith('vault.bin')))
      return;
    const { signedDescriptor, signedCertificate } = known;
    await writeAdded(files, dir, vaultAdded(signedDescriptor, signedCertificate, clock.nowMs()));
  }
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
