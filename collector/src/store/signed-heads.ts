import type { CollectorId, Signed, TreeHead, VaultId } from '@aliquot/proto';
import type { SigningKey } from '@aliquot/shared/crypto/sign';
import { signHead } from '@aliquot/shared/log/receipt';

/** Signing costs milliseconds: one signature serves everybody who asks within the same second. */
const FRESH_MS = 1000;

/** Signs a vault's heads. */
export class SignedHeads {
  readonly #identity: SigningKey;
  readonly #who: { readonly vaultId: VaultId; readonly collectorId: CollectorId };
  #newest:
    | { readonly head: TreeHead; readonly timeMs: number; readonly signed: Signed }
    | undefined;

  constructor(
    identity: SigningKey,
    who: { readonly vaultId: VaultId; readonly collectorId: CollectorId },
  ) {
    this.#identity = identity;
    this.#who = who;
  }

  sign(head: TreeHead, nowMs: number): Signed {
    const known = this.#newest;
    if (known !== undefined && known.head === head && Math.abs(nowMs - known.timeMs) < FRESH_MS)
      return known.signed;
    const signed = signHead(this.#identity, { version: 1, ...this.#who, timeMs: nowMs, head });
    this.#newest = { head, timeMs: nowMs, signed };
    return signed;
  }
}
