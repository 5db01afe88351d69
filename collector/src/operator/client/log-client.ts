import { encodeSigned, type Signed, type TreeHead } from '@aliquot/proto';
import { toBase64 } from '../../api/base64.ts';
import { type ApplyAnswer, applyAnswer, EVENT_PLACE_BYTES } from '../../api/decisions.ts';
import { type LogInfo, type LogProofs, logInfo, logProofs } from '../../api/log-messages.ts';
import { type ProvedEvents, provedEvents } from '../../api/log-part.ts';
import { leafAnswer } from '../../api/messages.ts';
import { getOf, postTo, recordsOf, type VaultPath } from './ask.ts';

/** A decision in a log: an encoded `EventBody`, and its leaf. */
export interface SeenDecision {
  readonly leafIndex: number;
  readonly event: Uint8Array;
}

/** A vault's log, as the collector tells of it. */
export class LogClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async info(): Promise<LogInfo> {
    return (await getOf(this.#path, logInfo, '/log')).value;
  }

  /** Proofs that the log continues heads that were seen before. */
  async proofs(heads: readonly TreeHead[]): Promise<LogProofs> {
    const asked = heads.map(({ logEpoch, size, root }) => ({
      logEpoch,
      size,
      root: toBase64(root),
    }));
    return (await postTo(this.#path, logProofs, '/log/proofs', { heads: asked })).value;
  }

  /** The leaves from one on, up to a size that the log has reached. */
  leaves(from: number, size: number): AsyncGenerator<Uint8Array> {
    const path = `${this.#path.base}/log/leaves?from=${from}&size=${size}`;
    return recordsOf(this.#path.endpoint, { method: 'GET', path });
  }

  /** The decisions in a part of the log, with their leaves. */
  async *decisions(from: number, size: number): AsyncGenerator<SeenDecision> {
    const path = `${this.#path.base}/log/decisions?from=${from}&size=${size}`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path })) {
      const bytes = Buffer.from(record.buffer, record.byteOffset, record.length);
      const leafIndex = Number(bytes.readBigUInt64BE(0));
      yield { leafIndex, event: new Uint8Array(bytes.subarray(EVENT_PLACE_BYTES)) };
    }
  }

  /** The events that set a policy, up to a size of the log. */
  async policies(size: number): Promise<ProvedEvents['events']> {
    const path = `/log/policies?from=0&size=${size}`;
    return (await getOf(this.#path, provedEvents, path)).value.events;
  }

  /** The orders and approvals of purges that were done, up to a size of the log. */
  async purges(size: number): Promise<ProvedEvents['events']> {
    const path = `/log/purges?from=0&size=${size}`;
    return (await getOf(this.#path, provedEvents, path)).value.events;
  }

  /** Has decisions recorded again that the log has lost. */
  async applyDecisions(events: readonly Uint8Array[]): Promise<ApplyAnswer['outcomes']> {
    const body = { events: events.map(toBase64) };
    return (await postTo(this.#path, applyAnswer, '/log/decisions', body)).value.outcomes;
  }

  /** Has times of the log corrected. Answers with the leaf of that. */
  async correctClock(correction: Signed): Promise<number> {
    const body = { correction: toBase64(encodeSigned(correction)) };
    return (await postTo(this.#path, leafAnswer, '/log/corrections', body)).value.leafIndex;
  }

  async openEpoch(opening: Signed): Promise<void> {
    await postTo(this.#path, leafAnswer, '/log/openings', {
      opening: toBase64(encodeSigned(opening)),
    });
  }
}
