import { UsageError } from '@aliquot/shared/cli/errors';
import { readWholeFile } from '@aliquot/shared/durable/durable';
import { errnoOf } from '@aliquot/shared/durable/errors';
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';
import type { Endpoint } from './http-client.ts';
import { isLoopback } from './listen.ts';

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
}

const MAX_TOKEN_FILE_BYTES = 4096;
const MAX_PEM_FILE_BYTES = 64 * 1024;

/** Adds what reaching a collector needs. */
export function withCollector(command: Command): Command {
  return command
    .option('--url <URL>', "the collector's base address (or ALIQUOT_URL)")
    .option('--token-file <FILE>', "the operator's token: admin.token of the collector's folder (or ALIQUOT_TOKEN with the token itself)")
    .option(
      '--tls-ca <FILE>',
      "PEM of the authority that signed the collector's TLS certificate, if the system does not know it (or ALIQUOT_TLS_CA)",
    )
    .option('--vault <NAME>', 'the vault, when the collector holds several and no kit says which');
}

export function withKit(command: Command, needed: 'needed' | 'for blind vaults'): Command {
  const text =
    needed === 'needed'
      ? 'recovery kit of the vault (or ALIQUOT_KIT)'
      : 'recovery kit: opens the names on this machine; a blind vault needs it (or ALIQUOT_KIT)';
  return command.option('--kit <FILE>', text);
}

export function withJson(command: Command): Command {
  return command.option('--json', 'one JSON object a line on standard output');
}

/** Help always ends with a command line that works. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** Address, token and trust from options and environment; each missing one is named with the way to get it. */
export async function endpointOf(context: CommandContext, options: CollectorOptions): Promise<Endpoint> {
  const { environment, files } = context;
  const caFile = options.tlsCa ?? environment.tlsCa;
  const url = baseUrl(options.url ?? environment.url);
  const token =
    options.tokenFile === undefined
      ? environment.token
      : (await readText(context, options.tokenFile, 'operator token', MAX_TOKEN_FILE_BYTES)).trim();
  if (token === undefined || token === '') {
    throw new UsageError(
      'USAGE_MISSING',
      "no operator token; give --token-file with admin.token of the collector's folder, or set ALIQUOT_TOKEN",
    );
  }
  if (!/^[\x21-\x7e]{1,256}$/.test(token))
    throw new UsageError('USAGE_INVALID', 'that is no operator token; use admin.token of the collector’s folder');
  const tlsCa = caFile === undefined ? undefined : (await readWholeFile(files, caFile, MAX_PEM_FILE_BYTES)).toString('utf8');
  return { url, token, tlsCa };
}

function baseUrl(text: string | undefined): string {
  if (text === undefined) {
    throw new UsageError('USAGE_MISSING', 'no collector address; give --url or set ALIQUOT_URL to the address that `aliquot serve` prints');
  }
  if (!URL.canParse(text)) throw new UsageError('USAGE_INVALID', `"${text}" is no address; give one such as http://127.0.0.1:8480`);
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
  // The token goes with every request, and the catalog key with `vault add`: neither may cross a network in clear.
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    throw new UsageError(
      'USAGE_INVALID',
      `will not send the operator's token to ${url.origin} in clear; give the collector's https address`,
    );
  }
  return url.href.replace(/\/+$/, '');
}

/** A small text file that an option names. */
export async function readText(context: CommandContext, file: string, what: string, limit: number): Promise<string> {
  try {
    return (await readWholeFile(context.files, file, limit)).toString('utf8');
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT' || (error instanceof Error && 'code' in error && error.code === 'FILE_MISSING');
    if (missing) throw new UsageError('USAGE_INVALID', `the ${what} ${file} is not there; check the path`, { cause: error });
    throw error;
  }
}
