import {
  CARRIED_LENGTH_BYTES,
  decodeClientFrame,
  encodeCarriedLength,
  FormatError,
  MAX_CARRIED_COMMITS,
  splitFrame,
} from '@aliquot/proto';
import { CarriedReader } from '@aliquot/shared/carry/carried-file';
import { CarryError } from '@aliquot/shared/carry/errors';
import { type CarriedQuestion, carriedBy, verifyQuestion } from '@aliquot/shared/carry/statements';
import type { ProgressState } from '@aliquot/shared/cli/output';
import { hex, u64be } from '@aliquot/shared/crypto/bytes';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { writeStreamDurably } from '@aliquot/shared/durable/write-stream';
import { readAgent } from '@aliquot/shared/keys/certificates';
import type { Random } from '@aliquot/shared/ports';
import { type CarriedCommit, type PartAnswer, partAnswer } from '../api/carried.ts';
import { readRecords } from '../api/record-stream.ts';
import { CommandError } from '../cli/command-error.ts';
import { CollectorClient } from './client/collector-client.ts';
import type { VaultClient } from './client/vault-client.ts';
import { type Endpoint, send, sendJson } from './http-client.ts';

/** Frames are gathered into requests of about this size. */
const PART_BYTES = 2 * 1024 * 1024;

export interface BringParts {
  readonly files: FilePort;
  readonly random: Random;
  readonly endpoint: Endpoint;
  /**
   * Demands that the collector's log continues what this operator has seen; called before anything
   * is sent.
   */
  readonly demand: (vault: VaultClient) => Promise<void>;
  /** Lets in what an agent that was revoked or replaced had signed; it is held apart. */
  readonly acceptEnded: boolean;
}

export interface BroughtQueue {
  readonly agent: string;
  /** In the file. */
  readonly commits: number;
  readonly accepted: number;
  /** Accepted ones that the collector had before. */
  readonly repeated: number;
  /** Of the file. */
  readonly bytes: number;
  /** The first commit that was not accepted, and why. */
  readonly stopped: { readonly number: number; readonly message: string } | undefined;
}

/**
 * Brings a carried queue to the collector and writes the receipts. The file is proved whole and
 * signed before anything is sent; memory is that of one part, whatever the file holds. May be
 * repeated. Errors: `CarryError`, and those of every operator command.
 */
export async function bringQueue(
  { files, random, endpoint, demand, acceptEnded }: BringParts,
  from: string,
  to: string,
  onProgress: (state: ProgressState) => void,
): Promise<BroughtQueue> {
  const reader = await CarriedReader.open(files, from, 'queue');
  try {
    const proved = await prove(reader, from);
    const door = await Door.find(endpoint, proved, reader, { demand, acceptEnded });
    const sent = await door.sendAll(reader, onProgress);
    await writeStreamDurably(files, to, door.receipts(sent.leaves), { random });
    const { agent, accepted, repeated, stopped } = sent;
    return { agent, accepted, repeated, stopped, commits: proved.commits, bytes: reader.size };
  } finally {
    await reader.close();
  }
}

interface Proved {
  /** As it stands in the file. */
  readonly frame: Uint8Array;
  readonly question: CarriedQuestion;
  readonly commits: number;
}

/**
 * Reads the whole file: nothing is sent of one that is cut or altered. The signature is checked
 * once the vault is known.
 */
async function prove(reader: CarriedReader, from: string): Promise<Proved> {
  let first: Uint8Array | undefined;
  let commits = 0;
  for await (const frame of reader.frames()) {
    if (first === undefined) first = frame;
    else if (
      understood(reader, () => decodeClientFrame(splitFrame(frame).header)).type === 'commit'
    )
      commits += 1;
  }
  if (first === undefined) throw reader.altered('holds nothing');
  const frame = first;
  const question = understood(reader, () => decodeClientFrame(splitFrame(frame).header));
  if (question.type !== 'auth') throw reader.altered('does not begin with a question');
  if (commits > MAX_CARRIED_COMMITS)
    throw new FormatError(
      'FORMAT_LIMIT',
      `${from} has ${commits} commits, more than the ${MAX_CARRIED_COMMITS} allowed`,
    );
  return { frame, question, commits };
}

function understood<T>(reader: CarriedReader, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof FormatError) throw reader.altered('holds what cannot be read', error);
    throw error;
  }
}

interface Sent {
  readonly agent: string;
  readonly accepted: number;
  readonly repeated: number;
  readonly leaves: readonly number[];
  readonly stopped: BroughtQueue['stopped'];
}

interface DoorParts {
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly query: string;
  readonly question: Uint8Array;
}

/** The collector's endpoints for one carried queue. */
class Door {
  readonly #endpoint: Endpoint;
  readonly #path: string;
  readonly #query: string;
  readonly #question: Uint8Array;

