import type { z } from 'zod';
import { type CollectorInfo, leafAnswer } from '../../api/messages.ts';
import { readRecords } from '../../api/record-stream.ts';
import { CommandError } from '../../cli/command-error.ts';
import { type Endpoint, type HttpRequest, send, sendJson } from '../http-client.ts';

/** A collector that has answered. */
export interface ReachedCollector {
  readonly endpoint: Endpoint;
  readonly info: CollectorInfo;
  /**
   * Over TLS: the certificates that the collector showed, its own first, up to the authority (DER).
   */
  readonly peerChain: readonly Uint8Array[] | undefined;
}

/** Where a vault is at a collector. */
export interface VaultPath {
  readonly endpoint: Endpoint;
  /** In front of the paths of all that is asked of it. */
  readonly base: string;
  /** The vault's name, for messages. */
  readonly name: string;
}

/** Beside the paths, which go to other threads as they are. */
const leafListeners = new WeakMap<VaultPath, () => Promise<void>>();

/** Who hears that something which this process asked for stands in the log as a leaf of its own. */
export function onLeaf(vault: VaultPath, listener: () => Promise<void>): void {
  leafListeners.set(vault, listener);
}

export function getOf<Schema extends z.ZodType>(vault: VaultPath, schema: Schema, path: string) {
  return ask(vault.endpoint, schema, { method: 'GET', path: vault.base + path });
}

export async function postTo<Schema extends z.ZodType>(
  vault: VaultPath,
  schema: Schema,
  path: string,
  body: unknown,
) {
  const answer = await ask(vault.endpoint, schema, post(vault.base + path, body));
  if (leafSchemas.has(schema)) await leafListeners.get(vault)?.();
  return answer;
}

/** Answers by which something is a leaf. */
const leafSchemas: ReadonlySet<z.ZodType> = new Set([leafAnswer]);

/** The records of a streamed answer; proves that all of them came. */
export async function* recordsOf(
  endpoint: Endpoint,
  request: HttpRequest,
): AsyncGenerator<Uint8Array> {
  const { body } = await send(endpoint, request);
  yield* readRecords(body);
}

/** A request that carries `body` as JSON. */
export function post(path: string, body: unknown): HttpRequest {
  return {
    method: 'POST',
    path,
    body: Buffer.from(JSON.stringify(body)),
    contentType: 'application/json',
  };
}

/** Sends a request and takes an answer of that shape. Error: `COMMAND_ANSWER`. */
export async function ask<Schema extends z.ZodType>(
  endpoint: Endpoint,
  schema: Schema,
  request: HttpRequest,
) {
  const { value, peerChain } = await sendJson(endpoint, request);
  return { value: understood(endpoint, schema, value), peerChain };
}

/** A value of that shape. Error: `COMMAND_ANSWER`, when it is of another. */
export function understood<Schema extends z.ZodType>(
  endpoint: Endpoint,
  schema: Schema,
  value: unknown,
): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CommandError(
    'COMMAND_ANSWER',
    `${endpoint.url} answers in a form that this release does not know: are both of the same release?`,
    {
      cause: parsed.error,
    },
  );
}
