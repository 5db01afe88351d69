import { asChainId, asCommitHash, type ChainId, type ChainPoint } from '@aliquot/proto';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { encodeFork, type ForkRecord } from '../log/chain-payloads.ts';
import type { QueueCore } from '../log/core.ts';
import { QueueError } from '../log/errors.ts';
import type { IndexState } from '../log/index-state.ts';
import type { Chain, ChainFork, CommitChain } from './outbox.ts';

/** The chain of an installation, as the chain log has it. */
export class DurableChain implements CommitChain {
  readonly #core: QueueCore;
  /** The chain of the enrolment; commits go on it until a fork. */
  readonly #initial: ChainId;

  constructor(core: QueueCore, initial: ChainId) {
    this.#core = core;
    this.#initial = initial;
  }

  head(): ChainPoint | undefined {
    const { chainHead } = this.#state;
    return chainHead === undefined ? undefined : this.#pointOf(chainHead);
  }

  present(): Chain {
    const { fork, inheritedSequence } = this.#state;
    if (fork === undefined)
      return { chainId: this.#initial, forkedFrom: undefined, inherited: false };
    const { chainId, from } = fork;
    return {
      chainId: asChainId(unhex(chainId)),
      forkedFrom: this.#pointOf(from),
      inherited: from.sequence === inheritedSequence,
    };
  }

  fork({ chainId, named }: ChainFork): Promise<void> {
    return this.#core.change(async () => {
      if (equalBytes(this.present().chainId, chainId)) return;
      // From our newest signed commit, or from the head that the collector named when there is
      // none.
      await this.#goOn({ chainId, from: this.head() ?? named, inherited: false });
    });
  }

  inherit(chainId: ChainId): Promise<void> {
    return this.#core.change(async () => {
      const head = this.head();
      // When nothing was signed, the chain is free.
      if (head === undefined || !equalBytes(this.present().chainId, this.#initial)) return;
      const { receiptedSequence } = this.#state;
      if (receiptedSequence < head.sequence)
        throw new QueueError(
          'QUEUE_REFUSED',
          `commit ${receiptedSequence + 1} has no receipt yet, and only the agent that signed it can send it`,
        );
      await this.#goOn({ chainId, from: head, inherited: true });
    });
  }

  get #state(): IndexState {
    return this.#core.files.index.state;
  }

  #goOn(record: ForkRecord): Promise<void> {
    return this.#core.appendChain('forked', encodeFork(record));
  }

  #pointOf(at: {
    readonly chainId?: string;
    readonly sequence: number;
    readonly hash: string;
  }): ChainPoint {
    const chainId = at.chainId === undefined ? this.#initial : asChainId(unhex(at.chainId));
    return { chainId, sequence: at.sequence, hash: asCommitHash(unhex(at.hash)) };
  }
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}
