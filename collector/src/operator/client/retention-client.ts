import { encodeSigned, type Signed } from '@aliquot/proto';
import type { z } from 'zod';
import { toBase64 } from '../../api/base64.ts';
import { leafAnswer } from '../../api/messages.ts';
import {
  type DroppedAnswer,
  droppedAnswer,
  type ExplainAnswer,
  explainAnswer,
  type explainRequest,
  type FiguresInfo,
  type RetentionInfo,
  type RunAnswer,
  retentionAnswer,
  runAnswer,
  type simulateRequest,
  simulationAnswer,
} from '../../api/retention-messages.ts';
import { CommandError } from '../../cli/command-error.ts';
import { getOf, post, postTo, recordsOf, understood, type VaultPath } from './ask.ts';

/** Runs of retention of a vault. */
export class RetentionClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async info(): Promise<RetentionInfo> {
    return (await getOf(this.#path, retentionAnswer, '/retention')).value;
  }

  async run(): Promise<RunAnswer> {
    return this.#working(runAnswer, '/run', {});
  }

  async simulate(asked: z.infer<typeof simulateRequest>): Promise<FiguresInfo> {
    return (await this.#working(simulationAnswer, '/simulate', asked)).figures;
  }

  async approve(approval: Signed, certificate: Signed | undefined): Promise<void> {
    const body = {
      approval: toBase64(encodeSigned(approval)),
      certificate: certificate && toBase64(encodeSigned(certificate)),
    };
    await postTo(this.#path, leafAnswer, '/retention/approvals', body);
  }

  async undo(run: number): Promise<void> {
    await postTo(this.#path, leafAnswer, '/retention/undo', { run });
  }

  async explain(agentId: string, wanted: z.infer<typeof explainRequest>): Promise<ExplainAnswer> {
    return (await postTo(this.#path, explainAnswer, `/agents/${agentId}/explain`, wanted)).value;
  }

  /** What was dropped of the versions that an id, or its beginning, may mean. */
  async dropped(agentId: string, version: string): Promise<DroppedAnswer> {
    const path = `/agents/${agentId}/dropped`;
    return (await postTo(this.#path, droppedAnswer, path, { version })).value;
  }

  /** Asks for long work: the last record is the answer. */
  async #working<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    body: unknown,
  ): Promise<z.infer<Schema>> {
    const { endpoint, base } = this.#path;
    let last: Uint8Array | undefined;
    for await (const record of recordsOf(endpoint, post(`${base}/retention${path}`, body)))
      last = record;
    if (last === undefined)
      throw new CommandError('COMMAND_ANSWER', `${endpoint.url} answered nothing`);
    const value: unknown = JSON.parse(Buffer.from(last).toString('utf8'));
    return understood(endpoint, schema, value);
  }
}
