import { join } from 'node:path';
import {
  type CollectorAddress,
  type CollectorAddressesBody,
  decodeSigned,
  encodeSigned,
  FormatError,
  type Signed,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import {
  ensureDirectory,
  readFileIfThere,
  writeFileDurably,
} from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import type { AnyBundle } from '@aliquot/shared/keys/bundle';
import { CertificateError, verifyAddresses } from '@aliquot/shared/keys/certificates';
import { z } from 'zod';
import { IdentityError } from './errors.ts';
import type { AgentIdentity } from './identity.ts';

const MAX_FILE_BYTES = 256 * 1024;

const pin = z.base64().transform((text): Uint8Array => new Uint8Array(Buffer.from(text, 'base64')));
const schema = z.strictObject({
  version: z.literal(1),
  /** The newest that the authority signed. */
  signed: z
    .base64()
    .transform((text): Signed => decodeSigned(Buffer.from(text, 'base64')))
    .optional(),
  /** Where the collector was found last. */
  worked: z.strictObject({ url: z.string(), tlsCa: z.string(), tlsPins: z.array(pin) }).optional(),
});

/** What the book needs to know of an identity. */
export type AddressOwner = Pick<AgentIdentity, 'server' | 'descriptor'>;

/**
 * Where this agent looks for its collector: the addresses that the authority signed, the one that
 * worked last, and the one of its bundle. Old and new stand side by side, so neither a move that is
 * announced too early nor a mistaken announcement cuts an agent off. Whatever answers there must
 * prove to be its vault's collector anyway.
 */
export class AddressBook {
  readonly #port: FilePort;
  readonly #path: string;
  readonly #owner: AddressOwner;
  #signed: Signed | undefined;
  #body: CollectorAddressesBody | undefined;
  #worked: CollectorAddress | undefined;
  #also: readonly CollectorAddress[] = [];

  private constructor(port: FilePort, path: string, owner: AddressOwner) {
    this.#port = port;
    this.#path = path;
    this.#owner = owner;
  }

  static path(dataDir: string): string {
    return join(dataDir, 'identity', 'addresses.json');
  }

  /**
   * Reads what is kept. A damaged file stops nobody: it is forgotten, and the collector hands the
   * addresses out again; until then the bundle's counts.
   */
  static async open(port: FilePort, dataDir: string, owner: AddressOwner): Promise<AddressBook> {
    const book = new AddressBook(port, AddressBook.path(dataDir), owner);
    await ensureDirectory(port, join(dataDir, 'identity'));
    const bytes = await readFileIfThere(port, book.#path, MAX_FILE_BYTES);
    if (bytes === undefined) return book;
    try {
      const { signed, worked } = schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
      book.#worked = worked;
      if (signed !== undefined) [book.#signed, book.#body] = [signed, book.#verified(signed)];
    } catch (error) {
      const damaged =
        error instanceof z.ZodError || error instanceof SyntaxError || error instanceof FormatError;
      // The next write takes its place.
      if (!damaged && !(error instanceof IdentityError)) throw error;
    }
    return book;
  }

  /** Of the newest signed addresses; 0: none. */
  get revision(): number {
    return this.#body?.revision ?? 0;
  }

  /** In the order in which they are to be tried; at least one. */
  candidates(): readonly CollectorAddress[] {
    const all = [
      ...this.#also,
      ...(this.#body?.addresses ?? []),
      ...(this.#worked === undefined ? [] : [this.#worked]),
      this.#owner.server,
    ];
    return all.filter(
      (address, at) => all.findIndex((other) => sameAddress(other, address)) === at,
    );
  }

  /**
   * Where the collector most probably is: where it was found last, if it may still be there, else
   * the first that is tried.
   */
  get likely(): CollectorAddress {
    return this.#worked ?? this.candidates()[0] ?? this.#owner.server;
  }

  /** Tries these before all others, for as long as the process lives. */
  also(addresses: readonly CollectorAddress[]): void {
    this.#also = addresses;
  }

  /**
   * Keeps newer addresses durably; false when those that are kept are as new or newer. Errors:
   * `ADDRESSES_FOREIGN` when this vault's authority did not sign exactly these.
   */
  async learn(signed: Signed): Promise<boolean> {
    const body = this.#verified(signed);
    if (body.revision <= this.revision) return false;
    await this.#write(signed, this.#worked);
    [this.#signed, this.#body] = [signed, body];
    return true;
  }

  /** The collector proved itself there. */
  async worked(address: CollectorAddress): Promise<void> {
    if (this.#worked !== undefined && sameAddress(this.#worked, address)) return;
    // Nothing is to be remembered as long as there is only one.
    if (
      this.#worked === undefined &&
      this.#body === undefined &&
      sameAddress(this.#owner.server, address)
    )
      return;
    await this.#write(this.#signed, address);
    this.#worked = address;
  }

  #verified(signed: Signed): CollectorAddressesBody {
    try {
      return verifyAddresses(
        this.#owner.descriptor.authorityKey,
        this.#owner.descriptor.vaultId,
        signed,
      );
    } catch (cause) {
      if (!(cause instanceof CertificateError)) throw cause;
      const way =
        'ask central IT for the file that `aliquot collector address set … --out FILE` writes for this vault';
      throw new IdentityError(
        'ADDRESSES_FOREIGN',
        `these addresses cannot be believed: ${cause.message}; ${way}`,
        { cause },
      );
    }
  }

  #write(signed: Signed | undefined, worked: CollectorAddress | undefined): Promise<void> {
    const text = (value: Uint8Array): string => Buffer.from(value).toString('base64');
    const content = {
      version: 1,
      ...(signed === undefined ? {} : { signed: text(encodeSigned(signed)) }),
      ...(worked === undefined
        ? {}
        : {
            worked: {
              url: worked.url,
              tlsCa: worked.tlsCa,
              tlsPins: worked.tlsPins.map((value) => text(value)),
            },
          }),
    };
    return writeFileDurably(
      this.#port,
      this.#path,
      Buffer.from(`${JSON.stringify(content, undefined, 1)}\n`),
      { mode: 0o600 },
    );
  }
}

/** Where the collector of a bundle is, in the order in which it is to be tried. */
export function addressesOf({
  url,
  tlsCa,
  tlsPins,
  signedAddresses,
  descriptor,
}: AnyBundle): readonly CollectorAddress[] {
  const signed =
    signedAddresses &&
    verifyAddresses(descriptor.authorityKey, descriptor.vaultId, signedAddresses);
  const own = { url, tlsCa, tlsPins };
  return [...(signed?.addresses ?? []), own].filter(
    (address, at, all) => all.findIndex((other) => sameAddress(other, address)) === at,
  );
}

/** Whether both lead to one place and trust it for the same reasons. */
export function sameAddress(left: CollectorAddress, right: CollectorAddress): boolean {
  const pins =
    left.tlsPins.length === right.tlsPins.length &&
    left.tlsPins.every((pin, at) => equalBytes(pin, right.tlsPins[at] ?? pin));
  return left.url === right.url && left.tlsCa === right.tlsCa && pins;
}
