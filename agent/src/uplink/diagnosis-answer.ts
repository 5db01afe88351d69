import {
  decodeDiagnosisRequestBody,
  FormatError,
  type OperatorCertificateBody,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { CryptoError } from '@aliquot/shared/crypto/primitives';
import {
  type DiagnosisErrorCode,
  type DiagnosisRequest,
  sealDiagnosis,
  verifyDiagnosisRequest,
} from '@aliquot/shared/diagnosis/sealed';
import { CertificateError } from '@aliquot/shared/keys/certificates';
import type { Clock, Random } from '@aliquot/shared/ports';
import type { AgentIdentity } from '../identity/identity.ts';
import { enrolmentOf } from '../identity/identity.ts';
import { UplinkError } from './errors.ts';
import type { Session } from './session.ts';

/** Each costs a look at the whole queue: nobody asks one PC as often. */
const MOST_IN_A_SESSION = 16;

/** A diagnosis that can be made shorter, until it fits. */
export interface MadeDiagnosis {
  readonly text: string;
  /** The same with half of the log; undefined when there is no log left. */
  shorter(): MadeDiagnosis | undefined;
}

/** Who makes diagnoses: the running service puts itself here. */
export class Diagnostics {
  make: ((operator: OperatorCertificateBody) => Promise<MadeDiagnosis>) | undefined;
}

export interface DiagnosisAnswerParts {
  readonly identity: AgentIdentity;
  readonly diagnostics: Diagnostics | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * What one session answers operators who ask how this agent is. The collector hands question and
 * answer on, and can read neither.
 */
export class DiagnosisAnswer {
  readonly #parts: DiagnosisAnswerParts;
  readonly #session: Pick<Session, 'send'>;
  readonly #seen = new Set<string>();
  #busy = false;

  constructor(parts: DiagnosisAnswerParts, session: Pick<Session, 'send'>) {
    this.#parts = parts;
    this.#session = session;
  }

  /**
   * Answers one question, with a diagnosis or with the code of a refusal. Throws `UPLINK_PROTOCOL`
   * for what no collector of ours hands on.
   */
  async asked(asked: DiagnosisRequest): Promise<void> {
    const askId = askIdOf(asked);
    if (this.#seen.has(hex(askId)) || this.#seen.size >= MOST_IN_A_SESSION)
      throw new UplinkError(
        'UPLINK_PROTOCOL',
        'the collector asks for diagnoses again and again; tell central IT',
      );
    this.#seen.add(hex(askId));
    const answer = this.#busy ? NOT_NOW : await this.#answer(asked);
    if (typeof answer === 'string')
      await this.#session.send({ type: 'diagnosis', askId, code: answer, ephemeralKey: undefined });
    else
      await this.#session.send(
        { type: 'diagnosis', askId, code: '', ephemeralKey: answer.ephemeralKey },
        answer.sealed,
      );
  }

  async #answer(asked: DiagnosisRequest) {
    const { identity, diagnostics, clock, random } = this.#parts;
    this.#busy = true;
    try {
      const { agentId } = enrolmentOf(identity);
      const { body, operator } = verifyDiagnosisRequest(
        identity.descriptor,
        agentId,
        asked,
        clock.nowMs(),
      );
      let made: MadeDiagnosis | undefined = await diagnostics?.make?.(operator);
      for (; made !== undefined; made = made.shorter()) {
        const box = sealDiagnosis(operator.boxKey, body, made.text, random);
        if (box !== undefined) return box;
      }
      return NOT_NOW;
    } catch (error) {
      if (error instanceof CertificateError || error instanceof CryptoError) return error.code;
      throw error;
    } finally {
      this.#busy = false;
    }
  }
}

const NOT_NOW = 'DIAGNOSIS_NOT_NOW' satisfies DiagnosisErrorCode;

function askIdOf({ request }: DiagnosisRequest): Uint8Array {
  try {
    return decodeDiagnosisRequestBody(request.body).askId;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UplinkError(
      'UPLINK_PROTOCOL',
      `the collector hands on a question that is none: ${error.message}`,
      { cause: error },
    );
  }
}
