import { asChainId, type ChunkId, encodeClientFrame, encodeFrame } from '@aliquot/proto';
import { NO_PREDECESSOR } from '@aliquot/shared/commit/commit';
import { sha256 } from '@aliquot/shared/crypto/primitives';
import { systemRandom } from '@aliquot/shared/ports';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionTestAgent } from '../collector/testing/agent.ts';
import { attacks } from './hostile/attacks.ts';
import { EvilSession } from './hostile/evil-session.ts';
import { HonestAgent } from './hostile/honest-agent.ts';
import { RawPeer, upgradeRequest, webSocketFrame } from './hostile/raw-peer.ts';
import { HostileTarget } from './hostile/target.ts';

/**
 * A part of the force of `bench/flood.ts`: enough to pass every limit that counts connections of
 * one address or one agent.
 */
const FORCE = 0.03;
/**
 * What one flood may cost at this force: the collector's own working memory moves by a third of
 * that.
 */
const MAX_GROWTH_BYTES = 150 * 1024 ** 2;

const EMPTY = new Uint8Array(0);
let target: HostileTarget;
let evil: SessionTestAgent;
let honest: HonestAgent;

beforeAll(async () => {
  target = await HostileTarget.open();
  evil = await target.agent('evil');
  honest = await HonestAgent.start(target, 'honest');
  await honest.receipts(3);
});

afterAll(async () => {
  await honest.stop();
  // Whatever was done to it, what it holds is whole.
  await target.world.unserve();
  await target.world.aliquot(['fsck', '--data', target.world.collectorData]);
  await target.close();
});

describe('floods', () => {
  it.each(attacks.map((attack) => [attack.name, attack] as const))(
    'P6 %s: memory stays bounded, and an honest agent goes on and comes back',
    async (_name, { force, run }) => {
      const before = process.platform === 'linux' ? target.residentBytes() : 0;
      if (before > 0) target.resetPeak();
      let reached = false;
      await run({ target, evil }, Math.max(20, Math.round(force * FORCE)), async () => {
        await honest.receipts(2);
        await honest.arriveAnew();
        reached = true;
      });
      expect(reached).toBe(true);
      if (before > 0) expect(target.peakBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);
    },
  );
});

