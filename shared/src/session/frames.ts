import { createCipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { concat, release, u32be, u64be } from '../crypto/bytes.ts';
import { aeadOpen, CryptoError, labelled } from '../crypto/primitives.ts';
import { SessionError } from './errors.ts';

/** The two keys of a session, 32 bytes each, one for each direction. */
export interface SessionKeys {
  readonly clientToServer: Uint8Array;
  readonly serverToClient: Uint8Array;
}

/** Who this end is: the agent is the client. */
export type SessionRole = 'client' | 'server';

const AAD = labelled('aliquot/v1/frame');
const TAG_BYTES = 16;
const directionBytes = { clientToServer: 1, serverToClient: 2 } as const;
type Direction = keyof typeof directionBytes;

/**
 * Frames under one key. Far below what AES-GCM bears with counted nonces, and yet more than 4
 * billion frames: reached by a fault only. Then the session ends and the next one has new keys.
 * Test only: the limit is tested from just below it.
 */
export const MAX_FRAMES = 2 ** 32;

/** How many bytes sealing adds to a frame. */
export const FRAME_OVERHEAD_BYTES = TAG_BYTES;

function nonceOf(direction: Direction, counter: number): Uint8Array {
  return concat(u32be(directionBytes[direction]), u64be(counter));
}

function requireCounter(counter: number): void {
  if (counter >= MAX_FRAMES)
    throw new SessionError(
      'SESSION_EXHAUSTED',
      'the session has carried all the frames its keys allow; connect again',
    );
}

/**
 * Seals this end's frames, in order. The nonce is direction and counter; the counter is not sent,
 * because the transport keeps order: whatever was dropped, repeated or moved on the way therefore
 * does not open. No key and nonce meet twice: the keys are fresh in every session, and the counter
 * only grows.
 */
export class FrameSealer {
  /** An object: given plain bytes, Node makes one for each frame, at 20 µs. */
  readonly #key: KeyObject;
  readonly #direction: Direction;
  #counter: number;

  /** `firstCounter` is for tests only. */
  constructor(keys: SessionKeys, role: SessionRole, firstCounter = 0) {
    this.#direction = role === 'client' ? 'clientToServer' : 'serverToClient';
    this.#key = createSecretKey(keys[this.#direction]);
    this.#counter = firstCounter;
  }

  /**
   * The sealed frame: ciphertext of the parts in order, with the 16-byte tag behind it. Throws
   * SESSION_EXHAUSTED.
   */
  seal(...parts: readonly Uint8Array[]): Uint8Array {
    requireCounter(this.#counter);
    const nonce = nonceOf(this.#direction, this.#counter);
    this.#counter += 1;
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(AAD);
    // Each part goes through the cipher where it lies, and once into the message: nothing is joined
    // before.
    const sealed = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + part.length, TAG_BYTES));
    let at = 0;
    for (const part of parts) {
      const ciphertext = cipher.update(part);
      at += ciphertext.copy(sealed, at);
      release(ciphertext);
    }
    cipher.final();
    cipher.getAuthTag().copy(sealed, at);
    return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  }
}

/** Opens the other end's frames, in order; the first one that does not open ends the session. */
export class FrameOpener {
  readonly #key: Uint8Array;
  readonly #direction: Direction;
  #counter: number;
  #broken = false;

  /** `role` is this end's own; `firstCounter` is for tests only. */
  constructor(keys: SessionKeys, role: SessionRole, firstCounter = 0) {
    this.#direction = role === 'client' ? 'serverToClient' : 'clientToServer';
    this.#key = keys[this.#direction];
    this.#counter = firstCounter;
  }

  /**
   * The frame's bytes. Throws SESSION_FRAME for anything but the next frame of the other end, and
   * for all frames after it.
   */
  open(sealed: Uint8Array): Uint8Array {
    requireCounter(this.#counter);
    if (this.#broken)
      throw new SessionError(
        'SESSION_FRAME',
        'the session has ended with a frame that did not open; connect again',
      );
    try {
      const frame = aeadOpen(this.#key, nonceOf(this.#direction, this.#counter), sealed, AAD);
      this.#counter += 1;
      return frame;
    } catch (cause) {
      this.#broken = true;
      if (!(cause instanceof CryptoError)) throw cause;
      throw new SessionError(
        'SESSION_FRAME',
        'a frame was altered, repeated, dropped or reordered on the way; connect again',
        { cause },
      );
    }
  }
}
