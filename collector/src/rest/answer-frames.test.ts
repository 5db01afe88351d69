import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { answerFrames } from './answer-frames.ts';

let app: FastifyInstance;
let source: AsyncGenerator<Buffer>;
let ended: PromiseWithResolvers<void>;

beforeEach(async () => {
  ended = Promise.withResolvers();
  app = Fastify();
  app.get('/', (_request, reply) => answerFrames(reply, source));
  await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(() => app.close());

async function* watched(frames: Iterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* frames;
  } finally {
    ended.resolve();
  }
}

async function ask(): Promise<IncomingMessage> {
  const { port } = app.server.address() as AddressInfo;
  const [answer] = (await once(get({ host: '127.0.0.1', port, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  return answer;
}

it('answers with all frames in order, and gives the large ones back', async () => {
  const large = Buffer.allocUnsafeSlow(1 << 20).fill(7);
  source = watched([Buffer.from('head '), large, Buffer.from(' tail')]);
  const parts: Buffer[] = [];
  for await (const part of await ask()) parts.push(part as Buffer);
  const whole = Buffer.concat(parts);
  expect([whole.length, whole.subarray(0, 6).toString('latin1')]).toEqual([
    10 + (1 << 20),
    'head \x07',
  ]);
  expect(whole.subarray(-6).toString('latin1')).toBe('\x07 tail');
  expect(large.length).toBe(0);
  await ended.promise;
});

it('ends its source when whoever asked goes away in the middle', async () => {
  function* endless(): Generator<Buffer> {
    for (;;) yield Buffer.alloc(300_000);
  }
  source = watched(endless());
  const answer = await ask();
  await once(answer, 'data');
  answer.destroy();
  await ended.promise;
});

it('breaks the answer off when the source fails, so that nobody takes it for whole', async () => {
  function* failing(): Generator<Buffer> {
    yield Buffer.from('one');
    throw new Error('disk gone');
  }
  source = watched(failing());
  const answer = await ask();
  answer.resume();
  const [error] = (await once(answer, 'error')) as [Error];
  expect(error.message).toBe('aborted');
  await ended.promise;
});
