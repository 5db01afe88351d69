import { isIP } from 'node:net';
import { UsageError } from '@aliquot/shared/cli/errors';
import { isLoopback } from '@aliquot/shared/cli/loopback';

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads HOST:PORT, `[::1]:8480` included. Plain HTTP is for loopback only: everything that agents
 * send is sealed and signed anyway, but the operator's token is not, and it must not cross a
 * network in clear.
 */
export function parseListen(text: string, tls: boolean): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new UsageError(
      'USAGE_INVALID',
      `--listen cannot be "${text}"; give HOST:PORT such as 127.0.0.1:8480 or [::1]:8480 (port 0 picks one)`,
    );
  }
  if (!tls && !isLoopback(host)) {
    throw new UsageError(
      'USAGE_INVALID',
      `will not listen on ${text} without TLS: give --tls-cert and --tls-key, or listen on 127.0.0.1`,
    );
  }
  return { host, port };
}

/**
 * The base address for a listening socket. A wildcard is no address that anybody can use, so it
 * becomes the machine's own name.
 */
export function baseUrl(tls: boolean, host: string, port: number, hostname: string): string {
  const named = host === '0.0.0.0' || host === '::' ? hostname : host;
  return `${tls ? 'https' : 'http'}://${named.includes(':') ? `[${named}]` : named}:${port}`;
}
