import { decodeStateRecord, type StateRecord } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { toBase64 } from '../../api/base64.ts';
import { type NameRecord, nameRecord } from '../../api/messages.ts';
import type { VersionId } from '../../api/version-id.ts';
import { post, recordsOf, understood, type VaultPath } from './ask.ts';

/** Versions and names of a vault. */
export class ReadingClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  async *state(agentId: string, atMs: number | undefined): AsyncGenerator<StateRecord> {
    const query = atMs === undefined ? '' : `?at=${Math.max(0, Math.floor(atMs))}`;
    for await (const record of recordsOf(this.#path.endpoint, {
      method: 'GET',
      path: `${this.#path.base}/agents/${agentId}/state${query}`,
    }))
      yield decodeStateRecord(record);
  }

  async *versions(agentId: string, fileId: Uint8Array): AsyncGenerator<StateRecord> {
    const path = `${this.#path.base}/agents/${agentId}/versions/${hex(fileId)}`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  async *everyVersion(agentId: string): AsyncGenerator<StateRecord> {
    const path = `${this.#path.base}/agents/${agentId}/versions`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  /**
   * The commits that hold versions whose id begins as asked: one, or a few that show that it is not
   * enough.
   */
  async *versionsById(agentId: string, { digits, slot }: VersionId): AsyncGenerator<StateRecord> {
    const path = `${this.#path.base}/agents/${agentId}/version/${digits}${slot === undefined ? '' : `.${slot}`}`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path }))
      yield decodeStateRecord(record);
  }

  /** Names that the collector opened itself; only where the vault is not blind. */
  async *names(request: {
    agentId?: string | undefined;
    atMs?: number | undefined;
    versionsOf?: Uint8Array;
    every?: true;
  }): AsyncGenerator<NameRecord> {
    const atMs = request.atMs && Math.max(0, Math.floor(request.atMs));
    const body = {
      agentId: request.agentId,
      atMs,
      versionsOf: request.versionsOf && toBase64(request.versionsOf),
      every: request.every,
    };
    for await (const record of recordsOf(
      this.#path.endpoint,
      post(`${this.#path.base}/names`, body),
    )) {
      yield understood(
        this.#path.endpoint,
        nameRecord,
        JSON.parse(Buffer.from(record).toString('utf8')),
      );
    }
  }
}
