import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '@aliquot/shared/ports';

const PREFIX = 'aliquot-operator-';
const TOKEN_BYTES = 32;

/** A new operator token: printable, recognisable in a leak scan, 256 bits of randomness. */
export function newOperatorToken(random: Random): string {
  return PREFIX + Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url');
}

/** Decides whether a request may speak for the operator. Holds only the hash of the token. */
export class OperatorGate {
  readonly #hash: Buffer;

  constructor(token: string) {
    this.#hash = sha256(token.trim());
  }

  /** True when `authorization` is `Bearer TOKEN` with the right token. Compares hashes in constant time. */
  admits(authorization: string | undefined): boolean {
    const match = /^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization ?? '');
    return timingSafeEqual(sha256(match?.[1] ?? ''), this.#hash) && match !== null;
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
