import { isIP } from 'node:net';

/**
 * Whether only this machine hears what goes to a host. `host` is a name or an address, IPv6 without
 * brackets.
 */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/**
 * `127.0.0.1:9464` or `[::1]:9464`, taken apart; `undefined` for what is nothing of the kind, or
 * what others could reach.
 */
export function loopbackPlace(
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || !isLoopback(host) || port > 65_535 ? undefined : { host, port };
}
