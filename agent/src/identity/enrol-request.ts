import type { TLSSocket } from 'node:tls';
import {
  type CollectorAddress,
  decodeEnrolAnswer,
  type EnrolAnswerBody,
  FormatError,
} from '@aliquot/proto';
import { httpRequest, httpsRequest } from '@aliquot/shared/cli/http';
import { jsonOf } from '@aliquot/shared/json';
import {
  type AgentCertificate,
  CertificateError,
  verifyEnrolAnswer,
} from '@aliquot/shared/keys/certificates';
import { certificateTrouble } from '@aliquot/shared/session/certificate-trouble';
import { IdentityError, type IdentityErrorCode } from './errors.ts';
import type { AgentIdentity } from './identity.ts';
import { bySystem, serverAddress, tlsOptions } from './tls.ts';

/*
 * The one request of an enrolment: where it is asked, what comes back, and what a refusal means.
 */

/** What a collector answers to a request. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Sends a request to an address and gives the answer. */
export type Post = (trust: CollectorAddress, path: string, body: Uint8Array) => Promise<HttpAnswer>;

const MAX_ANSWER_BYTES = 256 * 1024;
const IDLE_MS = 30_000;

/**
 * Asks at one address after the other, until one answers; rejects with what was wrong with the
 * first.
 */
export async function ask(
  addresses: readonly CollectorAddress[],
  body: Uint8Array,
  send: Post,
): Promise<{ readonly answer: HttpAnswer; readonly trust: CollectorAddress }> {
  let first: IdentityError | undefined;
  const left = [...addresses];
  for (let trust = left.shift(); trust !== undefined; trust = left.shift()) {
    try {
      return { answer: await send(trust, '/v1/enrol', body), trust };
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      first ??= error;
      const otherwise = error.code === 'ENROL_TLS' ? bySystem(trust) : undefined;
      if (otherwise !== undefined) left.unshift(otherwise);
    }
  }
  throw first ?? new IdentityError('ENROL_UNREACHABLE', 'the bundle names no address');
}

/** The collector's answer, proved to be for this identity. Errors: `ENROL_BAD_ANSWER`. */
export function checkAnswer(
  bytes: Uint8Array,
  identity: AgentIdentity,
  trust: CollectorAddress,
): EnrolAnswerBody {
  try {
    const answer = decodeEnrolAnswer(bytes);
    const { collector, answer: body } = verifyEnrolAnswer(
      identity.descriptor.authorityKey,
      identity.certificate,
      identity.binding,
      answer,
    );
    if (collector.generation < identity.collector.generation) {
      throw new IdentityError(
        'ENROL_BAD_ANSWER',
        `${trust.url} is an older collector than the one that the bundle was made for`,
      );
    }
    return body;
  } catch (cause) {
    if (!(cause instanceof FormatError) && !(cause instanceof CertificateError)) throw cause;
    throw new IdentityError(
      'ENROL_BAD_ANSWER',
      `what answers at ${trust.url} is not the vault's collector: ${cause.message}`,
      { cause },
    );
  }
}

