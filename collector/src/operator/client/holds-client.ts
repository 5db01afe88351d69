import { encodeHoldBody, encodeSigned, type HoldBody, type Signed } from '@aliquot/proto';
import { toBase64 } from '../../api/base64.ts';
import { type HoldInfo, holdList, MAX_PARTS_AT_ONCE } from '../../api/hold-messages.ts';
import { leafAnswer } from '../../api/messages.ts';
import { getOf, postTo, type VaultPath } from './ask.ts';

/** The holds of a vault. */
export class HoldsClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  /** Every one that was ever set, the oldest first. */
  async list(): Promise<readonly HoldInfo[]> {
    return (await getOf(this.#path, holdList, '/holds')).value.holds;
  }

  /** Answers with the leaf that has it. */
  async set(hold: HoldBody): Promise<number> {
    const body = { hold: toBase64(encodeHoldBody(hold)) };
    return (await postTo(this.#path, leafAnswer, '/holds', body)).value.leafIndex;
  }

  /** All parts of a resolution, in their order. Answers with the leaf of the last one. */
  async resolve(parts: readonly Signed[]): Promise<number> {
    let leaf = 0;
    for (let from = 0; from < parts.length; from += MAX_PARTS_AT_ONCE) {
      const some = parts.slice(from, from + MAX_PARTS_AT_ONCE);
      const body = { parts: some.map((part) => toBase64(encodeSigned(part))) };
      leaf = (await postTo(this.#path, leafAnswer, '/holds/resolutions', body)).value.leafIndex;
    }
    return leaf;
  }

  /** Answers with the leaf of it. */
  async release(release: Signed, operator: Signed | undefined): Promise<number> {
    const body = {
      release: toBase64(encodeSigned(release)),
      operator: operator && toBase64(encodeSigned(operator)),
    };
    return (await postTo(this.#path, leafAnswer, '/holds/releases', body)).value.leafIndex;
  }
}
