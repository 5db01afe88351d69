import { type ClientFrame, FormatError, type Settings } from '@aliquot/proto';
import type { DeskAnswer, DeskBook } from '../desk/book.ts';
import { UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/**
 * A desk sets a policy now and then: a collector that hands out more in one session would wear out
 * the disk.
 */
const MOST_IN_A_SESSION = 64;

/** The frame that says what became of settings. */
export function settingsAnswer({ sequence, outcome, code, detail }: DeskAnswer): ClientFrame {
  return {
    type: 'settingsAnswer',
    sequence,
    outcome,
    code,
    ephemeralKey: detail?.ephemeralKey,
    sealed: detail?.sealed,
  };
}

/** What one session says of the settings that its collector hands out. */
export class SettingsAnswer {
  readonly #desk: DeskBook | undefined;
  readonly #session: Pick<Session, 'send'>;
  #told = 0;

  constructor(desk: DeskBook | undefined, session: Pick<Session, 'send'>) {
    this.#desk = desk;
    this.#session = session;
  }

  /**
   * Has settings judged and kept, and answers what became of them. They are durable, or their
   * refusal is, before the answer goes out.
   */
  async settings(settings: Settings): Promise<void> {
    this.#told += 1;
    if (this.#told > MOST_IN_A_SESSION)
      throw new UplinkError(
        'UPLINK_PROTOCOL',
        'the collector hands out settings one after the other; tell central IT',
      );
    const answer = await this.#taken(settings);
    if (answer === undefined) return;
    await this.#session.send(settingsAnswer(answer));
  }

  async #taken(settings: Settings) {
    try {
      return await this.#desk?.take(settings, 'collector');
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new UplinkError(
        'UPLINK_PROTOCOL',
        `the collector hands out settings that are none: ${error.message}`,
        { cause: error },
      );
    }
  }
}