describe('lies about lengths and forms', () => {
  const HUGE = [2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 32n, 9n * 1024n * 1024n];
  const badFrames: readonly (readonly [string, Buffer])[] = [
    ...HUGE.map(
      (claims) =>
        [
          `a WebSocket frame of ${claims} bytes`,
          webSocketFrame(Buffer.alloc(8), { claims }),
        ] as const,
    ),
    ['a frame without a mask', webSocketFrame(Buffer.alloc(8), { masked: false })],
    [
      'a compressed frame, though nothing was agreed',
      webSocketFrame(Buffer.alloc(8), { reserved: 4 }),
    ],
    ['a frame of an unknown kind', webSocketFrame(Buffer.alloc(8), { opcode: 3 })],
    ['a continuation of nothing', webSocketFrame(Buffer.alloc(8), { opcode: 0 })],
    ['a ping in parts', webSocketFrame(Buffer.alloc(8), { opcode: 9, fin: false })],
    ['a ping above 125 bytes', webSocketFrame(Buffer.alloc(126), { opcode: 9 })],
    ['a goodbye of one byte', webSocketFrame(Buffer.alloc(1), { opcode: 8 })],
    ['text instead of bytes', webSocketFrame(Buffer.from('hello'), { opcode: 1 })],
    ['a hello of 0 bytes', webSocketFrame(EMPTY)],
    ['a hello of rubbish', webSocketFrame(systemRandom.bytes(200))],
    ['a hello above its limit', webSocketFrame(Buffer.alloc(65 * 1024))],
    ['text that is no WebSocket frame', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ];

  it.each(badFrames)('%s ends the connection before anything was proved', async (_name, bytes) => {
    const peer = await RawPeer.upgraded(target.port);
    peer.write(bytes);
    await peer.goodbye();
  });

  it('an offer to compress is not taken', async () => {
    const peer = await RawPeer.connect(target.port);
    peer.write(
      upgradeRequest(['Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits']),
    );
    expect(await peer.head()).not.toMatch(/extensions/i);
    peer.end();
  });

  const header = (frame: Parameters<typeof encodeClientFrame>[0]) => encodeClientFrame(frame);
  const chunk = systemRandom.bytes(100);
  const item = { id: sha256(chunk) as ChunkId, kind: 'chunk' as const, size: 100 };
  const lengthOf = (bytes: Uint8Array, length: number): Uint8Array => {
    const frame = new Uint8Array(encodeFrame(bytes, EMPTY));
    new DataView(frame.buffer, frame.byteOffset).setUint32(0, length);
    return frame;
  };
  const have = header({ type: 'have', requestId: 1, ids: [item.id] });
  const sealedLies: readonly (readonly [string, Uint8Array])[] = [
    ['no header at all', EMPTY],
    ['half of the length of a header', new Uint8Array(2)],
    ['a header longer than the frame', lengthOf(have, have.length + 1)],
    ['a header of 4 GiB', lengthOf(have, 0xffff_ffff)],
    ['a header shorter than it is', lengthOf(have, have.length - 1)],
    ['rubbish as a header', encodeFrame(systemRandom.bytes(50), EMPTY)],
    ['a body where there is none', encodeFrame(have, new Uint8Array(1))],
    [
      'an item that is longer than the body',
      encodeFrame(header({ type: 'chunks', items: [{ ...item, size: 101 }] }), chunk),
    ],
    [
      'an item that is shorter than the body',
      encodeFrame(header({ type: 'chunks', items: [{ ...item, size: 99 }] }), chunk),
    ],
    [
      'a chunk that is not its id',
      encodeFrame(
        header({ type: 'chunks', items: [{ ...item, id: new Uint8Array(32) as ChunkId }] }),
        chunk,
      ),
    ],
    [
      'a chunk that calls itself a page',
      encodeFrame(header({ type: 'chunks', items: [{ ...item, kind: 'page' }] }), chunk),
    ],
    // Protobuf by hand: field 2 (have) with 4,097 ids, one more than may be asked for.
    ['one id too many', encodeFrame(idsFrame(4097), EMPTY)],
    ['half an id', encodeFrame(idsFrame(1, 31), EMPTY)],
  ];

  it.each(sealedLies)('%s ends the session, with a word', async (_name, plain) => {
    const session = await EvilSession.open(evil, target.port);
    session.write(plain);
    expect(await session.lastWord()).toMatchObject({ type: 'refused', code: 'protocol' });
    session.peer.end();
  });

  it('P6 the agent is named for it in aliquot agents', async () => {
    const named = (await target.problems('evil')).find(({ code }) => code === 'broke-protocol');
    expect(named?.message).toMatch(/broke the protocol \d+ times/);
    expect((await target.problems('honest')).map(({ code }) => code)).not.toContain(
      'broke-protocol',
    );
  });
});

describe('replays and borrowed names', () => {
  it('P5 a recorded session is worth nothing on another connection', async () => {
    const session = await EvilSession.open(evil, target.port);
    session.write(
      encodeFrame(
        encodeClientFrame({ type: 'have', requestId: 1, ids: [new Uint8Array(32) as ChunkId] }),
        EMPTY,
      ),
    );
    expect(await session.answer()).toMatchObject({ type: 'haveAnswer' });
    const peer = await RawPeer.upgraded(target.port);
    for (const message of session.recorded) peer.write(webSocketFrame(message));
    // A hello of its own is the answer to the first message; the second does not open with the new
    // keys.
    expect((await peer.frame())?.opcode).toBe(2);
    await peer.goodbye();
    session.peer.end();
  });

  it('P5 a single frame counts once', async () => {
    const session = await EvilSession.open(evil, target.port);
    const message = session.write(
      encodeFrame(
        encodeClientFrame({ type: 'have', requestId: 1, ids: [new Uint8Array(32) as ChunkId] }),
        EMPTY,
      ),
    );
    expect(await session.answer()).toMatchObject({ type: 'haveAnswer' });
    session.peer.write(webSocketFrame(message));
    expect((await session.lastWord())?.type).not.toBe('haveAnswer');
    await session.peer.goodbye();
  });

  it('P4 the chunks and commits of another agent are worth nothing under this one’s name', async () => {
    const owner = await target.agent('owner');
    await target.session(owner);
    const made = owner.commitOf([{ path: '/data/secret', bytes: systemRandom.bytes(5000) }]);
    await owner.upload(made.items);
    const session = await EvilSession.open(evil, target.port);
    const ids = made.items.map(({ id }) => id);
    session.write(encodeFrame(encodeClientFrame({ type: 'have', requestId: 1, ids }), EMPTY));
    expect(await session.answer()).toMatchObject({
      type: 'haveAnswer',
      missing: ids.map((_id, index) => index),
    });
    session.write(encodeFrame(encodeClientFrame({ type: 'fetch', requestId: 2, ids }), EMPTY));
    expect(await session.answer()).toMatchObject({ type: 'chunkData', items: [], missing: ids });
    session.write(encodeFrame(encodeClientFrame({ type: 'commit', requestId: 3 }), made.bytes));
    expect(await session.answer()).toMatchObject({
      type: 'refused',
      code: expect.stringMatching(/bad-signature|bad-commit/),
    });
    const answer = await owner.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
    expect(answer.type).toBe('receipt');
    session.peer.end();
  });

  it('P5 P6 histories under one identity are held apart up to a limit, named, and cost the true one nothing', async () => {
    const agent = await target.agent('many');
    await target.session(agent);
    await agent.backUp([{ path: '/data/a', bytes: systemRandom.bytes(100) }]);
    const outcomes: string[] = [];
    for (let number = 0; number < 19; number += 1) {
      const copy = agent.copy();
      copy.sequence = 1;
      copy.predecessor = NO_PREDECESSOR;
      copy.chainId = asChainId(systemRandom.bytes(16));
      await target.session(copy);
      const made = copy.commitOf([{ path: '/data/a', bytes: systemRandom.bytes(100) }]);
      await copy.upload(made.items);
      const answer = await copy.ask((requestId) => ({ type: 'commit', requestId }), made.bytes);
      outcomes.push(answer.type === 'refused' ? answer.code : answer.type);
    }
    expect(outcomes.filter((outcome) => outcome === 'receipt')).toHaveLength(16);
    expect(outcomes.slice(16).every((outcome) => outcome !== 'receipt')).toBe(true);
    expect((await target.problems('many')).map(({ code }) => code)).toContain('chain-forked');
    await target.session(agent);
    expect((await agent.backUp([{ path: '/data/b', bytes: systemRandom.bytes(100) }])).type).toBe(
      'receipt',
    );
  });

  it('P4 who shows another agent’s certificate without its key is turned away', async () => {
    const victim = await target.agent('victim');
    const thief: SessionTestAgent = Object.create(victim, { signKey: { value: evil.signKey } });
    await expect(EvilSession.open(thief, target.port)).rejects.toThrow(/refused|closed|undefined/);
  });
});

/**
 * A `have` frame with any number of ids of any length: what the door of our own side would not
 * write.
 */
function idsFrame(count: number, bytes = count * 32): Uint8Array {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
  const inner = [0x08, 1, 0x12, ...varint(bytes)];
  const body = new Uint8Array(inner.length + bytes);
  body.set(inner);
  return Uint8Array.from([0x12, ...varint(body.length), ...body]);
}
