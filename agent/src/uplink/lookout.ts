import type { CollectorAddress } from '@aliquot/proto';
import type { Random, Timers } from '@aliquot/shared/ports';
import { between } from './backoff.ts';
import type { UplinkError } from './errors.ts';

/**
 * The pauses between two looks: short enough for "within seconds", drawn so that a fleet never
 * looks in step.
 */
const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 3_000;
/**
 * Who was seen to be there, and does not take us, is left alone for so much longer; it may still go
 * away and come back.
 */
const CALM = 5;

/** Whether the collector's address takes TCP connections now. Never rejects. */
export type Probe = (server: CollectorAddress, timers: Timers) => Promise<boolean>;

/**
 * Finds out while the uplink waits that the network has come back, wherever it was broken: a cable,
 * a switch far away, a firewall, the collector itself. A look is one TCP connection that is closed
 * at once: two or three packets, nothing that the collector's program works on, so it may be done
 * every few seconds for weeks. What shortens the wait is only the change from "cannot be reached"
 * to "can": a collector that is reached and turns us away is given all the time that the backoff
 * says.
 */
export class Lookout {
  readonly #probe: Probe;
  readonly #timers: Timers;
  readonly #random: Random;

  constructor(timers: Timers, random: Random, probe: Probe) {
    this.#probe = probe;
    this.#timers = timers;
    this.#random = random;
  }

  /**
   * Looks every few seconds, until stopped by calling the answer; calls `back` once, when the
   * collector can be reached again.
   * @param failure why the last attempt ended
   */
  watch(servers: readonly CollectorAddress[], failure: UplinkError, back: () => void): () => void {
    let away = nobodyThere(failure);
    let stopped = false;
    let cancel = (): void => undefined;
    const look = async (): Promise<void> => {
      const there =
        !stopped &&
        (await Promise.all(servers.map((server) => this.#probe(server, this.#timers)))).includes(
          true,
        );
      if (stopped) return;
      if (there && away) {
        stopped = true;
        back();
        return;
      }
      away = !there;
      soon(there ? CALM : 1);
    };
    const soon = (patience: number): void => {
      const pause = between(this.#random, SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS) * patience;
      cancel = this.#timers.after(pause, () => void look());
    };
    soon(1);
    return () => {
      stopped = true;
      cancel();
    };
  }
}

/**
 * Whether an attempt found nobody at the address. Not so when the connection stood and something
 * after it went wrong.
 */
function nobodyThere({ code, cause }: UplinkError): boolean {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return code === 'UPLINK_UNREACHABLE' && nobodyAnswers.has(errno);
}

const nobodyAnswers: ReadonlySet<string> = new Set([
  ...[
    'ECONNREFUSED',
    'EHOSTDOWN',
    'EHOSTUNREACH',
    'ENETDOWN',
    'ENETUNREACH',
    'EADDRNOTAVAIL',
    'ETIMEDOUT',
  ],
  ...['ENOTFOUND', 'EAI_AGAIN'],
]);
