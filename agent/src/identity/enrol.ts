import type { TLSSocket } from 'node:tls';
import {
  type ChainId,
  type CollectorAddress,
  decodeEnrolAnswer,
  type EnrolAnswerBody,
  encodeEnrolRequest,
  FormatError,
  type GroupCertificateBody,
  isAgentName,
  type Signed,
} from '@aliquot/proto';
import { httpRequest, httpsRequest } from '@aliquot/shared/cli/http';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { ensureDirectory } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { jsonOf } from '@aliquot/shared/json';
import { type AnyBundle, openAnyBundle } from '@aliquot/shared/keys/bundle';
import {
  type AgentCertificate,
  CertificateError,
  issueBinding,
  verifyAgent,
  verifyEnrolAnswer,
} from '@aliquot/shared/keys/certificates';
import { memberPathKey } from '@aliquot/shared/keys/derive';
import { issueMember, mayBeNamed } from '@aliquot/shared/keys/group';
import type { Clock, Random } from '@aliquot/shared/ports';
import { certificateTrouble } from '@aliquot/shared/session/certificate-trouble';
import { AddressBook, addressesOf } from './addresses.ts';
import { IdentityError, type IdentityErrorCode } from './errors.ts';
import { nameFromHost } from './host-name.ts';
import type { AgentIdentity } from './identity.ts';
import {
  eraseIdentity,
  identityPaths,
  readIdentity,
  type StoredIdentity,
  verifyIdentity,
  writeIdentity,
} from './identity-file.ts';
import { bySystem, serverAddress, tlsOptions } from './tls.ts';