  private constructor({ endpoint, path, query, question }: DoorParts) {
    this.#endpoint = endpoint;
    this.#path = path;
    this.#query = query;
    this.#question = question;
  }

  /** Finds the file's vault at the collector, and proves by it that the agent wrote the file. */
  static async find(
    endpoint: Endpoint,
    { question, frame }: Proved,
    reader: CarriedReader,
    { demand, acceptEnded }: Pick<BringParts, 'demand' | 'acceptEnded'>,
  ): Promise<Door> {
    const { vaultId, name } = understood(
      reader,
      () => readAgent(question.enrolment, question.binding).enrolment,
    );
    const collector = await CollectorClient.connect(endpoint);
    if (!collector.info.vaults.some((vault) => vault.vaultId === hex(vaultId)))
      throw new CarryError(
        'CARRY_OTHER_VAULT',
        `the queue of agent ${name} is of vault ${hex(vaultId)}, which the collector at ${endpoint.url} does not hold`,
      );
    const vault = collector.vault({ vaultId });
    const agent = verifyQuestion(question, vault.descriptor.authorityKey, vaultId);
    if (!carriedBy('queue', agent.binding.signKey, reader.trailer))
      throw reader.altered(`is not signed by agent ${name}`);
    await demand(vault);
    const query = acceptEnded ? '?ended=accept' : '';
    return new Door({
      endpoint,
      path: `/v1/operator/vaults/${vault.info.vaultId}/carry`,
      query,
      question: withLength(frame),
    });
  }

  /**
   * Sends the file part by part, up to the first commit that is not accepted. The question goes
   * alone when there is nothing else.
   */
  async sendAll(reader: CarriedReader, onProgress: (state: ProgressState) => void): Promise<Sent> {
    const leaves: number[] = [];
    let repeated = 0;
    let agent = '';
    let stopped: BroughtQueue['stopped'];
    for await (const part of this.#parts(reader)) {
      const answer = await this.#send(part);
      agent = answer.agent;
      for (const commit of answer.commits) {
        if (commit.type === 'accepted') {
          leaves.push(commit.leafIndex);
          repeated += commit.repeated ? 1 : 0;
        } else stopped = { number: leaves.length + 1, message: whyNot(commit) };
      }
      onProgress({ files: leaves.length, bytes: reader.position, totalBytes: reader.size });
      if (stopped !== undefined) break;
    }
    return { agent, accepted: leaves.length, repeated, leaves, stopped };
  }

  async *receipts(leaves: readonly number[]): AsyncGenerator<Uint8Array, void, void> {
    const body = Buffer.concat([this.#question, ...leaves.map(u64be)]);
    const { body: answer } = await send(this.#endpoint, {
      method: 'POST',
      path: `${this.#path}/receipts${this.#query}`,
      body,
    });
    yield* readRecords(answer);
  }

  async *#parts(reader: CarriedReader): AsyncGenerator<Uint8Array, void, void> {
    let frames: Uint8Array[] = [];
    let bytes = 0;
    let first = true;
    let sent = false;
    for await (const frame of reader.frames()) {
      if (first) {
        first = false;
        continue;
      }
      if (frames.length > 0 && bytes + frame.length > PART_BYTES) {
        yield this.#part(frames);
        sent = true;
        frames = [];
        bytes = 0;
      }
      frames.push(encodeCarriedLength(frame.length), frame);
      bytes += CARRIED_LENGTH_BYTES + frame.length;
    }
    if (frames.length > 0 || !sent) yield this.#part(frames);
  }

  #part(frames: readonly Uint8Array[]): Uint8Array {
    return Buffer.concat([this.#question, ...frames]);
  }

  async #send(body: Uint8Array): Promise<PartAnswer> {
    const { value } = await sendJson(this.#endpoint, {
      method: 'POST',
      path: this.#path + this.#query,
      body,
    });
    const parsed = partAnswer.safeParse(value);
    if (parsed.success) return parsed.data;
    const says = `${this.#endpoint.url} answers in a form that this release does not know: are both of the same release?`;
    throw new CommandError('COMMAND_ANSWER', says, { cause: parsed.error });
  }
}

function withLength(frame: Uint8Array): Uint8Array {
  return Buffer.concat([encodeCarriedLength(frame.length), frame]);
}

function whyNot(commit: Exclude<CarriedCommit, { type: 'accepted' }>): string {
  if (commit.type === 'refused') return `${commit.message} (${commit.code})`;
  const what =
    commit.count === 1 ? `item ${commit.first}` : `${commit.count} items, such as ${commit.first},`;
  return `the collector lacks ${what} and the file does not hold them; connect that PC to the collector, it can read its sources again`;
}
