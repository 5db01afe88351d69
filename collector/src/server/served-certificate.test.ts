import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { nodeFiles } from '@aliquot/shared/durable/file-port';
import { posixOnly } from '@aliquot/shared/testing/platform';
import { temporaryFolder } from '@aliquot/shared/testing/temp';
import type { Logger } from 'pino';
import { expect, it } from 'vitest';
import type { CommandContext } from '../cli/context.ts';
import { ServedCertificate } from './served-certificate.ts';

const context = { files: nodeFiles, clock: { nowMs: () => 17 } } as unknown as CommandContext;

function pair(dir: string, name: string): { readonly cert: string; readonly key: string } {
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '9',
  ];
  execFileSync('openssl', [...args, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], {
    stdio: 'pipe',
  });
  return { cert, key };
}

/** Whose certificate a server shows. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

it.runIf(posixOnly('there is no openssl to make certificates with'))(
  'P6: what replaces certificate and key in their files is served without a restart; what cannot be used is named once, and the pair before stays',
  async () => {
    const dir = temporaryFolder();
    const [one, two] = [pair(dir, 'one'), pair(dir, 'two')];
    const [tlsCert, tlsKey] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
    copyFileSync(one.cert, tlsCert);
    copyFileSync(one.key, tlsKey);
    const served = await ServedCertificate.open(context, { tlsCert, tlsKey });
    if (served === undefined) throw new Error('two files were named');
    const server = createServer(served.files);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };

    const said: string[] = [];
    const log = {
      info: (text: string) => said.push(text),
      error: (_fields: object, text: string) => said.push(text),
    } as unknown as Logger;
    let action: (() => void) | undefined;
    let scheduled: () => void = () => undefined;
    const timers = {
      after: (_milliseconds: number, act: () => void) => {
        action = act;
        scheduled();
        return () => {
          action = undefined;
        };
      },
    };
    const leave = served.watch(server, timers, log);
    /** A minute later, when that look is over. */
    const look = () =>
      new Promise<void>((resolve) => {
        scheduled = resolve;
        action?.();
      });
    try {
      await look();
      expect([await shown(port), said]).toEqual(['one', []]);
      // The certificate is there before its key is.
      copyFileSync(two.cert, tlsCert);
      await look();
      await look();
      expect([await shown(port), said]).toEqual(['one', [expect.stringMatching(/cannot be used/)]]);
      expect(served.unusable).toEqual({ message: expect.stringContaining(tlsCert), sinceMs: 17 });
      copyFileSync(two.key, tlsKey);
      await look();
      expect([await shown(port), said.at(-1)]).toEqual(['two', 'the TLS certificate was replaced']);
      expect(served.unusable).toBeUndefined();
      writeFileSync(tlsKey, 'no key');
      await look();
      expect([await shown(port), said]).toEqual([
        'two',
        [expect.anything(), expect.anything(), expect.stringMatching(/cannot be used/)],
      ]);
    } finally {
      leave();
      server.close();
    }
    expect(action).toBeUndefined();
  },
);
