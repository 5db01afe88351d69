import { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { post } from '../identity/enrol.ts';
import { spkiSha256 } from '../identity/tls.ts';
import { connectWebSocket } from './socket.ts';

/** A self-made certificate for 127.0.0.1 with its key: for these tests only, and worth nothing anywhere else. */
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
function dial(trust: { readonly tlsCa: string; readonly tlsPinSha256: Uint8Array }): Promise<string> {
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

async function ask(trust: { readonly tlsCa: string; readonly tlsPinSha256: Uint8Array }): Promise<unknown> {
  try {
    return (await post({ url, ...trust }, '/', Buffer.from('hello'))).status;
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

describe('TLS', () => {
  const none = new Uint8Array();
  const pin = spkiSha256(new X509Certificate(CERTIFICATE).raw);

  test('the pinned key is trusted, whoever signed its certificate', async () => {
    expect(await dial({ tlsCa: '', tlsPinSha256: pin })).toBe('open');
    expect(await ask({ tlsCa: '', tlsPinSha256: pin })).toBe(200);
  });

  test('another key than the pinned one is refused', async () => {
    const other = new Uint8Array(32);
    expect(await dial({ tlsCa: '', tlsPinSha256: other })).toBe('UPLINK_TLS');
    expect(await ask({ tlsCa: '', tlsPinSha256: other })).toBe('ENROL_TLS');
  });

  test("the bundle's authority is trusted", async () => {
    expect(await dial({ tlsCa: CERTIFICATE, tlsPinSha256: none })).toBe('open');
    expect(await ask({ tlsCa: CERTIFICATE, tlsPinSha256: none })).toBe(200);
  });

  test('a self-made certificate without pin or authority is refused', async () => {
    expect(await dial({ tlsCa: '', tlsPinSha256: none })).toBe('UPLINK_TLS');
    expect(await ask({ tlsCa: '', tlsPinSha256: none })).toBe('ENROL_TLS');
  });
});