export interface EnrolOptions {
  /** Text of the bundle file. */
  readonly bundle: string;
  /** A folder that `createDataFolder` or `openDataFolder` gave. */
  readonly dataDir: string;
  readonly port: FilePort;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * The present chain of the folder's queue, where the bundle replaces the very agent that the
   * folder is enrolled as (`replacesAgent`): queue and history then go on under the new one. Every
   * signed commit of the old one must have its receipt.
   */
  readonly takesOver?: ChainId | undefined;
  /**
   * What this PC is to be called in a group: `asked` by somebody, else after its `host`. A single
   * PC's bundle says its name.
   */
  readonly name?: { readonly asked: string | undefined; readonly host: string };
  /** Called when the PC is known at the collector, and waits for an operator's approval. */
  readonly onPending?: () => void;
  /** Sends the request and gives the answer; by default over HTTP. */
  readonly post?: (trust: CollectorAddress, path: string, body: Uint8Array) => Promise<HttpAnswer>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

const MAX_ANSWER_BYTES = 256 * 1024;
const IDLE_MS = 30_000;

/**
 * Enrols this PC: makes its keys, has them bound to the bundle's enrolment, and keeps what is
 * needed afterwards.
 *
 * The keys are durable before the collector hears of them, so a crash anywhere in between is mended
 * by running the same command again: same bundle, same keys, same answer. A definite refusal erases
 * them. On success the one-time enrolment seed is gone: it is never written. Errors: `BundleError`,
 * `IdentityError`.
 */
export async function enrol(options: EnrolOptions): Promise<AgentIdentity> {
  const { port, dataDir } = options;
  const paths = identityPaths(dataDir);
  await ensureDirectory(port, paths.dir);
  const finished = await readIdentity(port, paths.identity);
  const begun = await readBegun(port, paths.begun);
  const bundle = openAnyBundle(
    options.bundle,
    isSame(finished, openAnyBundle(options.bundle)) || begun !== undefined
      ? undefined
      : options.clock.nowMs(),
  );
  if (
    finished !== undefined &&
    isSame(finished, bundle) &&
    isCalled(finished, options.name?.asked)
  ) {
    // Also when it is not there: it may have been unlinked by one that died before that was
    // durable.
    await eraseIdentity(port, paths.begun);
    return verifyIdentity(finished);
  }
  const takesOver =
    finished !== undefined && replacesAgent(bundle, verifyIdentity(finished))
      ? options.takesOver
      : undefined;
  if (finished !== undefined && takesOver === undefined) {
    const { name } = verifyIdentity(finished).certificate.enrolment;
    const way = `for a new identity of this PC make a bundle with: aliquot enroll NAME --replaces ${name}; for another agent use an empty folder`;
    throw new IdentityError('ENROL_ALREADY', `${dataDir} is enrolled already, as ${name}; ${way}`);
  }
  if (begun !== undefined && !isSame(begun, bundle)) {
    throw new IdentityError(
      'ENROL_OTHER_BEGUN',
      `an enrolment with another bundle was begun in ${dataDir}; finish it with that one, or use an empty folder`,
    );
  }
  if (begun !== undefined && !isCalled(begun, options.name?.asked)) {
    const { name } = verifyIdentity(begun).certificate.enrolment;
    const way = 'leave --name out to finish it, or use an empty folder';
    throw new IdentityError(
      'ENROL_OTHER_BEGUN',
      `an enrolment as ${name} was begun in ${dataDir}; ${way}`,
    );
  }
  const stored = begun ?? newIdentity(bundle, options, finished, takesOver);
  if (begun === undefined) await writeIdentity(port, paths.begun, stored);
  const identity = verifyIdentity(stored);
  const body = encodeEnrolRequest({
    version: 1,
    enrolment: stored.enrolment,
    binding: stored.binding,
  });
  const { answer, trust } = await ask(addressesOf(bundle), body, options.post ?? post);
  if (answer.status !== 200) {
    // Such keys are bound nowhere, and never will be: another bundle may have the folder. After a
    // crash, or with no answer, they stay.
    if (isDefinite(answer)) await eraseIdentity(port, paths.begun);
    throw refusal(answer, identity.certificate, trust);
  }
  if (checkAnswer(answer.body, identity, trust).pending) options.onPending?.();
  const addresses = await AddressBook.open(port, dataDir, identity);
  if (bundle.signedAddresses !== undefined) await addresses.learn(bundle.signedAddresses);
  await addresses.worked(trust);
  await writeIdentity(port, paths.identity, stored);
  await eraseIdentity(port, paths.begun);
  return identity;
}

/**
 * Whether a bundle is for the successor of an enrolled agent: then its folder may go on as that
 * one.
 */
export function replacesAgent(
  bundle: AnyBundle,
  { certificate: { enrolment } }: AgentIdentity,
): boolean {
  if (bundle.group !== undefined) return false;
  const { replaces, lineageId } = bundle.enrolment;
  return (
    replaces !== undefined &&
    equalBytes(replaces, enrolment.agentId) &&
    equalBytes(lineageId, enrolment.lineageId)
  );
}

function isSame(stored: StoredIdentity | undefined, { signedEnrolment }: AnyBundle): boolean {
  return stored !== undefined && sameSigned(stored.enrolment, signedEnrolment);
}

/** Whether an identity has the name that somebody asks for; without one it may have any. */
function isCalled(stored: StoredIdentity, asked: string | undefined): boolean {
  return asked === undefined || verifyIdentity(stored).certificate.enrolment.name === asked;
}

/**
 * Asks at one address after the other, until one answers; rejects with what was wrong with the
 * first.
 */
export async function ask(
  addresses: readonly CollectorAddress[],
  body: Uint8Array,
  send: NonNullable<EnrolOptions['post']>,
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

/**
 * The keys of an enrolment that was begun. A file that is no identity is one whose erasing was cut
 * short: it goes now. Its keys are bound nowhere or stand in `identity.json`; had it been damaged
 * otherwise, the collector would say that the bundle was used.
 */
async function readBegun(port: FilePort, path: string): Promise<StoredIdentity | undefined> {
  try {
    return await readIdentity(port, path);
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'IDENTITY_DAMAGED') throw error;
    await eraseIdentity(port, path);
    return undefined;
  }
}

/**
 * New keys. In a folder that is taken over the chunk cache stays as it is, and with it its secret.
 */
function newIdentity(
  bundle: AnyBundle,
  { random, name }: EnrolOptions,
  before: StoredIdentity | undefined,
  takesOver: ChainId | undefined,
): StoredIdentity {
  const signKey = newSigningKey(random);
  const boxKey = newBoxKey(random);
  return {
    version: 1,
    url: bundle.url,
    tlsCa: bundle.tlsCa,
    tlsPins: [...bundle.tlsPins],
    descriptor: bundle.signedDescriptor,
    collectorCertificate: bundle.signedCollector,
    enrolment: bundle.signedEnrolment,
    ...bound(bundle, signKey, boxKey.publicKey, name),
    signSeed: signKey.seed,
    boxSecret: boxKey.secretKey,
    chainId: random.bytes(16) as ChainId,
    takesOver,
    cacheSecret: before?.cacheSecret ?? random.bytes(32),
    dedupSecrets: bundle.dedupSecrets.map(({ epoch, secret }) => ({ epoch, secret })),
  };
}

/**
 * The keys bound by the bundle's, and the path key: of the bundle, or made of the group's secret,
 * which is not kept.
 */
function bound(
  bundle: AnyBundle,
  signKey: SigningKey,
  boxKey: Uint8Array,
  name: EnrolOptions['name'],
): Pick<StoredIdentity, 'binding' | 'pathKey'> {
  const { vaultId } = bundle.descriptor;
  if (bundle.group === undefined) {
    const { agentId, name: certified } = bundle.enrolment;
    if (name?.asked !== undefined && name.asked !== certified)
      throw new IdentityError(
        'ENROL_NAME',
        `this bundle is for ${certified}, and no other name; leave --name out`,
      );
    const binding = issueBinding(bundle.enrolmentKey, {
      version: 1,
      vaultId,
      agentId,
      signKey: signKey.publicKey,
      boxKey,
    });
    return { binding, pathKey: bundle.pathKey };
  }
  const binding = issueMember(vaultId, bundle.enrolmentKey, nameIn(bundle.group, name), {
    signKey,
    boxKey,
  });
  const { enrolment } = verifyAgent(
    bundle.descriptor.authorityKey,
    vaultId,
    bundle.signedEnrolment,
    binding,
  );
  return { binding, pathKey: memberPathKey(bundle.groupSecret, enrolment.lineageId) };
}

/** What this PC is called in a group. Errors: `ENROL_NAME`. */
function nameIn(group: GroupCertificateBody, name: EnrolOptions['name']): string {
  const called = name?.asked ?? nameFromHost(name?.host ?? '');
  const say = 'say one: aliquot-agent enroll BUNDLE --name NAME';
  if (called === undefined)
    throw new IdentityError(
      'ENROL_NAME',
      `this PC's host name ("${name?.host ?? ''}") gives no name for it; ${say}`,
    );
  if (!isAgentName(called))
    throw new IdentityError(
      'ENROL_NAME',
      `"${called}" is no agent name; use 1 to 64 letters, digits, dots, dashes and underscores`,
    );
  if (mayBeNamed(group, called)) return called;
  const allowed = `the bundle of group ${group.name} is for PCs named ${group.names.join(' or ')}`;
  throw new IdentityError('ENROL_NAME', `${allowed}, and this one would be ${called}; ${say}`);
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
function isDefinite(answer: HttpAnswer): boolean {
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

function sameSigned(left: Signed, right: Signed): boolean {
  return equalBytes(left.body, right.body) && equalBytes(left.signature, right.signature);
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
