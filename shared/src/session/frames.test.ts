import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../testing/keys/fixtures.ts';
import { concat, utf8 } from '../crypto/bytes.ts';
import {
  FRAME_OVERHEAD_BYTES,
  FrameOpener,
  FrameSealer,
  MAX_FRAMES,
  type SessionKeys,
} from './frames.ts';

const random = seededRandom('frames');
const newKeys = (): SessionKeys => ({
  clientToServer: random.bytes(32),
  serverToClient: random.bytes(32),
});
const broken = expect.objectContaining({ code: 'SESSION_FRAME', retryable: true });

/** Three sealed frames of the agent, and the collector's opener for them. */
function three() {
  const keys = newKeys();
  const sealer = new FrameSealer(keys, 'client');
  const [first, second, third] = ['one', 'two', 'three'].map((text) => sealer.seal(utf8(text)));
  if (first === undefined || second === undefined || third === undefined)
    throw new Error('three frames');
  return { keys, first, second, third, opener: new FrameOpener(keys, 'server') };
}

describe('frames', () => {
  test('arrive as they were sent, both ways, of any size and in any number of parts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 }), { maxLength: 8 }),
        (frames) => {
          const keys = newKeys();
          for (const [from, to] of [['client', 'server'] as const, ['server', 'client'] as const]) {
            const sealer = new FrameSealer(keys, from);
            const opener = new FrameOpener(keys, to);
            for (const parts of frames) {
              const sealed = sealer.seal(...parts);
              expect(sealed.length).toBe(concat(...parts).length + FRAME_OVERHEAD_BYTES);
              expect(opener.open(sealed)).toEqual(concat(...parts));
            }
          }
        },
      ),
    );
  });

  test('a replayed frame ends the session', () => {
    const { first, opener } = three();
    opener.open(first);
    expect(() => opener.open(first)).toThrowError(broken);
  });

  test('frames that changed places end the session', () => {
    const { second, opener } = three();
    expect(() => opener.open(second)).toThrowError(broken);
  });

  test('a dropped frame ends the session with the next one', () => {
    const { first, third, opener } = three();
    opener.open(first);
    expect(() => opener.open(third)).toThrowError(broken);
  });

  test('a frame sent back to its sender ends the session, whichever keys it guesses at', () => {
    const { keys, first } = three();
    expect(() => new FrameOpener(keys, 'client').open(first)).toThrowError(broken);
    const swapped = { clientToServer: keys.serverToClient, serverToClient: keys.clientToServer };
    expect(() => new FrameOpener(swapped, 'client').open(first)).toThrowError(broken);
  });

  test('a frame of another session ends the session', () => {
    const { opener } = three();
    expect(() => opener.open(new FrameSealer(newKeys(), 'client').seal(utf8('one')))).toThrowError(
      broken,
    );
  });

  test('any one altered byte, any truncation and any addition ends the session', () => {
    const { keys, first } = three();
    const refused = (frame: Uint8Array, what: string) =>
      expect(() => new FrameOpener(keys, 'server').open(frame), what).toThrowError(broken);
    for (let at = 0; at < first.length; at += 1) {
      const altered = first.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      refused(altered, `byte ${at}`);
      refused(first.subarray(0, at), `${at} bytes`);
    }
    refused(concat(first, new Uint8Array(1)), 'one more');
  });

  test('after one bad frame nothing opens any more, not even the frame that was due', () => {
    const { first, second, opener } = three();
    expect(() => opener.open(second)).toThrowError(broken);
    expect(() => opener.open(first)).toThrowError(broken);
  });

  test('the two directions of one session never share a key stream', () => {
    const key = random.bytes(32);
    const keys = { clientToServer: key, serverToClient: key };
    const zeros = new Uint8Array(64);
    expect(new FrameSealer(keys, 'client').seal(zeros)).not.toEqual(
      new FrameSealer(keys, 'server').seal(zeros),
    );
  });

  test('equal frames do not look equal', () => {
    const sealer = new FrameSealer(newKeys(), 'client');
    expect(sealer.seal(utf8('again'))).not.toEqual(sealer.seal(utf8('again')));
  });

  test('a session ends before its counter could come round', () => {
    const keys = newKeys();
    const exhausted = expect.objectContaining({ code: 'SESSION_EXHAUSTED', retryable: true });
    const sealer = new FrameSealer(keys, 'client', MAX_FRAMES - 1);
    const opener = new FrameOpener(keys, 'server', MAX_FRAMES - 1);
    expect(opener.open(sealer.seal(utf8('the last')))).toEqual(utf8('the last'));
    expect(() => sealer.seal(utf8('one more'))).toThrowError(exhausted);
    expect(() => opener.open(new Uint8Array(20))).toThrowError(exhausted);
  });
});
