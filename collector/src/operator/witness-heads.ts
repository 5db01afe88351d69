import type { CommitHeader, ReceiptBody, TreeHead } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { MAX_PROOF_HEADS } from '../limits.ts';
import type { VaultClient } from './client/vault-client.ts';
import { contradictedHeads, type ForeignHead } from './witness.ts';
import type { WitnessError } from './witness-error.ts';

/**
 * The log heads that commits and receipts carry. The head in a commit is the newest that its agent
 * had verified, in a receipt the one that the collector signed for that agent: so anyone who reads
 * them sees what the agents were shown.
 */
export class HeadCollection {
  readonly #heads = new Map<string, ForeignHead>();

  note(agent: string, header: CommitHeader, receipt: ReceiptBody): void {
    if (header.treeHead !== undefined)
      this.#add(header.treeHead, `agent ${agent} in commit ${header.sequence}`);
    this.#add(receipt.head, `agent ${agent} in the receipt of commit ${receipt.sequence}`);
  }

  get size(): number {
    return this.#heads.size;
  }

  /** One error for each head that the log does not continue. */
  async contradictions(vault: VaultClient): Promise<WitnessError[]> {
    const all = [...this.#heads.values()];
    const found: WitnessError[] = [];
    for (let from = 0; from < all.length; from += MAX_PROOF_HEADS) {
      found.push(...(await contradictedHeads(vault, all.slice(from, from + MAX_PROOF_HEADS))));
    }
    return found;
  }

  #add(head: TreeHead, holder: string): void {
    const key = `${head.logEpoch} ${head.size} ${hex(head.root)}`;
    if (!this.#heads.has(key)) this.#heads.set(key, { head, holder });
  }
}
