import { unlessStopped } from '../capture/stop.ts';
import type { Agent } from '../folder/agent.ts';
import type { Root } from './roots.ts';

/** How much there is to look at. */
export interface AheadCount {
  readonly totalFiles: number;
  readonly totalBytes: number;
}

/**
 * Counts what lies at some paths while it is being captured, so that the progress can say how much
 * is left. Another walk of the same folders: worth it only for a person at a terminal. `found`
 * holds the counts once all was walked; errors are the capture's to name.
 */
export class CountAhead {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  found: AheadCount | undefined;

  constructor({ host }: Pick<Agent, 'host'>, roots: readonly Root[]) {
    this.#done = this.#count(host, roots);
    this.#done.catch(() => undefined); // thrown where it is awaited
  }

  /** Ends the counting, wherever it is. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #count(host: Agent['host'], roots: readonly Root[]): Promise<void> {
    let totalFiles = 0;
    let totalBytes = 0;
    for (const { source, at } of roots) {
      const walked = host.walk({ root: at, sourceRoot: source.root, rules: source.rules });
      for await (const batch of unlessStopped(walked, this.#stop.signal)) {
        for (const found of batch) {
          if (found.type !== 'item' || found.stat.kind !== 'file') continue;
          totalFiles += 1;
          totalBytes += found.stat.size;
        }
      }
    }
    if (!this.#stop.signal.aborted) this.found = { totalFiles, totalBytes };
  }
}
