/** FORMAT.md, "VaultDescriptorBody" to "EnrolAnswer": certificates, kit and bundle. */
import {
  MAX_ADDRESSES,
  MAX_AGENT_NAME_CHARS,
  MAX_CHUNK_PLAIN_BYTES,
  MAX_DEDUP_SECRETS,
  MAX_KEY_FILE_BYTES,
  MAX_NAME_CHARS,
  MAX_PEM_CHARS,
  MAX_SCRYPT_BYTES,
  MAX_SCRYPT_LOG_N,
  MAX_SCRYPT_P,
  MAX_SCRYPT_R,
  MAX_SIGNED_BODY_BYTES,
  MAX_TLS_PINS,
  MAX_URL_CHARS,
  MIN_CHUNK_PLAIN_BYTES,
  TAG_BYTES,
} from '../limits.ts';
import type {
  AgentBindingBody,
  BundleContents,
  CollectorAddress,
  CollectorAddressesBody,
  CollectorCertificateBody,
  DedupSecret,
  EnrolAnswer,
  EnrolAnswerBody,
  EnrolmentCertificateBody,
  EnrolRequest,
  GroupMember,
  KitContents,
  KitFile,
  VaultDescriptorBody,
  VaultParameters,
} from '../vault-types.ts';
import { codec } from './codec.ts';
import { signed, treeHead } from './common.ts';
import { checked, type Field, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import { settingsField } from './policy.ts';
import {
  AGENT_NAME,
  agentId,
  bytes,
  collectorId,
  flag,
  groupId,
  hash,
  hashes,
  lineageId,
  NAME,
  positive,
  positive32,
  signature,
  text,
  timeMs,
  uint,
  vaultId,
  versionNumber,
} from './scalar.ts';

/** Whether this may be an agent's name. */
export function isAgentName(name: string): boolean {
  return name.length <= MAX_AGENT_NAME_CHARS && AGENT_NAME.test(name);
}

const vaultName = text(1, MAX_NAME_CHARS, NAME, 'printable and on one line');
const agentName = text(
  1,
  MAX_AGENT_NAME_CHARS,
  AGENT_NAME,
  'letters, digits, dot, underscore or hyphen, a letter or digit first',
);
const chunkBytes = uint(MIN_CHUNK_PLAIN_BYTES, MAX_CHUNK_PLAIN_BYTES);

const parameters: Field<VaultParameters> = checked(
  object<VaultParameters>('VaultParameters', {
    chunkerVersion: versionNumber,
    minChunkBytes: chunkBytes,
    averageChunkBytes: chunkBytes,
    maxChunkBytes: chunkBytes,
    encoderVersion: versionNumber,
  }),
  (value, label) => {
    if (
      value.minChunkBytes > value.averageChunkBytes ||
      value.averageChunkBytes > value.maxChunkBytes
    ) {
      throw refusal('FORMAT_MALFORMED', label, 'must have chunk sizes in rising order');
    }
  },
);

/** What a vault is: signed by the authority key whose hash is its id. */
export const { encode: encodeVaultDescriptorBody, decode: decodeVaultDescriptorBody } =
  codec<VaultDescriptorBody>(
    'VaultDescriptorBody',
    v1.VaultDescriptorBody,
    object<VaultDescriptorBody>('VaultDescriptorBody', {
      version,
      vaultId,
      name: vaultName,
      authorityKey: hash,
      vaultKey: hash,
      catalogKey: hash,
      blind: flag,
      parameters,
      createdAtMs: timeMs,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** Whose receipts and heads count for a vault. */
export const { encode: encodeCollectorCertificateBody, decode: decodeCollectorCertificateBody } =
  codec<CollectorCertificateBody>(
    'CollectorCertificateBody',
    v1.CollectorCertificateBody,
    object<CollectorCertificateBody>('CollectorCertificateBody', {
      version,
      vaultId,
      collectorId,
      signKey: hash,
      generation: positive32,
      issuedAtMs: timeMs,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** The authority's permission for one PC. */
export const { encode: encodeEnrolmentCertificateBody, decode: decodeEnrolmentCertificateBody } =
  codec<EnrolmentCertificateBody>(
    'EnrolmentCertificateBody',
    v1.EnrolmentCertificateBody,
    checked(
      object<EnrolmentCertificateBody>('EnrolmentCertificateBody', {
        version,
        vaultId,
        agentId,
        lineageId,
        replaces: optional(agentId),
        name: agentName,
        enrolmentKey: hash,
        selfRestore: flag,
        dedupEpoch: positive32,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
        lineageGroup: optional(groupId),
      }),
      (body, label) => {
        if (body.expiresAtMs < body.issuedAtMs)
          throw refusal('FORMAT_MALFORMED', label, 'expires before it was issued');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** An agent's own keys, signed with the enrolment key, or in a group with the group's. */
export const { encode: encodeAgentBindingBody, decode: decodeAgentBindingBody } =
  codec<AgentBindingBody>(
    'AgentBindingBody',
    v1.AgentBindingBody,
    object<AgentBindingBody>('AgentBindingBody', {
      version,
      vaultId,
      agentId,
      signKey: hash,
      boxKey: hash,
      member: optional(
        object<GroupMember>('AgentBindingBody.GroupMember', {
          name: agentName,
          possession: signature,
        }),
      ),
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** Secrets by epoch, each epoch once, in rising order. */
const dedupSecrets: Field<readonly DedupSecret[]> = checked(
  list(
    object<DedupSecret>('DedupSecret', { epoch: positive32, secret: hash }),
    1,
    MAX_DEDUP_SECRETS,
  ),
  (secrets, label) => {
    const ordered = secrets.every(
      (secret, i) => i === 0 || secret.epoch > (secrets[i - 1]?.epoch ?? 0),
    );
    if (!ordered) throw refusal('FORMAT_MALFORMED', label, 'must have epochs in rising order');
  },
);

/** Everything in a recovery kit, in clear: exists only in the memory of an operator's command. */
export const { encode: encodeKitContents, decode: decodeKitContents } = codec<KitContents>(
  'KitContents',
  v1.KitContents,
  object<KitContents>('KitContents', {
    version,
    descriptor: signed,
    authoritySeed: hash,
    vaultSecretKey: hash,
    catalogSecretKey: hash,
    dedupSecrets,
    pathSecret: hash,
  }),
  { maxBytes: MAX_KEY_FILE_BYTES, maxFields: MAX_DEDUP_SECRETS + 8 },
);

/** The sealed kit. Its scrypt parameters are limited here, before anybody spends memory on them. */
export const { encode: encodeKitFile, decode: decodeKitFile } = codec<KitFile>(
  'KitFile',
  v1.KitFile,
  checked(
    object<KitFile>('KitFile', {
      version,
      vaultName,
      vaultId,
      scryptLogN: uint(1, MAX_SCRYPT_LOG_N),
      scryptR: uint(1, MAX_SCRYPT_R),
      scryptP: uint(1, MAX_SCRYPT_P),
      salt: bytes(16, 64),
      sealed: bytes(TAG_BYTES + 1, MAX_KEY_FILE_BYTES),
    }),
    (file, label) => {
      if (128 * 2 ** file.scryptLogN * file.scryptR > MAX_SCRYPT_BYTES)
        throw refusal('FORMAT_LIMIT', label, 'asks scrypt for more than 1 GiB');
    },
  ),
  { maxBytes: MAX_KEY_FILE_BYTES },
);

const addressFields = {
  url: text(1, MAX_URL_CHARS, /^[\x21-\x7e]+$/, 'a URL in printable ASCII'),
  tlsCa: text(0, MAX_PEM_CHARS, /^[\x20-\x7e\r\n]*$/, 'PEM text'),
  tlsPins: hashes(0, MAX_TLS_PINS),
};

const address: Field<CollectorAddress> = checked(
  object<CollectorAddress>('CollectorAddress', addressFields),
  ({ url }, label) => {
    if (!isCollectorUrl(url))
      throw refusal(
        'FORMAT_MALFORMED',
        label,
        'must be an https address, or http on the machine itself, without user, query or fragment',
      );
  },
);

/**
 * Whether agents may be sent there: `https:` anywhere, `http:` on the machine itself only (nothing
 * goes in clear over a network), and nothing in it but host, port and path.
 */
export function isCollectorUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password, search, hash: fragment } = new URL(url);
  if (username !== '' || password !== '' || search !== '' || fragment !== '') return false;
  if (protocol === 'https:') return true;
  const loopback =
    hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
  return protocol === 'http:' && loopback;
}

/** Where the collector is: signed by the authority, handed from the collector to its agents. */
export const { encode: encodeCollectorAddressesBody, decode: decodeCollectorAddressesBody } =
  codec<CollectorAddressesBody>(
    'CollectorAddressesBody',
    v1.CollectorAddressesBody,
    checked(
      object<CollectorAddressesBody>('CollectorAddressesBody', {
        version,
        vaultId,
        revision: positive,
        addresses: list(address, 1, MAX_ADDRESSES),
      }),
      ({ addresses }, label) => {
        const urls = new Set(addresses.map(({ url }) => url));
        if (urls.size !== addresses.length)
          throw refusal('FORMAT_MALFORMED', label, 'names an address twice');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** What one PC, or each of a group, needs to enrol: a secret. */
export const { encode: encodeBundleContents, decode: decodeBundleContents } = codec<BundleContents>(
  'BundleContents',
  v1.BundleContents,
  checked(
    object<BundleContents>('BundleContents', {
      version,
      ...addressFields,
      descriptor: signed,
      collectorCertificate: signed,
      enrolment: signed,
      enrolmentSeed: hash,
      dedupSecrets,
      pathKey: optional(hash),
      addresses: optional(signed),
      settings: optional(settingsField),
      groupSecret: optional(hash),
    }),
    (contents, label) => {
      const one = (contents.pathKey === undefined) !== (contents.groupSecret === undefined);
      if (!one)
        throw refusal('FORMAT_MALFORMED', label, 'must have a path key, or the secret of a group');
    },
  ),
  { maxBytes: MAX_KEY_FILE_BYTES, maxFields: MAX_DEDUP_SECRETS + 16 },
);

/** The body of an agent's request to be enrolled. */
export const { encode: encodeEnrolRequest, decode: decodeEnrolRequest } = codec<EnrolRequest>(
  'EnrolRequest',
  v1.EnrolRequest,
  object<EnrolRequest>('EnrolRequest', { version, enrolment: signed, binding: signed }),
  { maxBytes: MAX_KEY_FILE_BYTES },
);

/** What the collector signs for an enrolment. */
export const { encode: encodeEnrolAnswerBody, decode: decodeEnrolAnswerBody } =
  codec<EnrolAnswerBody>(
    'EnrolAnswerBody',
    v1.EnrolAnswerBody,
    object<EnrolAnswerBody>('EnrolAnswerBody', {
      version,
      vaultId,
      agentId,
      bindingHash: hash,
      enrolledAtMs: timeMs,
      head: treeHead,
      pending: flag,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** The collector's answer to an enrolment, with its certificate. */
export const { encode: encodeEnrolAnswer, decode: decodeEnrolAnswer } = codec<EnrolAnswer>(
  'EnrolAnswer',
  v1.EnrolAnswer,
  object<EnrolAnswer>(
    'EnrolAnswer',
    { answer: signed, collectorCertificate: signed, approval: optional(signed) },
    { impliedVersion: true },
  ),
  { maxBytes: MAX_KEY_FILE_BYTES },
);
