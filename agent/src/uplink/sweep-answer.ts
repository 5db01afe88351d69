import type { SweepEpochs } from '../queue/outbox/outbox.ts';
import { UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/**
 * Epochs are announced days apart; every one that is learnt takes a record of our chain log and
 * empties the cache.
 */
const MOST_IN_A_SESSION = 16;

/**
 * The agent's half of the sweep rule (I-A9): it learns the epoch that will drop chunks, and answers
 * once everything that it had captured before is receipted. What it captured offline against an old
 * commit keeps its chunks at the collector until then.
 */
export class SweepAnswer {
  readonly #epochs: SweepEpochs;
  readonly #session: Session;
  #answered = 0;
  #told = 0;
  /**
   * The newest epoch that was announced; undefined once the chain is settled and each is learnt as
   * it comes.
   */
  #early: number | undefined = 0;

  constructor(epochs: SweepEpochs, session: Session) {
    this.#epochs = epochs;
    this.#session = session;
  }

  /**
   * The queue knows what the collector has lost: from now on epochs are learnt, first the newest of
   * the `ready` and what was announced meanwhile. Before, everything could still seem receipted,
   * and an answer would give chunks away that have to be sent again.
   */
  async settled(gcEpoch: number): Promise<void> {
    const early = this.#early ?? 0;
    this.#early = undefined;
    await this.#learn(Math.max(gcEpoch, early));
  }

  /** The collector announced an epoch while the session stands. */
  async told(gcEpoch: number): Promise<void> {
    this.#told += 1;
    if (this.#told > MOST_IN_A_SESSION)
      throw new UplinkError(
        'UPLINK_PROTOCOL',
        'the collector announces one sweep after the other; tell central IT',
      );
    if (this.#early !== undefined) {
      this.#early = Math.max(this.#early, gcEpoch);
      return;
    }
    await this.#learn(gcEpoch);
    await this.answer();
  }

  /**
   * Answers if there is something to answer: once in a session for each epoch, so that a lost
   * answer is made up for.
   */
  async answer(): Promise<void> {
    const gcEpoch = await this.#epochs.answer();
    if (gcEpoch === undefined || gcEpoch <= this.#answered) return;
    this.#answered = gcEpoch;
    await this.#session.send({ type: 'gcLearned', gcEpoch });
  }
  /**
   * Learns an epoch durably; resolves when nothing from before it is used for what is captured from
   * now on.
   */
  async #learn(gcEpoch: number): Promise<void> {
    if (gcEpoch > this.#epochs.newest()) await this.#epochs.learn(gcEpoch);
  }
}
