import { RestError } from '../api/rest-error.ts';
import { CommandError } from '../cli/command-error.ts';
import type { AnswerCheck } from './proof/proofs.ts';
import type { VerifiedRecord } from './verified.ts';

/** What was found to be left out: it costs its own agent's answer, and the check goes on. */
export class Doubts {
  readonly all: (CommandError | RestError)[] = [];

  /** What a proof gives; undefined when it does not hold, which is noted. */
  async held<T>(prove: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await prove();
    } catch (error) {
      this.#note(error);
      return undefined;
    }
  }

  /** The first thing that does not hold in an answer. */
  listenerOf(check: AnswerCheck): (record: VerifiedRecord) => void {
    let failed = false;
    return (record) => {
      try {
        if (!failed) check.onRecord(record);
      } catch (error) {
        failed = true;
        this.#note(error);
      }
    };
  }

  #note(error: unknown): void {
    if (!(error instanceof CommandError) && !(error instanceof RestError)) throw error;
    const isKnown = this.all.some(({ message }) => message === error.message);
    if (!isKnown) this.all.push(error);
  }
}
