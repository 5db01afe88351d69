import type {
  ChainId,
  CollectorCertificateBody,
  ServerFrame,
  Signed,
  TreeHead,
} from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import type { Random } from '@aliquot/shared/ports';
import type { AgentIdentity } from '../identity/identity.ts';
import type { CommitChain, Outbox } from '../queue/outbox/outbox.ts';
import { UplinkError } from './errors.ts';
import { judgeReady } from './judge.ts';
import type { TrustStore } from './trust.ts';

type Ready = Extract<ServerFrame, { type: 'ready' }>;

const CHAIN_ID_BYTES = 16;
/**
 * Chains that may be begun in a row without a receipt for a commit of them. Each needs a session of
 * its own. An honest collector needs one; a second, when a folder was put back in the moment of the
 * first. Anyone who names more heads of chains that it was never sent lies, and would only fill our
 * chain log. Test only: a test counts them.
 */
export const MAX_FORKS_WITHOUT_RECEIPT = 3;

export interface WelcomeParts {
  readonly identity: AgentIdentity;
  readonly queue: {
    readonly outbox: Pick<Outbox, 'signedCommit' | 'unreceipt'>;
    readonly chain: Pick<CommitChain, 'present' | 'fork'>;
  };
  readonly trust: TrustStore;
  readonly random: Random;
}

/**
 * What an agent does with a `ready`, whether a session brought it or a file: proves the head,
 * remembers it, and brings the queue to what the collector has of this agent's chain.
 */
export class Welcome {
  readonly #parts: WelcomeParts;
  #forks = 0;

  constructor(parts: WelcomeParts) {
    this.#parts = parts;
  }

  /** A commit was receipted: the present chain is of use. */
  receipted(): void {
    this.#forks = 0;
  }

  /**
   * The head to go on from, durably remembered (I-A7). A rollback, healed or not, is written into
   * the queue first: what was lost shows as unsafe at once (P6), and once the head is remembered no
   * later `ready` reports the loss again. Errors: those of `judgeReady`.
   */
  async believe(
    ready: Ready,
    collector: CollectorCertificateBody,
    certificate: Signed,
  ): Promise<TreeHead> {
    const { identity, queue, trust } = this.#parts;
    let head: TreeHead;
    try {
      head = judgeReady(ready, trust.verified?.head, collector, identity.descriptor);
    } catch (error) {
      if (error instanceof UplinkError && error.code === 'UPLINK_ROLLED_BACK')
        await this.#unsafe(ready);
      throw error;
    }
    // Where the histories cannot be compared, all is sent again: the collector takes what it has
    // already as the same.
    if (ready.openings.length > 0)
      await queue.outbox.unreceipt(
        (await this.#isOurs(ready)) ? (ready.chainHead?.sequence ?? 0) : 0,
      );
    await trust.remember(collector, certificate, { head, signed: ready.head, certificate });
    return head;
  }

  /**
   * Compares the chains. Throws `UPLINK_CHAIN_RENEWED` when the collector has a commit under our
   * chain id that this folder never made: it was copied, or put back. Then the queue goes on under
   * a fresh chain id (I-A8), which the next session announces; `UPLINK_CHAIN_FORKED` when that has
   * been done too often without any use.
   */
  async settleChain(ready: Ready): Promise<void> {
    const { queue } = this.#parts;
    const { chainHead: theirs } = ready;
    if (theirs === undefined) return queue.outbox.unreceipt(await this.#beforeChain());
    if (await this.#isOurs(ready)) return queue.outbox.unreceipt(theirs.sequence);
    const says = `the collector has a commit ${theirs.sequence} that this folder did not make: it was copied, or put back to an older state`;
    if (this.#forks >= MAX_FORKS_WITHOUT_RECEIPT)
      throw new UplinkError(
        'UPLINK_CHAIN_FORKED',
        `${says}, and does so for every new chain; nothing is sent, tell central IT`,
      );
    this.#forks += 1;
    await queue.chain.fork({
      chainId: this.#parts.random.bytes(CHAIN_ID_BYTES) as ChainId,
      named: theirs,
    });
    throw new UplinkError(
      'UPLINK_CHAIN_RENEWED',
      `${says}; going on under a new chain, central IT decides how the two belong together`,
    );
  }

  async #isOurs({ chainHead: theirs }: Ready): Promise<boolean> {
    const { queue } = this.#parts;
    if (theirs === undefined || !equalBytes(theirs.chainId, queue.chain.present().chainId))
      return false;
    const ours = await queue.outbox.signedCommit(theirs.sequence);
    return ours !== undefined && equalBytes(ours.hash, theirs.hash);
  }

  /**
   * The newest of our commits that may be at a collector which knows nothing of the present chain:
   * the one that the chain goes on from. None if that is a stranger's, whose number says nothing
   * about ours. What a rollback took from before it, `believe` has written already.
   */
  async #beforeChain(): Promise<number> {
    const { queue } = this.#parts;
    const { forkedFrom } = queue.chain.present();
    const ours = forkedFrom && (await queue.outbox.signedCommit(forkedFrom.sequence));
    return forkedFrom !== undefined && ours !== undefined && equalBytes(ours.hash, forkedFrom.hash)
      ? forkedFrom.sequence
      : 0;
  }

  async #unsafe(ready: Ready): Promise<void> {
    const { queue } = this.#parts;
    const { chainHead: theirs } = ready;
    if (theirs === undefined) await queue.outbox.unreceipt(0);
    else if (await this.#isOurs(ready)) await queue.outbox.unreceipt(theirs.sequence);
    // Else it was put back, and so were we: `believe` takes nothing for safe once it is healed.
  }
}
