import type { AliquotError, CollectorId, Signed, VaultId } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import type { ReleaseShelf } from '../releases/shelf.ts';
import type { VaultStore } from './vault-store.ts';

/**
 * A collector's data folder: its identity, the operators' token and its vaults. One living process
 * at a time may hold it open (`FOLDER_IN_USE`); a folder of another kind or version is refused
 * (`FOLDER_KIND`, `FOLDER_VERSION`).
 *
 * `initCollector(dir, { name }, ports)` makes the folder, `openCollector(dir, ports)` opens it.
 */
export interface CollectorStore {
  readonly dir: string;
  readonly name: string;
  readonly collectorId: CollectorId;
  /**
   * Signs handshakes, heads, receipts and enrolment answers. Its public half is what an authority
   * certifies.
   */
  readonly identity: SigningKey;
  /**
   * SHA-256 of the operator's token as printed in `admin.token`; compare hashes in constant time.
   */
  readonly adminTokenHash: Uint8Array;

  /** Releases of the agent, kept for the PCs of every vault. */
  readonly releases: ReleaseShelf;

  vault(id: VaultId): VaultStore | undefined;
  vaults(): VaultStore[];
  /** Vaults whose folders are here and that cannot be served, as they are damaged. */
  ailing(): AilingVault[];
  /**
   * Adds a vault whose descriptor and certificate verify for this collector's identity, durably.
   * Repeating it with the same values answers with the same vault; what its folder has lost of that
   * meanwhile is written again, and one that ailed for it is opened. Throws `STORE_VAULT_MISMATCH`
   * (certificate for another collector, catalog key that is not the descriptor's, catalog key for a
   * blind vault, other values than the existing vault's), or `CertificateError`.
   */
  addVault(parts: NewVault): Promise<VaultStore>;
  /** Syncs and closes everything; the folder may be opened again. */
  close(): Promise<void>;
}

export interface NewVault {
  readonly descriptor: Signed;
  readonly certificate: Signed;
  /** Secret half of the catalog key; `undefined` exactly when the vault is blind. */
  readonly catalogSecretKey: Uint8Array | undefined;
}

/** A vault that is here and cannot be served. */
export interface AilingVault {
  /** Its id, in hexadecimal digits. */
  readonly id: string;
  /** Why, with the way out. */
  readonly error: AliquotError;
}
