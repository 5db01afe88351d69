import { decodeStateRecord, encodeSigned, type Signed, type StateRecord } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from '../../api/base64.ts';
import { leafAnswer } from '../../api/messages.ts';
import { type PurgeInfo, purgeList } from '../../api/purge-messages.ts';
import { getOf, postTo, recordsOf, type VaultPath } from './ask.ts';

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

  /** The commits that a purge is about, in the order of their leaves: `live` is what goes of each. */
  async *commits(purgeId: Uint8Array): AsyncGenerator<StateRecord> {
    const path = `${this.#path.base}/purges/${hex(purgeId)}/commits`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  /** Sends the commits sealed anew, as encoded `StoredPurged`s. Answers with the leaf of it. */
  async approve(
    approval: Signed,
    operator: Signed,
    commits: readonly Uint8Array[],
  ): Promise<number> {
    const body = {
      ...{ approval: base64Of(approval), operator: base64Of(operator) },
      commits: commits.map(toBase64),
    };
    return (await postTo(this.#path, leafAnswer, '/purges/approvals', body)).value.leafIndex;
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
