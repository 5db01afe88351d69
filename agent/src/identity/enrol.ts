import {
  type ChainId,
  encodeEnrolRequest,
  type GroupCertificateBody,
  isAgentName,
  type Signed,
} from '@aliquot/proto';
import { newBoxKey } from '@aliquot/shared/crypto/box';
import { equalBytes } from '@aliquot/shared/crypto/primitives';
import { newSigningKey, type SigningKey } from '@aliquot/shared/crypto/sign';
import { ensureDirectory } from '@aliquot/shared/durable/durable';
import type { FilePort } from '@aliquot/shared/durable/file-port';
import { type AnyBundle, openAnyBundle } from '@aliquot/shared/keys/bundle';
import { issueBinding, verifyAgent } from '@aliquot/shared/keys/certificates';
import { memberPathKey } from '@aliquot/shared/keys/derive';
import { issueMember, mayBeNamed } from '@aliquot/shared/keys/group';
import type { Clock, Random } from '@aliquot/shared/ports';
import { AddressBook, addressesOf } from './addresses.ts';
import { ask, checkAnswer, isDefinite, type Post, post, refusal } from './enrol-request.ts';
import { IdentityError } from './errors.ts';
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
  readonly post?: Post;
}

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

function sameSigned(left: Signed, right: Signed): boolean {
  return equalBytes(left.body, right.body) && equalBytes(left.signature, right.signature);
}
