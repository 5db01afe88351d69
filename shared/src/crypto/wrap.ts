import {
  type AgentId,
  AliquotError,
  type ChainId,
  type ErrorCodes,
  type VaultId,
  type Wrap,
  type WrapPurpose,
  type WrapRecipient,
} from '@aliquot/proto';
import type { Random } from '../ports.ts';
import { type BoxKey, boxOpen, boxSeal, newBoxKey } from './box.ts';
import { concat, u64be, wipe } from './bytes.ts';
import { CryptoError, equalBytes, labelled, sha512 } from './primitives.ts';

const codes = {
  /** The wrap was made for another public key than the one it is opened with. */
  WRAP_OTHER_RECIPIENT: 'final',
  /** The wrap holds the other of the two keys: list instead of read, or the reverse. */
  WRAP_OTHER_PURPOSE: 'final',
  /** The wrap was altered, or belongs to another vault, agent, chain or commit. */
  WRAP_CORRUPT: 'final',
} satisfies ErrorCodes;

export type WrapErrorCode = keyof typeof codes;

/** A wrap that does not open here. */
export class WrapError extends AliquotError<WrapErrorCode> {
  static override readonly codes = codes;
}

/** What a wrap is good for: it opens in exactly the context that it was made in. */
export interface WrapContext {
  readonly purpose: WrapPurpose;
  readonly vaultId: VaultId;
  readonly agentId: AgentId;
  readonly chainId: ChainId;
  readonly sequence: number;
}

const LABEL = 'aliquot/v1/wrap';
const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const purposeCode: Readonly<Record<WrapPurpose, number>> = { list: 1, read: 2 };

/**
 * First 24 bytes of SHA-512(label ‖ ephemeral key ‖ recipient key ‖ purpose, vault, agent, chain,
 * sequence); all of fixed length.
 */
function wrapNonce(
  ephemeralKey: Uint8Array,
  recipientKey: Uint8Array,
  context: WrapContext,
): Uint8Array {
  const bound = concat(
    Uint8Array.of(purposeCode[context.purpose]),
    context.vaultId,
    context.agentId,
    context.chainId,
    u64be(context.sequence),
  );
  return sha512(labelled(LABEL), ephemeralKey, recipientKey, bound).slice(0, NONCE_BYTES);
}

/**
 * Seals a commit's 32-byte list or read key to one recipient: NaCl's crypto_box from an ephemeral
 * key that is forgotten before this returns. The sender's own key plays no part, so that nobody who
 * stole the sender opens what it sent. Throws CRYPTO_WEAK_KEY for a recipient key of low order.
 */
export function wrapKey(
  recipient: WrapRecipient,
  recipientKey: Uint8Array,
  context: WrapContext,
  key: Uint8Array,
  random: Random,
): Wrap {
  if (key.length !== KEY_BYTES)
    throw new CryptoError(
      'CRYPTO_LENGTH',
      `a wrapped key has ${KEY_BYTES} bytes, not ${key.length}`,
    );
  const ephemeral = newBoxKey(random);
  try {
    const nonce = wrapNonce(ephemeral.publicKey, recipientKey, context);
    const box = boxSeal(key, nonce, recipientKey, ephemeral.secretKey);
    return {
      version: 1,
      recipient,
      purpose: context.purpose,
      recipientKey: new Uint8Array(recipientKey),
      ephemeralKey: ephemeral.publicKey,
      box,
    };
  } finally {
    wipe(ephemeral.secretKey);
  }
}

/**
 * The key in a wrap, for its recipient and in its own context; throws WrapError for everybody and
 * everything else.
 */
export function openWrap(wrap: Wrap, boxKey: BoxKey, context: WrapContext): Uint8Array {
  if (!equalBytes(wrap.recipientKey, boxKey.publicKey)) {
    throw new WrapError(
      'WRAP_OTHER_RECIPIENT',
      `the ${wrap.purpose} key is sealed to another ${wrap.recipient} key; use the kit of its vault`,
    );
  }
  if (wrap.purpose !== context.purpose) {
    throw new WrapError(
      'WRAP_OTHER_PURPOSE',
      `the wrap holds a ${wrap.purpose} key, not a ${context.purpose} key`,
    );
  }
  const nonce = wrapNonce(wrap.ephemeralKey, wrap.recipientKey, context);
  const key = openBox(wrap, nonce, boxKey);
  if (key === undefined || key.length !== KEY_BYTES) {
    throw new WrapError(
      'WRAP_CORRUPT',
      `the ${wrap.purpose} key of commit ${context.sequence} does not open: altered, or of another commit`,
    );
  }
  return key;
}

function openBox(wrap: Wrap, nonce: Uint8Array, boxKey: BoxKey): Uint8Array | undefined {
  try {
    return boxOpen(wrap.box, nonce, wrap.ephemeralKey, boxKey.secretKey);
  } catch (cause) {
    if (cause instanceof CryptoError)
      throw new WrapError('WRAP_CORRUPT', 'the wrap carries an unusable ephemeral key', { cause });
    throw cause;
  }
}
