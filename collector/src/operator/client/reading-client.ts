import {
  decodeHistoryCommit,
  decodeStateRecord,
  type HistoryCommit,
  type StateRecord,
} from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { jsonOf } from '@aliquot/shared/json';
import type { ZodType, z } from 'zod';
import { toBase64 } from '../../api/base64.ts';
import {
  type DamagedCommit,
  damagedCommit,
  type ProvedEvents,
  provedEvents,
} from '../../api/log-part.ts';
import {
  lostRecord,
  type NameRecord,
  nameRecord,
  type ResultRecord,
  resultRecord,
} from '../../api/messages.ts';
import type { VersionId } from '../../api/version-id.ts';
import { getOf, post, recordsOf, understood, type VaultPath } from './ask.ts';

/** A commit, or the word of the collector that its record is damaged. */
export type StateAnswer = StateRecord | z.infer<typeof lostRecord>;

/** What a JSON record begins with, and no other does. */
const BRACE = 0x7b;

/** Versions and names of a vault. */
export class ReadingClient {
  readonly #path: VaultPath;

  constructor(path: VaultPath) {
    this.#path = path;
  }

  state(agentId: string, atMs: number | undefined): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/state${atQuery(atMs)}`);
  }

  versions(agentId: string, fileId: Uint8Array): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/versions/${hex(fileId)}`);
  }

  everyVersion(agentId: string): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/versions`);
  }

  /**
   * The commits that hold versions whose id begins as asked: one, or a few that show that it is not
   * enough.
   */
  versionsById(agentId: string, { digits, slot }: VersionId): AsyncGenerator<StateAnswer> {
    const id = slot === undefined ? digits : `${digits}.${slot}`;
    return this.#records(`${agentId}/version/${id}`);
  }

  results(agentId: string, atMs: number | undefined): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/results${atQuery(atMs)}`);
  }

  /** Every version of one result, oldest first. */
  resultVersions(agentId: string, resultId: Uint8Array): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/results/${hex(resultId)}`);
  }

  /** The files at a time that say in clear that they belong to a result. */
  members(agentId: string, resultId: Uint8Array, atMs?: number): AsyncGenerator<StateAnswer> {
    return this.#records(`${agentId}/results/${hex(resultId)}/members${atQuery(atMs)}`);
  }

  /** Names that the collector opened itself; only where the vault is not blind. */
  names(request: NamesQuestion & { readonly every?: true }): AsyncGenerator<NameRecord> {
    return this.#named(request, nameRecord);
  }

  /** The same of results. */
  resultNames(request: NamesQuestion): AsyncGenerator<ResultRecord> {
    return this.#named({ ...request, results: true }, resultRecord);
  }

  /** Every commit of the agent's lineage in a part of the log, on whichever branch. */
  async *commits(
    agentId: string,
    from: number,
    size: number,
  ): AsyncGenerator<HistoryCommit | DamagedCommit> {
    const path = `${this.#path.base}/agents/${agentId}/commits?from=${from}&size=${size}`;
    for await (const record of recordsOf(this.#path.endpoint, { method: 'GET', path }))
      yield record[0] === BRACE
        ? understood(this.#path.endpoint, damagedCommit, jsonOf(record))
        : decodeHistoryCommit(record);
  }

  /** The events up to a size of the log by which files of a history are gone. */
  async goneEvents(agentId: string, size: number): Promise<ProvedEvents['events']> {
    return (await getOf(this.#path, provedEvents, `/agents/${agentId}/gone?size=${size}`)).value
      .events;
  }

  async *#records(path: string): AsyncGenerator<StateAnswer> {
    const question = { method: 'GET', path: `${this.#path.base}/agents/${path}` } as const;
    for await (const record of recordsOf(this.#path.endpoint, question))
      yield record[0] === BRACE
        ? understood(this.#path.endpoint, lostRecord, jsonOf(record))
        : decodeStateRecord(record);
  }

  async *#named<T>(
    { atMs, versionsOf, ...request }: NamesQuestion & { every?: true; results?: true },
    shape: ZodType<T>,
  ): AsyncGenerator<T> {
    const body = {
      ...request,
      atMs: atMs && Math.max(0, Math.floor(atMs)),
      versionsOf: versionsOf && toBase64(versionsOf),
    };
    const question = post(`${this.#path.base}/names`, body);
    for await (const record of recordsOf(this.#path.endpoint, question))
      yield understood(
        this.#path.endpoint,
        shape,
        JSON.parse(Buffer.from(record).toString('utf8')),
      );
  }
}

/** Whose names, of which time; with a path every version of what has that. */
interface NamesQuestion {
  readonly agentId?: string | undefined;
  readonly atMs?: number | undefined;
  readonly versionsOf?: Uint8Array;
}

function atQuery(atMs: number | undefined): string {
  return atMs === undefined ? '' : `?at=${Math.max(0, Math.floor(atMs))}`;
}
