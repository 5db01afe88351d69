import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Endpoint, sendJson } from './http-client.ts';

const TOKEN = 'aliquot-operator-secret';
let server: { close(): unknown } | undefined;

async function listening(made: Server | ReturnType<typeof createTcpServer>): Promise<Endpoint> {
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const address = made.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return { url: `http://127.0.0.1:${address.port}`, token: TOKEN, tlsCa: undefined };
}

afterEach(() => {
  server?.close();
});

const request = { method: 'GET', path: '/v1/operator/collector' } as const;

describe('HTTP client', () => {
  it('sends the token as a bearer and reads JSON', async () => {
    const endpoint = await listening(
      createServer(
        (incoming, answer) =>
          void answer.end(JSON.stringify({ got: incoming.headers.authorization })),
      ),
    );
    expect((await sendJson(endpoint, request)).value).toEqual({ got: `Bearer ${TOKEN}` });
  });

  it('raises the refusal that the collector names', async () => {
    const endpoint = await listening(
      createServer((_incoming, answer) => {
        answer.statusCode = 401;
        answer.end(JSON.stringify({ code: 'REST_TOKEN', message: 'no' }));
      }),
    );
    await expect(sendJson(endpoint, request)).rejects.toMatchObject({
      code: 'REST_TOKEN',
      message: 'no',
    });
  });

  it.each([
    [200, '<html>'],
    [500, '<html>'],
    [404, '{"code":"SOMETHING","message":"x"}'],
  ])('says that something else answers (%d %s)', async (status, body) => {
    const endpoint = await listening(
      createServer((_incoming, answer) => {
        answer.statusCode = status;
        answer.end(body);
      }),
    );
    await expect(sendJson(endpoint, request)).rejects.toMatchObject({
      code: 'COMMAND_ANSWER',
      message: expect.stringContaining(endpoint.url),
    });
  });

  it('names the address when nothing listens there, without the token', async () => {
    const endpoint = await listening(createServer());
    await new Promise((resolve) => (server as Server).close(resolve));
    const failure = await sendJson(endpoint, request).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'COMMAND_UNREACHABLE',
      message: expect.stringContaining(endpoint.url),
    });
    expect(JSON.stringify(failure) + String(failure)).not.toContain(TOKEN);
  });

  it('says that nobody answers in TLS where a plain collector listens', async () => {
    const endpoint = await listening(createServer());
    const url = endpoint.url.replace('http:', 'https:');
    const says = expect.stringContaining('does not answer in TLS');
    await expect(sendJson({ ...endpoint, url }, request)).rejects.toMatchObject({
      code: 'COMMAND_TLS',
      message: says,
    });
  });

  it('names the address when the connection breaks off', async () => {
    const endpoint = await listening(
      createTcpServer((socket) => void socket.on('data', () => socket.destroy())),
    );
    await expect(sendJson(endpoint, request)).rejects.toMatchObject({
      code: 'COMMAND_UNREACHABLE',
      retryable: true,
    });
  });
});
