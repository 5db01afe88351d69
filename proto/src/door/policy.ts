/** FORMAT.md, "OperatorCertificateBody" to "Settings". */

import type {
  PolicyBody,
  Settings,
  SettingsBody,
  SettingsContents,
  SettingsDetail,
} from '../desk-types.ts';
import {
  MAX_AGENT_NAME_CHARS,
  MAX_KEY_FILE_BYTES,
  MAX_SETTINGS_CHARS,
  MAX_SETTINGS_DETAIL_BYTES,
  MAX_SETTINGS_DETAIL_CHARS,
  MAX_SETTINGS_GROUPS,
  MAX_SIGNED_BODY_BYTES,
  TAG_BYTES,
} from '../limits.ts';
import type { OperatorCertificateBody, OperatorContents, OperatorPurpose } from '../vault-types.ts';
import { codec } from './codec.ts';
import { signed } from './common.ts';
import { checked, type Field, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import { rulesField } from './retention.ts';
import {
  AGENT_NAME,
  agentId,
  bytes,
  choice,
  hash,
  positive,
  text,
  timeMs,
  vaultId,
} from './scalar.ts';

/** Every purpose that a certificate may name, with its number on the wire. */
const purposeNumbers: Readonly<Record<OperatorPurpose, number>> = {
  settings: 1,
  agents: 2,
  diagnose: 3,
  retention: 4,
};

/** What an operator key may be certified for, in the order in which certificates name it. */
export const OPERATOR_PURPOSES: readonly OperatorPurpose[] = Object.keys(
  purposeNumbers,
) as OperatorPurpose[];

const purposes: Field<readonly OperatorPurpose[]> = checked(
  list(choice<OperatorPurpose>(purposeNumbers), 1, OPERATOR_PURPOSES.length),
  (all, label) => {
    const rising = all.every(
      (purpose, at) => at === 0 || purposeNumbers[purpose] > purposeNumbers[all[at - 1] ?? purpose],
    );
    if (!rising)
      throw refusal('FORMAT_MALFORMED', label, 'must name each purpose once, in rising order');
  },
);

const name = text(
  1,
  MAX_AGENT_NAME_CHARS,
  AGENT_NAME,
  'letters, digits, dot, underscore or hyphen, a letter or digit first',
);

/** The authority's word that a person's key may do some things for a while. */
export const { encode: encodeOperatorCertificateBody, decode: decodeOperatorCertificateBody } =
  codec<OperatorCertificateBody>(
    'OperatorCertificateBody',
    v1.OperatorCertificateBody,
    checked(
      object<OperatorCertificateBody>('OperatorCertificateBody', {
        version,
        vaultId,
        name,
        signKey: hash,
        boxKey: hash,
        purposes,
        issuedAtMs: timeMs,
        expiresAtMs: timeMs,
      }),
      (body, label) => {
        if (body.expiresAtMs < body.issuedAtMs)
          throw refusal('FORMAT_MALFORMED', label, 'expires before it was issued');
      },
    ),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/**
 * Everything in an operator's key file, in clear: exists only in the memory of an operator's
 * command.
 */
export const { encode: encodeOperatorContents, decode: decodeOperatorContents } =
  codec<OperatorContents>(
    'OperatorContents',
    v1.OperatorContents,
    object<OperatorContents>('OperatorContents', {
      version,
      descriptor: signed,
      certificate: signed,
      signSeed: hash,
      boxSecretKey: hash,
      policySecretKey: optional(hash),
    }),
    { maxBytes: MAX_KEY_FILE_BYTES },
  );

/** The statement that the policy was set: signed by the authority or an operator. */
export const { encode: encodePolicyBody, decode: decodePolicyBody } = codec<PolicyBody>(
  'PolicyBody',
  v1.PolicyBody,
  object<PolicyBody>('PolicyBody', {
    version,
    vaultId,
    revision: positive,
    setAtMs: timeMs,
    sealedHash: hash,
    rules: optional(rulesField),
  }),
  { maxBytes: MAX_SIGNED_BODY_BYTES },
);

/** The settings of one PC, still sealed. */
export const { encode: encodeSettingsBody, decode: decodeSettingsBody } = codec<SettingsBody>(
  'SettingsBody',
  v1.SettingsBody,
  checked(
    object<SettingsBody>('SettingsBody', {
      version,
      vaultId,
      agentId: optional(agentId),
      sequence: positive,
      issuedAtMs: timeMs,
      expiresAtMs: timeMs,
      groups: checked(list(name, 0, MAX_SETTINGS_GROUPS), (groups, label) => {
        if (new Set(groups).size !== groups.length)
          throw refusal('FORMAT_MALFORMED', label, 'names a group twice');
      }),
      ephemeralKey: optional(hash),
      sealed: optional(bytes(TAG_BYTES + 1, MAX_SIGNED_BODY_BYTES)),
      contents: optional(bytes(1, MAX_SIGNED_BODY_BYTES)),
    }),
    (body, label) => {
      if (body.expiresAtMs < body.issuedAtMs)
        throw refusal('FORMAT_MALFORMED', label, 'expires before it was issued');
      if ((body.sealed === undefined) === (body.contents === undefined))
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must have its contents either sealed or in clear',
        );
      if ((body.sealed === undefined) !== (body.ephemeralKey === undefined))
        throw refusal(
          'FORMAT_MALFORMED',
          label,
          'must have a key exactly where its contents are sealed',
        );
      if (body.sealed !== undefined && body.agentId === undefined)
        throw refusal('FORMAT_MALFORMED', label, 'is sealed and does not say for which agent');
    },
  ),
  { maxBytes: MAX_SIGNED_BODY_BYTES },
);

/** Lines of text that a person wrote, or that are written for one. */
const LINES = /^[^\p{Cc}\p{Co}]*(?:[\n\t][^\p{Cc}\p{Co}]*)*$/u;

/** The settings of a PC. */
export const { encode: encodeSettingsContents, decode: decodeSettingsContents } =
  codec<SettingsContents>(
    'SettingsContents',
    v1.SettingsContents,
    object<SettingsContents>('SettingsContents', {
      version,
      text: text(1, MAX_SETTINGS_CHARS, LINES, 'lines without control characters'),
      answerKey: hash,
    }),
    { maxBytes: MAX_SIGNED_BODY_BYTES },
  );

/** Why a PC refuses its settings. */
export const { encode: encodeSettingsDetail, decode: decodeSettingsDetail } = codec<SettingsDetail>(
  'SettingsDetail',
  v1.SettingsDetail,
  object<SettingsDetail>('SettingsDetail', {
    version,
    text: text(1, MAX_SETTINGS_DETAIL_CHARS, LINES, 'lines without control characters'),
  }),
  { maxBytes: MAX_SETTINGS_DETAIL_BYTES },
);

/** Settings inside of other messages. */
export const settingsField: Field<Settings> = object<Settings>(
  'Settings',
  { settings: signed, certificate: optional(signed) },
  { impliedVersion: true },
);

/** Settings as they rest at a PC and a collector. */
export const { encode: encodeSettings, decode: decodeSettings } = codec<Settings>(
  'Settings',
  v1.Settings,
  settingsField,
  {
    maxBytes: 3 * MAX_SIGNED_BODY_BYTES,
  },
);
