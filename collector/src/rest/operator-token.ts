import { createHash, timingSafeEqual } from 'node:crypto';

/** Decides whether a request may speak for the operator. Holds only the hash of the token. */
export class OperatorGate {
  readonly #hash: Uint8Array;

  /** `tokenHash`: SHA-256 of the token's text, 32 bytes. */
  constructor(tokenHash: Uint8Array) {
    this.#hash = tokenHash;
  }

  /**
   * True when `authorization` is `Bearer TOKEN` with the right token. Compares hashes in constant
   * time.
   */
  admits(authorization: string | undefined): boolean {
    const match = /^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization ?? '');
    return timingSafeEqual(tokenHash(match?.[1] ?? ''), this.#hash) && match !== null;
  }
}

/** SHA-256 of a token's text. Test only: makes a gate without a collector's folder. */
export function tokenHash(token: string): Uint8Array {
  return createHash('sha256').update(token, 'utf8').digest();
}
