import { encodeSigned } from '@aliquot/proto';
import type { DiagnosisRequest } from '@aliquot/shared/diagnosis/sealed';
import type { z } from 'zod';
import { toBase64 } from '../../api/base64.ts';
import {
  type DiagnosisMessage,
  diagnosisMessage,
  leafAnswer,
  type PolicyMessage,
  policyMessage,
  type setPolicyRequest,
} from '../../api/messages.ts';
import { getOf, postTo, type VaultPath } from './ask.ts';

/** What operators set for agents, and ask them. */
export class DeskClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  /** The newest policy, or the one of a revision, as it was set; nothing of it is verified. */
  async policy(revision?: number): Promise<PolicyMessage> {
    return (
      await getOf(
        this.#path,
        policyMessage,
        revision === undefined ? '/policy' : `/policy?revision=${revision}`,
      )
    ).value;
  }

  async setPolicy(request: z.infer<typeof setPolicyRequest>): Promise<void> {
    await postTo(this.#path, leafAnswer, '/policy', request);
  }

  /** Hands out what waits, up to a number of settings. */
  async promote(sequence: number): Promise<void> {
    await postTo(this.#path, leafAnswer, '/policy/promote', { sequence });
  }

  /** Hands a question to a connected agent; the answer is sealed to who signed it. */
  async diagnose(
    agentId: string,
    { request, certificate }: DiagnosisRequest,
  ): Promise<DiagnosisMessage> {
    const body = {
      request: toBase64(encodeSigned(request)),
      certificate: toBase64(encodeSigned(certificate)),
    };
    return (await postTo(this.#path, diagnosisMessage, `/agents/${agentId}/diagnosis`, body)).value;
  }
}
