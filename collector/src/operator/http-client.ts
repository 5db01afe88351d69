import type { IncomingMessage } from 'node:http';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { httpRequest, httpsRequest } from '@aliquot/shared/cli/http';
import { jsonOf } from '@aliquot/shared/json';
import { certificateTrouble } from '@aliquot/shared/session/certificate-trouble';
import { isRestErrorCode, RestError } from '../api/rest-error.ts';
import { CommandError } from '../cli/command-error.ts';

/** Where the collector is and how to speak to it as the operator. */
export interface Endpoint {
  /** Base address, no trailing slash. */
  readonly url: string;
  readonly token: string;
  /**
   * PEM of a certificate authority to trust instead of the system's; undefined uses the system's.
   */
  readonly tlsCa: string | undefined;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Uint8Array;
  readonly contentType?: string;
}

/**
 * An answer whose body is not read yet, and (over TLS) the certificates that the collector showed,
 * its own first, up to the authority (DER).
 */
export interface StreamedAnswer {
  readonly body: AsyncIterable<Uint8Array>;
  readonly peerChain: readonly Uint8Array[] | undefined;
}

/** No answer byte for this long means that the collector or the network is gone. */
export const SILENCE_MS = 120_000;
/** JSON answers are lists of agents and figures. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/**
 * Sends one request. A refusal by the collector is raised as the `RestError` it names; a network
 * failure as one line that names the address. Uses node:http rather than fetch because only that
 * takes a certificate authority of our own.
 */
export async function send(endpoint: Endpoint, request: HttpRequest): Promise<StreamedAnswer> {
  const answer = await open(endpoint, request);
  const peerChain = chainOf(answer);
  if (answer.statusCode === 200) return { body: bodyOf(endpoint, answer), peerChain };
  throw refusal(
    endpoint,
    answer.statusCode ?? 0,
    await readAll(bodyOf(endpoint, answer), MAX_JSON_BYTES),
  );
}

/** Sends one request and reads a JSON answer. */
export async function sendJson(
  endpoint: Endpoint,
  request: HttpRequest,
): Promise<{ readonly value: unknown; readonly peerChain: readonly Uint8Array[] | undefined }> {
  const { body, peerChain } = await send(endpoint, request);
  const bytes = await readAll(body, MAX_JSON_BYTES);
  try {
    return { value: JSON.parse(bytes.toString('utf8')), peerChain };
  } catch (cause) {
    throw new CommandError(
      'COMMAND_ANSWER',
      `${endpoint.url} does not answer like an Aliquot collector: is the address right?`,
      { cause },
    );
  }
}

/**
 * Looks whether a server answers at an address, without the operator's token: it may be anybody.
 * The answer is the certificates that it showed (none over plain http), or undefined when nothing
 * can be reached there. Throws `COMMAND_TLS` when its certificate is not trusted.
 */
export async function peerChainAt(
  url: string,
  tlsCa: string | undefined,
): Promise<readonly Uint8Array[] | undefined> {
  try {
    const answer = await open(
      { url, token: undefined, tlsCa },
      { method: 'GET', path: '/healthz' },
    );
    answer.destroy();
    return chainOf(answer) ?? [];
  } catch (error) {
    if (error instanceof CommandError && error.code === 'COMMAND_UNREACHABLE') return undefined;
    throw error;
  }
}

function chainOf({ socket }: IncomingMessage): readonly Uint8Array[] | undefined {
  const tls = socket as Partial<TLSSocket>;
  if (typeof tls.getPeerCertificate !== 'function') return undefined;
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  // The authority at the end names itself as its issuer.
  for (
    let at: DetailedPeerCertificate | undefined = tls.getPeerCertificate(true);
    at?.raw !== undefined;
    at = at.issuerCertificate
  ) {
    if (seen.has(at.fingerprint256)) break;
    seen.add(at.fingerprint256);
    chain.push(new Uint8Array(at.raw));
  }
  return chain;
}

function open(
  endpoint: Omit<Endpoint, 'token'> & { readonly token: string | undefined },
  request: HttpRequest,
): Promise<IncomingMessage> {
  const url = new URL(endpoint.url + request.path);
  const headers: Record<string, string> = { accept: '*/*' };
  if (endpoint.token !== undefined) headers['authorization'] = `Bearer ${endpoint.token}`;
  if (request.body !== undefined) {
    headers['content-type'] = request.contentType ?? 'application/octet-stream';
    headers['content-length'] = String(request.body.length);
  }
  const options = { method: request.method, headers, timeout: SILENCE_MS };
  return new Promise((resolve, reject) => {
    const outgoing =
      url.protocol === 'https:'
        ? httpsRequest(
            url,
            endpoint.tlsCa === undefined ? options : { ...options, ca: endpoint.tlsCa },
            resolve,
          )
        : httpRequest(url, options, resolve);
    outgoing.on('timeout', () =>
      outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
    );
    outgoing.on('error', (error) => reject(networkError(endpoint, error)));
    outgoing.end(request.body);
  });
}

async function* bodyOf(endpoint: Endpoint, answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of answer) yield piece as Buffer;
  } catch (error) {
    throw networkError(endpoint, error);
  }
}

async function readAll(body: AsyncIterable<Uint8Array>, limit: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > limit)
      throw new CommandError('COMMAND_ANSWER', "the collector's answer is above the size limit");
    pieces.push(piece);
  }
  return Buffer.concat(pieces, size);
}

/** What an answer says that is not 200. */
export function refusal(endpoint: Endpoint, status: number, body: Buffer): Error {
  const parsed = jsonOf(body);
  if (
    typeof parsed === 'object' &&
    parsed !== null &&
    'code' in parsed &&
    'message' in parsed &&
    isRestErrorCode(parsed.code)
  )
    return new RestError(parsed.code, oneLine(String(parsed.message)));
  return new CommandError(
    'COMMAND_ANSWER',
    `${endpoint.url} answers with status ${status}, not like an Aliquot collector: is the address right?`,
  );
}

/**
 * What a remote party wrote may hold anything; `runMain` makes it one printable line, this keeps it
 * short.
 */
function oneLine(text: string): string {
  return text.slice(0, 500);
}

/** A failure of the network as one line that names the address. */
export function networkError(endpoint: Pick<Endpoint, 'url'>, error: unknown): CommandError {
  const code =
    typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  const cause = error;
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const way =
      'does it listen with a TLS certificate? Without one its address begins with http://';
    return new CommandError(
      'COMMAND_TLS',
      `${endpoint.url} does not answer in TLS (${code}): ${way}`,
      { cause },
    );
  }
  if (certificateTrouble(error) !== undefined) {
    const way = 'give its authority with --tls-ca FILE, or mend its certificate';
    return new CommandError(
      'COMMAND_TLS',
      `the TLS certificate of ${endpoint.url} is not trusted (${code}): ${way}`,
      { cause },
    );
  }
  const what: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there: is `aliquot serve` running, and is the address right?',
    ENOTFOUND: 'no such host name: check --url or ALIQUOT_URL',
    EAI_AGAIN: 'the host name cannot be looked up now: check --url and the network',
    ECONNRESET:
      'the connection broke off: look at the log of `aliquot serve`, then run the command again',
    ETIMEDOUT: 'no answer in time: check the network and the log of `aliquot serve`',
    EHOSTUNREACH: 'no way to that host: check the network',
    ENETUNREACH: 'no way to that network: check the network',
  };
  return new CommandError(
    'COMMAND_UNREACHABLE',
    `cannot reach the collector at ${endpoint.url}: ${what[code] ?? code}`,
    { cause },
  );
}
