import { createServer, type Server, type Socket } from 'node:net';
import { asChunkId, type ChunkId } from '@aliquot/proto';
import { hex } from '@aliquot/shared/crypto/bytes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { frameRecords, WHAT_CHUNK, WHAT_MISSING } from '../../api/record-stream.ts';
import { fetchItems } from '../fetch-items.ts';
import { ItemLines } from './item-lines.ts';

const ids = [1, 2, 3].map((byte) => asChunkId(Buffer.alloc(32, byte)));
const [one, two, three] = ids as [ChunkId, ChunkId, ChunkId];

const item = (id: ChunkId, size: number): Buffer =>
  Buffer.concat([Buffer.from([WHAT_CHUNK]), id, Buffer.alloc(size, id[0])]);
const missing = (id: ChunkId): Buffer => Buffer.concat([Buffer.from([WHAT_MISSING]), id]);

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

async function framed(records: readonly Buffer[]): Promise<Buffer> {
  const frames: Buffer[] = [];
  const never = () => ({ code: 'X', message: 'x' });
  for await (const frame of frameRecords(each(records), never)) frames.push(frame);
  return Buffer.concat(frames);
}

/** An answer in chunks of so many bytes. */
function chunked(body: Buffer, size = 1000): Buffer {
  const parts: Buffer[] = [Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')];
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

let server: Server;
let lines: ItemLines;
/** What is said to each request, in turn. */
let says: ((socket: Socket, request: string) => void)[];
let sockets: Socket[];
let asked: string[];

beforeEach(async () => {
  [says, sockets, asked] = [[], [], []];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined); // the reader may leave at any time
    socket.on('data', (bytes) => {
      const request = bytes.toString('latin1');
      asked.push(hex(bytes.subarray(request.indexOf('\r\n\r\n') + 4)));
      says.shift()?.(socket, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const endpoint = { url: `http://127.0.0.1:${port}`, token: 'secret', tlsCa: undefined };
  lines = new ItemLines({ endpoint, base: '/v1/operator/vaults/x', name: 'x' });
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

async function fetched(): Promise<string[]> {
  const all: string[] = [];
  for await (const { id, bytes } of fetchItems(lines, ids)) {
    expect(bytes.every((byte) => byte === id[0])).toBe(true);
    all.push(`${id[0]}:${bytes.length}`);
  }
  return all;
}

describe('items over a connection of their own', () => {
  it.each([17, 100, 4096, 1_000_000])(
    'come in their order, in pieces of %i bytes, with what is missing left out',
    async (size) => {
      const answer = chunked(await framed([item(one, 300), missing(two), item(three, 70_000)]));
      says = [
        (socket) => {
          for (let at = 0; at < answer.length; at += size)
            socket.write(answer.subarray(at, at + size));
        },
      ];
      expect(await fetched()).toEqual(['1:300', '3:70000']);
    },
  );

  it('ask again and again over one connection, with the token', async () => {
    const requests: string[] = [];
    const answer = chunked(await framed([item(one, 10), item(two, 10), item(three, 10)]));
    says = [1, 2, 3].map(() => (socket: Socket, request: string) => {
      requests.push(request);
      socket.write(answer);
    });
    for (let time = 0; time < 3; time += 1) expect(await fetched()).toHaveLength(3);
    expect(sockets).toHaveLength(1);
    expect(requests[0]).toMatch(
      /^POST \/v1\/operator\/vaults\/x\/items HTTP\/1\.1\r\n.*Authorization: Bearer secret\r\n/s,
    );
  });

  it('go on over a new one where the other side ended it while nobody asked', async () => {
    const answer = chunked(await framed([item(one, 10), item(two, 10), item(three, 10)]));
    const ended = Promise.withResolvers<void>();
    says = [
      (socket) => {
        socket.write(answer, () => socket.end());
        socket.once('close', () => ended.resolve());
      },
      (socket) => socket.write(answer),
    ];
    expect(await fetched()).toHaveLength(3);
    await ended.promise;
    expect(await fetched()).toHaveLength(3);
    expect(sockets).toHaveLength(2);
  });

  it('that were cut off are asked for again, from the one on that did not come', async () => {
    const body = await framed([item(one, 10), item(two, 5000), item(three, 10)]);
    says = [
      (socket) => socket.end(chunked(body).subarray(0, 2500)),
      (socket, request) => {
        expect(request).toContain('Content-Length: 64');
        void framed([item(two, 5000), item(three, 10)]).then((rest) => socket.write(chunked(rest)));
      },
    ];
    expect(await fetched()).toEqual(['1:10', '2:5000', '3:10']);
    expect(asked).toEqual([hex(Buffer.concat(ids)), hex(Buffer.concat([two, three]))]);
  });

  it('are refused with the words of the collector', async () => {
    const json = JSON.stringify({ code: 'REST_TOKEN', message: 'no such token' });
    says = [
      (socket) => socket.write(`HTTP/1.1 401 No\r\ncontent-length: ${json.length}\r\n\r\n${json}`),
    ];
    await expect(fetched()).rejects.toMatchObject({
      code: 'REST_TOKEN',
      message: 'no such token',
    });
  });

  it.each<[string, () => Promise<Buffer | string>, string]>([
    [
      'in another order',
      async () => chunked(await framed([item(two, 9), item(one, 9)])),
      'STREAM_MALFORMED',
    ],
    ['fewer than asked', async () => chunked(await framed([item(one, 9)])), 'STREAM_MALFORMED'],
    [
      'more than asked',
      async () => chunked(await framed([...ids.map((id) => item(id, 9)), item(one, 9)])),
      'STREAM_MALFORMED',
    ],
    [
      'no end mark',
      async () => chunked((await framed([item(one, 9)])).subarray(0, -5)),
      'STREAM_CUT',
    ],
    [
      'a record of 4 GiB',
      async () => chunked(Buffer.from('01ffffffff', 'hex')),
      'STREAM_MALFORMED',
    ],
    [
      'a chunk of 4 GiB',
      async () => 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n',
      'COMMAND_ANSWER',
    ],
    [
      'a chunk without its end',
      async () => 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n',
      'COMMAND_ANSWER',
    ],
    [
      'a head that does not end',
      async () => `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`,
      'COMMAND_ANSWER',
    ],
    [
      'lines that do not end',
      async () => `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`,
      'COMMAND_ANSWER',
    ],
    ['another protocol', async () => 'SSH-2.0-OpenSSH_9.2\r\n', 'COMMAND_ANSWER'],
    [
      'an encoding that nobody asked for',
      async () => 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n',
      'COMMAND_ANSWER',
    ],
    [
      'more than one answer',
      async () => `${chunked(await framed(ids.map(missing)))}HTTP/1.1 200 OK\r\n`,
      'COMMAND_ANSWER',
    ],
    [
      'a refusal that does not end',
      async () => `HTTP/1.1 500 No\r\ncontent-length: 999999999\r\n\r\n${'x'.repeat(99_999)}`,
      'STREAM_CUT',
    ],
  ])('of an answer with %s end it with an error', async (_, answer, code) => {
    const bytes = await answer();
    says = [(socket) => void socket.end(bytes)];
    await expect(collectOnce(code)).rejects.toMatchObject({ code });
  });
});

/** One question, without the patience of `fetchItems`, which tries a cut again. */
async function collectOnce(code: string): Promise<unknown> {
  if (code !== 'STREAM_CUT') return fetched();
  for await (const _ of lines.items(ids));
  return undefined;
}
