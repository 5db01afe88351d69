import { encodeLostReference } from '../log/chain-payloads.ts';
import type { QueueCore } from '../log/core.ts';
import type { ChainKind } from '../log/formats.ts';
import { rawKey } from '../log/index-keys.ts';
import { namesOf } from '../log/lost.ts';
import { encodeCounter, lostRecords } from '../log/payloads.ts';
import type * as Q from '../queue.ts';
import { entriesOf, lostIn, seenThrough } from './views.ts';

export interface LossesParts {
  readonly core: QueueCore;
  /** Versions that were found lost while the queue was opened. */
  readonly untold: number;
  readonly appendChain: (kind: ChainKind, payload: Uint8Array) => Promise<void>;
  /** Called when something more is lost. */
  readonly told: () => void;
}

/**
 * What nobody can give any more: named in the chain log, listed until a person has seen it (P6).
 */
export class Losses {
  readonly #parts: LossesParts;
  #untold: number;

  constructor(parts: LossesParts) {
    this.#parts = parts;
    this.#untold = parts.untold;
  }

  /**
   * Inside a change: names versions as lost, with the paths that the caller knows and the index
   * has.
   */
  async record(
    entries: readonly number[],
    known: ReadonlyMap<number, Uint8Array> = new Map(),
  ): Promise<void> {
    const { core, appendChain, told } = this.#parts;
    const unknown = entries.filter((entry) => !known.has(entry));
    const names = new Map([...known, ...(await namesOf(core.files.index, unknown))]);
    for (const record of lostRecords(entries, names)) await appendChain('lost', record);
    this.#untold += entries.length;
    if (entries.length > 0) told();
  }

  /** Names the versions in these places of a signed commit as lost. */
  recordSlots(sequence: number, slots: readonly number[]): Promise<void> {
    const { core } = this.#parts;
    return core.change(async () => this.record(await entriesOf(core.files, sequence, slots)));
  }

  /** Names a result as lost that waited at its source for room. */
  recordReference(path: Uint8Array, why: Q.LostReason): Promise<void> {
    const { core, appendChain, told } = this.#parts;
    return core.change(async () => {
      await core.flush();
      const { index } = core.files;
      if (why !== 'growing-torn' && (await index.get(rawKey('r', path))) === undefined) return;
      await appendChain(
        'referenceLost',
        encodeLostReference({ entry: index.state.nextEntry, why, path }),
      );
      told();
    });
  }

  list(): AsyncGenerator<Q.LostVersion, void, void> {
    return lostIn(this.#parts.core.files.index);
  }

  /** How many were recorded since the last call. */
  takeUntold(): number {
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }

  /** A person has seen these: they are not listed any more. */
  acknowledge(seen: readonly number[]): Promise<void> {
    const { core, appendChain } = this.#parts;
    return core.change(async () => {
      const through = await seenThrough(core.files.index, seen);
      if (through !== undefined) await appendChain('lostSeen', encodeCounter(through));
    });
  }
}
