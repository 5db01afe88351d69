import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const command = promisify(execFile);
const fastKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1';

/** Paths of a certificate and its key, in PEM. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate that nobody but itself signed, for localhost, as `openssl req -x509` makes it. */
export async function selfSigned(folder: string, name: string): Promise<TlsPair> {
  const pair = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const subject = ['-subj', `/CN=${name}`, '-days', '30', '-addext', NAMES];
  await command('openssl', [
    'req',
    '-x509',
    ...fastKey,
    ...subject,
    '-keyout',
    pair.key,
    '-out',
    pair.cert,
  ]);
  return pair;
}

/** A lab's own certificate authority. */
export async function authority(folder: string, name = 'lab-ca'): Promise<TlsPair> {
  const pair = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  await command('openssl', [
    'req',
    '-x509',
    ...fastKey,
    '-subj',
    `/CN=${name}`,
    '-days',
    '30',
    '-keyout',
    pair.key,
    '-out',
    pair.cert,
  ]);
  return pair;
}

/** A certificate for localhost with a key of its own, signed by an authority. */
export async function issued(folder: string, name: string, by: TlsPair): Promise<TlsPair> {
  const pair = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  await writeFile(extensions, NAMES);
  await command('openssl', [
    'req',
    ...fastKey,
    '-subj',
    '/CN=localhost',
    '-keyout',
    pair.key,
    '-out',
    request,
  ]);
  const signing = [
    '-CA',
    by.cert,
    '-CAkey',
    by.key,
    '-CAcreateserial',
    '-days',
    '30',
    '-extfile',
    extensions,
  ];
  await command('openssl', ['x509', '-req', '-in', request, ...signing, '-out', pair.cert]);
  return pair;
}

/** One PEM file of several certificates. */
export async function together(file: string, ...pairs: readonly TlsPair[]): Promise<string> {
  const texts = await Promise.all(pairs.map(({ cert }) => readFile(cert, 'utf8')));
  await writeFile(file, texts.join('\n'));
  return file;
}
