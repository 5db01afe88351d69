import type { HeartbeatBody } from '@aliquot/proto';
import type { LogTimes } from '@aliquot/shared/log/log-times';
import type { NotedMoment } from './catalog-rows.ts';
import { learn, type Rhythm, silenceLimitMs } from './rhythm.ts';

/** What is heard of one agent. Times are as the collector's clock was corrected since. */
export class SignsOfLife {
  #lastSeen: NotedMoment | undefined;
  #rhythm: Rhythm | undefined;
  #heartbeat: { readonly body: HeartbeatBody; readonly received: NotedMoment } | undefined;

  /**
   * Learns from a sign of life that `seen` is about to enter. Returns the rhythm where that taught
   * something.
   */
  learn(nowMs: number, times: LogTimes): Rhythm | undefined {
    const rhythm = learn(this.#rhythm, momentMs(this.#lastSeen, times), nowMs);
    if (rhythm === this.#rhythm) return undefined;
    this.#rhythm = rhythm;
    return rhythm;
  }

  /** The rhythm that was noted before a start. */
  knew(rhythm: Rhythm): void {
    this.#rhythm = rhythm;
  }

  /** It is heard now, whatever a clock said before that was ahead. */
  seen(moment: NotedMoment): void {
    this.#lastSeen = moment;
  }

  /** What was noted of it before a start. */
  wasSeen(moment: NotedMoment, times: LogTimes): void {
    const isNewer = (momentMs(this.#lastSeen, times) ?? 0) < (momentMs(moment, times) ?? 0);
    if (isNewer) this.#lastSeen = moment;
  }

  sent(body: HeartbeatBody, received: NotedMoment, times: LogTimes): void {
    this.#heartbeat = { body, received };
    this.wasSeen(received, times);
  }

  /** These signs, as the agent's record has them. */
  record(times: LogTimes) {
    const lastSeenMs = momentMs(this.#lastSeen, times);
    return {
      lastSeenMs,
      heartbeat: this.#heartbeat?.body,
      heartbeatAtMs: momentMs(this.#heartbeat?.received, times),
      silenceLimitMs: silenceLimitMs(this.#rhythm, lastSeenMs),
    };
  }
}

function momentMs(moment: NotedMoment | undefined, times: LogTimes): number | undefined {
  return moment && times.ofMoment(moment.leaves, moment.timeMs);
}
