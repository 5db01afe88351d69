import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { FramedRecords } from '../api/record-stream.ts';
import { RestError } from '../api/rest-error.ts';
import type { VaultStore } from '../store/vault-store.ts';
import { OCTETS } from './answer-frames.ts';
import type { RestContext } from './context.ts';

/** What each part of the operator's routes needs. */
export interface OperatorRoutes {
  readonly app: FastifyInstance;
  readonly context: RestContext;
  /**
   * The vault that a path names.
   *
   * @throws RestError when it names none of this collector.
   */
  readonly vault: (request: FastifyRequest) => VaultStore;
  /** The agent that a path names, as it stands there. */
  readonly agent: (request: FastifyRequest) => string;
  readonly stream: (
    reply: FastifyReply,
    records: AsyncIterable<Uint8Array | FramedRecords>,
  ) => Promise<FastifyReply>;
}

/**
 * The body of a request that carries bytes.
 *
 * @throws RestError when it carries anything else.
 */
export function bytesOf({ body }: FastifyRequest): Uint8Array {
  if (!(body instanceof Uint8Array))
    throw new RestError('REST_BAD_REQUEST', `this endpoint takes ${OCTETS}`);
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}
