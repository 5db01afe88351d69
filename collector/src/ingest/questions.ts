import { hex } from '@aliquot/shared/crypto/bytes';
import type { DiagnosisReply, Question } from './live-sessions.ts';

/** What the agent of one session was asked and has not answered. */
export class Questions {
  readonly #waiting = new Map<string, (reply: DiagnosisReply | undefined) => void>();

  /** Resolves with the answer, or with undefined when the session ends before. */
  wait({ askId }: Question): Promise<DiagnosisReply | undefined> {
    return new Promise((resolve) => void this.#waiting.set(hex(askId), resolve));
  }

  /** An answer that nobody waits for any more is let go. */
  answered(askId: Uint8Array, reply: DiagnosisReply): void {
    this.#waiting.get(hex(askId))?.(reply);
    this.#waiting.delete(hex(askId));
  }

  /** Nobody has to wait for this question any more. */
  forget({ askId }: Question): void {
    this.#waiting.get(hex(askId))?.(undefined);
    this.#waiting.delete(hex(askId));
  }

  end(): void {
    for (const resolve of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }
}