/** What a collector's refusal means for the PC that asked. */
export function refusal(
  answer: HttpAnswer,
  { enrolment: { name }, group }: AgentCertificate,
  trust: CollectorAddress,
): IdentityError {
  const told = toldBy(answer);
  const bundle =
    group === undefined ? `the bundle for ${name}` : `the bundle of group ${group.name}`;
  const anew = 'ask for a new one';
  const byCode: Record<string, readonly [IdentityErrorCode, string]> = {
    ENROL_REVOKED: ['ENROL_REVOKED', `agent ${name} was revoked; ask central IT`],
    ENROL_NAME_TAKEN: [
      'ENROL_NAME_TAKEN',
      `the name ${name} is taken at the collector; say another: aliquot-agent enroll BUNDLE --name NAME`,
    ],
    ENROL_GROUP_FULL: [
      'ENROL_GROUP_FULL',
      `${bundle} was for ${group?.uses ?? 1} PCs, and so many have used it; ${anew}`,
    ],
    ENROL_GROUP_ENDED: ['ENROL_BUNDLE_EXPIRED', `central IT ended ${bundle}; ${anew}`],
  };
  const byStatus: Record<number, readonly [IdentityErrorCode, string]> = {
    403: [
      'ENROL_UNKNOWN',
      `the collector at ${trust.url} does not expect agent ${name}; ask central IT for a new bundle`,
    ],
    404: [
      'ENROL_UNKNOWN',
      `the collector at ${trust.url} does not know this vault; check the address in the bundle`,
    ],
    409: [
      'ENROL_BUNDLE_USED',
      `${bundle} was used already with other keys; ${anew}, and tell central IT if nobody here used it`,
    ],
    410: ['ENROL_BUNDLE_EXPIRED', `${bundle} has expired; ${anew}`],
  };
  const [code, says] = byCode[told.code] ??
    byStatus[answer.status] ?? [
      answer.status >= 500 ? 'ENROL_COLLECTOR_FAILED' : 'ENROL_REFUSED',
      `the collector refused agent ${name}: ${told.says === '' ? `status ${answer.status}` : told.says}`,
    ];
  return new IdentityError(code, says);
}

/**
 * Whether the collector itself refused for good. Something on the way that answers with a bare
 * status does not count: the keys of a request whose answer was lost may be bound already, and
 * without them the bundle is spent.
 */
export function isDefinite(answer: HttpAnswer): boolean {
  return [403, 404, 409, 410].includes(answer.status) && toldBy(answer).code.startsWith('ENROL_');
}

/** The collector's code, and its own words with it, cut to one printable line. */
function toldBy({ body }: HttpAnswer): { readonly code: string; readonly says: string } {
  const value = jsonOf(body);
  if (typeof value !== 'object' || value === null) return { code: '', says: '' };
  const code = 'code' in value && typeof value.code === 'string' ? value.code : '';
  const message = 'message' in value && typeof value.message === 'string' ? value.message : '';
  const says = [code, message].filter((part) => part !== '').join(': ');
  return { code, says: says.replace(/\p{Cc}+/gu, ' ').slice(0, 300) };
}

/**
 * One POST over the bundle's trust. Test only: exported so that TLS is tested without a whole
 * enrolment. Errors: `ENROL_UNREACHABLE` (retryable), `ENROL_TLS`, `ENROL_PLAIN_REMOTE`.
 */
export function post(trust: CollectorAddress, path: string, body: Uint8Array): Promise<HttpAnswer> {
  const url = serverAddress(trust, 'http', path);
  const tls = tlsOptions(trust);
  const headers = {
    'content-type': 'application/octet-stream',
    'content-length': String(body.length),
  };
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(cause instanceof IdentityError ? cause : unreachable(trust, cause));
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = start(
      url,
      {
        method: 'POST',
        headers,
        timeout: IDLE_MS,
        agent: false,
        ca: tls.ca,
        rejectUnauthorized: tls.rejectUnauthorized,
      },
      (response) => {
        const parts: Buffer[] = [];
        let total = 0;
        response.on('data', (part: Buffer) => {
          total += part.length;
          if (total > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too large'));
          else parts.push(part);
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }),
        );
        response.on('error', fail);
      },
    );
    request.on('error', fail);
    request.on('timeout', () => request.destroy(new Error('no answer')));
    const send = (): void => void request.end(body);
    if (url.protocol !== 'https:') return send();
    request.on('socket', (socket) => {
      socket.once('secureConnect', () => {
        const wrong = tls.judge(socket as TLSSocket);
        if (wrong === undefined) send();
        else request.destroy(wrong);
      });
    });
  });
}

function unreachable(trust: CollectorAddress, cause: unknown): IdentityError {
  const code = certificateTrouble(cause);
  if (code !== undefined) {
    return new IdentityError(
      'ENROL_TLS',
      `the TLS certificate of ${trust.url} cannot be trusted (${code}); ask for a bundle with its pin or CA`,
      { cause },
    );
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new IdentityError(
    'ENROL_UNREACHABLE',
    `the collector at ${trust.url} cannot be reached: ${why}; check network and address`,
    { cause },
  );
}
