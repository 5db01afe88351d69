import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { post } from '../identity/enrol-request.ts';
import { spkiSha256 } from '../identity/tls.ts';
import { connectWebSocket } from './socket.ts';

/**
 * A self-made certificate for 127.0.0.1 with its key: for these tests only, and worth nothing
 * anywhere else.
 */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBpzCCAUygAwIBAgIUP19HkozkKE/CWwg+Ek7FU2Btop8wCgYIKoZIzj0EAwIw
HzEdMBsGA1UEAwwUYWxpcXVvdC10ZXN0LWZpeHR1cmUwIBcNMjYxMTIxMjEyMzQ1
WhgPMjEyNjEwMjgyMTIzNDVaMB8xHTAbBgNVBAMMFGFsaXF1b3QtdGVzdC1maXh0
dXJlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfInu+EadPpY1LPzHWEGwLDGV
wmbXzdjV1dBbEoxfqtcjZayanSqs4Frah/Y1d5NpGxsXxAstiwHVmDPuAtr6oKNk
MGIwHQYDVR0OBBYEFDNHUibH9A8IW+1NDDYGM62v5iy4MB8GA1UdIwQYMBaAFDNH
UibH9A8IW+1NDDYGM62v5iy4MA8GA1UdEwEB/wQFMAMBAf8wDwYDVR0RBAgwBocE
fwAAATAKBggqhkjOPQQDAgNJADBGAiEA7RrtA+kJMM8z9oEtS9D4xhNKek5UKG1C
qVEYqoASY2wCIQC5MH2I/1jWceUtfyCWVQoq1V7860011D/Tvsgh5GE5aw==
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAqyImO7pBFI0JtwV
VdhmOL74SZd55dBA+xrCsAra1UOhRANCAAR8ie74Rp0+ljUs/MdYQbAsMZXCZtfN
2NXV0FsSjF+q1yNlrJqdKqzgWtqH9jV3k2kbGxfECy2LAdWYM+4C2vqg
-----END PRIVATE KEY-----`;

let server: Server;
let url: string;

beforeAll(async () => {
  server = createServer({ cert: CERTIFICATE, key: KEY }, (request, response) => {
    request.resume();
    request.on('end', () => response.end('ok'));
  });
  new WebSocketServer({ server, path: '/v1/agent' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** `open`, or the code of what went wrong. */
function dial(trust: {
  readonly tlsCa: string;
  readonly tlsPins: readonly Uint8Array[];
}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectWebSocket(
      { url, ...trust },
      {
        onOpen() {
          resolve('open');
          socket.terminate();
        },
        onMessage: () => undefined,
        onSign: () => undefined,
        onClose: ({ code }) => resolve(code),
      },
    );
  });
}

async function ask(trust: {
  readonly tlsCa: string;
  readonly tlsPins: readonly Uint8Array[];
}): Promise<unknown> {
  try {
    return (await post({ url, ...trust }, '/', Buffer.from('hello'))).status;
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

describe('TLS', () => {
  const pin = spkiSha256(new X509Certificate(CERTIFICATE).raw);

  test('the pinned key is trusted, whoever signed its certificate', async () => {
    expect(await dial({ tlsCa: '', tlsPins: [pin] })).toBe('open');
    expect(await ask({ tlsCa: '', tlsPins: [pin] })).toBe(200);
  });

  test('P6: of several pinned keys any is trusted, old and new side by side; so is a chain that verifies, whatever is pinned', async () => {
    const other = new Uint8Array(32);
    for (const trust of [
      { tlsCa: '', tlsPins: [other, pin] },
      { tlsCa: CERTIFICATE, tlsPins: [other] },
    ]) {
      expect(await dial(trust)).toBe('open');
      expect(await ask(trust)).toBe(200);
    }
  });

  test('another key than the pinned one is refused', async () => {
    const other = new Uint8Array(32);
    expect(await dial({ tlsCa: '', tlsPins: [other] })).toBe('UPLINK_TLS');
    expect(await ask({ tlsCa: '', tlsPins: [other] })).toBe('ENROL_TLS');
  });

  test("the bundle's authority is trusted", async () => {
    expect(await dial({ tlsCa: CERTIFICATE, tlsPins: [] })).toBe('open');
    expect(await ask({ tlsCa: CERTIFICATE, tlsPins: [] })).toBe(200);
  });

  test('a self-made certificate without pin or authority is refused', async () => {
    expect(await dial({ tlsCa: '', tlsPins: [] })).toBe('UPLINK_TLS');
    expect(await ask({ tlsCa: '', tlsPins: [] })).toBe('ENROL_TLS');
  });
});

describe('the end of a connection', () => {
  async function endedWith(
    reason: string | Uint8Array,
  ): Promise<{ readonly code: string; readonly message: string; readonly retryable: boolean }> {
    const plain = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/v1/agent' });
    await once(plain, 'listening');
    plain.on('connection', (socket) => socket.close(1008, Buffer.from(reason)));
    try {
      return await new Promise((resolve) => {
        const at = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`;
        const nothing = () => undefined;
        connectWebSocket(
          { url: at, tlsCa: '', tlsPins: [] },
          { onOpen: nothing, onMessage: nothing, onSign: nothing, onClose: resolve },
        );
      });
    } finally {
      plain.close();
    }
  }

  test('the reason that the other side gives is shown as an unsigned hint, and it is tried again', async () => {
    const foreign = await endedWith('SESSION_UNKNOWN_VAULT');
    expect(foreign).toMatchObject({ code: 'UPLINK_CLOSED', retryable: true });
    expect(foreign.message).toMatch(
      /ended; what answers there says, unsigned: SESSION_UNKNOWN_VAULT \(it does not hold this vault.*$/,
    );
    expect((await endedWith('STORE_NO_SPACE')).message).toMatch(/unsigned: STORE_NO_SPACE$/);
  });

  test('a reason is printable whatever it is made of, and nothing is added without one', async () => {
    expect((await endedWith('')).message).toMatch(/ ended$/);
    expect((await endedWith('\u001b[31mred\u0007\n\u202edeb')).message).toMatch(
      /unsigned: \[31mred deb$/,
    );
    expect((await endedWith('x'.repeat(123))).message.length).toBeLessThan(250);
  });
});
