import { createReadStream } from 'node:fs';
import { UsageError } from '@aliquot/shared/cli/errors';
import { NeededOption, withShared } from '@aliquot/shared/cli/help';
import { isLoopback } from '@aliquot/shared/cli/loopback';
import { secretFrom } from '@aliquot/shared/cli/secret';
import { readWholeFile } from '@aliquot/shared/durable/durable';
import { errnoOf } from '@aliquot/shared/durable/system-errors';
import { type Command, Option } from 'commander';
import type { CommandContext } from '../cli/context.ts';
import type { Endpoint } from './http-client.ts';

/** Options of every command that talks to a running collector. */
export interface CollectorOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly tlsCa?: string;
  readonly vault?: string;
}

/** Options of every command that takes a recovery kit. */
export interface KitOptions {
  readonly kit?: string;
  readonly passphraseFile?: string;
}

const MAX_SECRET_FILE_BYTES = 4096;
const MAX_PEM_FILE_BYTES = 64 * 1024;

/**
 * The house's helpers for every command, here so that a command takes all its options from one
 * place.
 */
export { withExample, withJson, withNotes } from '@aliquot/shared/cli/help';

/** Adds what reaching a collector needs. */
export function withCollector(command: Command): Command {
  const options = [
    new Option('--url <URL>', 'its base address (or ALIQUOT_URL)'),
    new Option(
      '--token-file <FILE>',
      "the operator's token, such as admin.token (or ALIQUOT_TOKEN: the token itself)",
    ),
    new Option(
      '--tls-ca <FILE>',
      'PEM of the authority behind its certificate, if the system knows it not (or ALIQUOT_TLS_CA)',
    ),
    new Option('--vault <NAME>', 'the vault, if it holds several and no kit says which'),
  ];
  for (const option of options) withShared(command, option, 'Reaching the collector:');
  return command;
}

/** Adds the recovery kit. A command that cannot do without shows it in its synopsis. */
export function withKit(command: Command, needed: 'needed' | 'for blind vaults'): Command {
  return withPassphraseFile(
    needed === 'needed'
      ? command.addOption(
          new NeededOption('--kit <FILE>', 'recovery kit of the vault (or ALIQUOT_KIT)'),
        )
      : command.option(
          '--kit <FILE>',
          'recovery kit, which a blind vault needs to open names here (or ALIQUOT_KIT)',
        ),
  );
}

/** Where the kit's passphrase may come from instead of the question. */
export function withPassphraseFile(command: Command): Command {
  return command.option(
    '--passphrase-file <FILE>',
    "file with the kit's passphrase (or ALIQUOT_PASSPHRASE: itself)",
  );
}

/**
 * Address, token and trust from options and environment; each missing one is named with the way to
 * get it.
 */
export async function endpointOf(
  context: CommandContext,
  options: CollectorOptions,
): Promise<Endpoint> {
  const { environment, files } = context;
  const caFile = options.tlsCa ?? environment.tlsCa;
  const url = baseUrl(options.url ?? environment.url);
  const fromVariable =
    environment.token === undefined
      ? undefined
      : secretFrom(environment.token, 'the operator’s token in ALIQUOT_TOKEN');
  const token =
    options.tokenFile === undefined
      ? fromVariable
      : await readSecretFile(options.tokenFile, 'operator’s token');
  if (token === undefined) {
    throw new UsageError(
      'USAGE_MISSING',
      "no operator token; give --token-file with admin.token of the collector's folder, or set ALIQUOT_TOKEN",
    );
  }
  if (!/^[\x21-\x7e]{1,256}$/.test(token))
    throw new UsageError(
      'USAGE_INVALID',
      'that is no operator token; use admin.token of the collector’s folder',
    );
  const tlsCa =
    caFile === undefined
      ? undefined
      : (await readWholeFile(files, caFile, MAX_PEM_FILE_BYTES)).toString('utf8');
  return { url, token, tlsCa };
}

function baseUrl(text: string | undefined): string {
  if (text === undefined) {
    throw new UsageError(
      'USAGE_MISSING',
      'no collector address; give --url or set ALIQUOT_URL to the address that `aliquot serve` prints',
    );
  }
  if (!URL.canParse(text))
    throw new UsageError(
      'USAGE_INVALID',
      `"${text}" is no address; give one such as http://127.0.0.1:8480`,
    );
  const url = new URL(text);
  if (
    (url.protocol !== 'http:' && url.protocol !== 'https:') ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new UsageError(
      'USAGE_INVALID',
      `"${url.origin}" cannot be used; give a plain http or https address such as http://127.0.0.1:8480`,
    );
  }
  // The token goes with every request, and the catalog key with `vault add`: neither may cross a
  // network in clear.
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    throw new UsageError(
      'USAGE_INVALID',
      `will not send the operator's token to ${url.origin} in clear; give the collector's https address`,
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** A secret in a file that an option names, as a person would type it; see `secretFrom`. */
export async function readSecretFile(file: string, what: string): Promise<string> {
  return secretFrom(await readSecretBytes(file, what), `the ${what} in ${file}`);
}

/**
 * From its beginning on: a secret may also come through a pipe, as in `--token-file <(pass show
 * backup)` or `/dev/stdin`.
 */
async function readSecretBytes(file: string, what: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of createReadStream(file, {
      highWaterMark: MAX_SECRET_FILE_BYTES,
    }) as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > MAX_SECRET_FILE_BYTES)
        throw new UsageError(
          'USAGE_INVALID',
          `${file} is too large to be the ${what}; name another file`,
        );
      pieces.push(piece);
    }
  } catch (cause) {
    const ways: Record<string, string> = {
      ENOENT: 'is not there; check the path',
      ENOTDIR: 'is not there; check the path',
      EISDIR: 'is a folder; name the file in it',
      EACCES: 'may not be read by this user',
    };
    const way = ways[errnoOf(cause) ?? ''];
    throw way === undefined
      ? cause
      : new UsageError('USAGE_INVALID', `the ${what} ${file} ${way}`, { cause });
  }
  return Buffer.concat(pieces, size);
}
