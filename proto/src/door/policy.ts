/** FORMAT.md, "OperatorCertificateBody" and "OperatorContents". */
import { MAX_AGENT_NAME_CHARS, MAX_KEY_FILE_BYTES, MAX_SIGNED_BODY_BYTES } from '../limits.ts';
import type { OperatorCertificateBody, OperatorContents, OperatorPurpose } from '../types.ts';
import { hash, vaultId } from './bytes.ts';
import { codec } from './codec.ts';
import { signed } from './common.ts';
import { checked, type Field, list, object, optional, refusal, version } from './field.ts';
import { v1 } from './generated.ts';
import { AGENT_NAME, choice, text, timeMs } from './scalar.ts';

/** Every purpose that a certificate may name, with its number on the wire. */
const PURPOSES: Readonly<Record<OperatorPurpose, number>> = { settings: 1, agents: 2, diagnose: 3 };

/** What an operator key may be certified for, in the order in which certificates name it. */
export const OPERATOR_PURPOSES: readonly OperatorPurpose[] = Object.keys(PURPOSES) as OperatorPurpose[];

const purposes: Field<readonly OperatorPurpose[]> = checked(
  list(choice<OperatorPurpose>(PURPOSES), 1, OPERATOR_PURPOSES.length),
  (all, label) => {
    const rising = all.every((purpose, at) => at === 0 || PURPOSES[purpose] > PURPOSES[all[at - 1] ?? purpose]);
    if (!rising) throw refusal('FORMAT_MALFORMED', label, 'must name each purpose once, in rising order');
  },
);

/** The authority's word that a person's key may do some things for a while. */
export const { encode: encodeOperatorCertificateBody, decode: decodeOperatorCertificateBody } = codec<OperatorCertificateBody>(
  'OperatorCertificateBody',
  v1.OperatorCertificateBody,
  checked(
    object<OperatorCertificateBody>('OperatorCertificateBody', {
      version,
      vaultId,
      name: text(1, MAX_AGENT_NAME_CHARS, AGENT_NAME, 'letters, digits, dot, underscore or hyphen, a letter or digit first'),
      signKey: hash,
      boxKey: hash,
      purposes,
      issuedAtMs: timeMs,
      expiresAtMs: timeMs,
    }),
    (body, label) => {
      if (body.expiresAtMs < body.issuedAtMs) throw refusal('FORMAT_MALFORMED', label, 'expires before it was issued');
    },
  ),
  { maxBytes: MAX_SIGNED_BODY_BYTES },
);

/** Everything in an operator's key file, in clear: exists only in the memory of an operator's command. */
export const { encode: encodeOperatorContents, decode: decodeOperatorContents } = codec<OperatorContents>(
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
