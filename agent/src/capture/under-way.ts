import type { BytePath } from '../source/paths.ts';

/** What one run has taken up and not yet put into the queue. */
export interface Run {
  add(result: BytePath): void;
  done(result: BytePath): void;
  /** The run is over, whatever became of what it had taken up. */
  end(): void;
}

/**
 * The results that are being captured just now: complete as far as anybody can tell, and in no
 * queue yet. A large file at a slow pace stays here for long, and anyone who asks must not be told
 * that all is safe (P6). One for each open queue.
 */
export class UnderWay {
  readonly #runs = new Set<Map<BytePath, number>>();

  begin(): Run {
    // A folder result is under way as long as any of its members is.
    const members = new Map<BytePath, number>();
    this.#runs.add(members);
    return {
      add: (result) => void members.set(result, (members.get(result) ?? 0) + 1),
      done: (result) => {
        const left = (members.get(result) ?? 1) - 1;
        if (left === 0) members.delete(result);
        else members.set(result, left);
      },
      end: () => void this.#runs.delete(members),
    };
  }

  /** Each result once for each run that has it. */
  *results(): Generator<BytePath, void, void> {
    for (const members of this.#runs) yield* members.keys();
  }
}
