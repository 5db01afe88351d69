import { encodeSigned, type Signed } from '@aliquot/proto';
import { toBase64 } from '../../api/base64.ts';
import { leafAnswer } from '../../api/messages.ts';
import { type PurgeInfo, purgeList } from '../../api/purge-messages.ts';
import { getOf, postTo, type VaultPath } from './ask.ts';

/** The purges of a vault. */
export class PurgesClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  /** Every one that was ever ordered, the oldest first. */
  async list(): Promise<readonly PurgeInfo[]> {
    return (await getOf(this.#path, purgeList, '/purges')).value.purges;
  }

  /** Answers with the leaf that has it. */
  async order(order: Signed, operator: Signed): Promise<number> {
    const body = { order: base64Of(order), operator: base64Of(operator) };
    return (await postTo(this.#path, leafAnswer, '/purges', body)).value.leafIndex;
  }

  /** Answers with the leaf of it. */
  async cancel(cancellation: Signed, operator: Signed | undefined): Promise<number> {
    const body = {
      cancellation: base64Of(cancellation),
      operator: operator && base64Of(operator),
    };
    return (await postTo(this.#path, leafAnswer, '/purges/cancellations', body)).value.leafIndex;
  }
}

function base64Of(signed: Signed): string {
  return toBase64(encodeSigned(signed));
}
