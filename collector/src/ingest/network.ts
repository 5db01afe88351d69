import { BlockList, isIP } from 'node:net';
import { UsageError } from '@aliquot/shared/cli/errors';

const IPV6_GROUPS = 8;
/** A site of the internet has such a network at least, and its hosts change addresses inside. */
const NETWORK_GROUPS = 4;

/**
 * What counts as one other side: an IPv4 address, also one that is written as IPv6, or the /64
 * network of an IPv6 address, in which a single machine has any number of addresses.
 */
export function networkOf(address: string): string {
  const plain = unmapped(address);
  if (isIP(plain) !== 6) return plain;
  return `${groupsOf(plain).slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** `::ffff:192.0.2.1`, as a socket that listens on both families names it, is 192.0.2.1. */
function unmapped(address: string): string {
  const [bare = ''] = address.split('%');
  if (isIP(bare) !== 6) return bare;
  const groups = groupsOf(bare);
  const mapped = groups.slice(0, 5).every((group) => group === '0') && groups[5] === 'ffff';
  if (!mapped) return bare;
  const [high, low] = groups.slice(6).map((group) => Number.parseInt(group, 16));
  return [high ?? 0, low ?? 0].flatMap((part) => [part >> 8, part & 255]).join('.');
}

/** The eight groups of a valid IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  // `new URL` writes an address in one way only (RFC 5952), IPv4 in its end as hexadecimal.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [first, last] = [groups(head), groups(tail ?? '')];
  return [...first, ...Array(IPV6_GROUPS - first.length - last.length).fill('0'), ...last];
}

/**
 * The proxies in front of this collector, by address or network: what they say of where a request
 * came from is believed, and nobody else's word.
 */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #some: boolean;

  /** @param text addresses and networks, as in `127.0.0.1,10.1.0.0/16`; errors: `USAGE_INVALID` */
  constructor(text = '') {
    const entries = text.split(',').filter((entry) => entry !== '');
    this.#some = entries.length > 0;
    for (const entry of entries) this.#add(entry);
  }

  trusts(address: string | undefined): boolean {
    if (!this.#some || address === undefined) return false;
    const plain = unmapped(address);
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  }

  /**
   * Where a request came from that the proxy at `address` handed on. Each proxy adds at the end of
   * `X-Forwarded-For` who spoke to it: the last one that is no proxy of ours spoke to one of ours,
   * and what stands before that is what anybody may have written.
   */
  clientOf(address: string, forwardedFor: string | undefined): string {
    let client = address;
    for (const entry of (forwardedFor ?? '').split(',').reverse()) {
      if (!this.trusts(client)) break;
      const said = addressIn(entry.trim());
      if (said === undefined) break;
      client = said;
    }
    return client;
  }

  #add(entry: string): void {
    const [address = '', length, more] = entry.split('/');
    const family = isIP(address);
    const bits = family === 6 ? 128 : 32;
    const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
    if (family === 0 || more !== undefined || !(prefix > 0 && prefix <= bits))
      throw new UsageError(
        'USAGE_INVALID',
        `--trusted-proxy cannot be "${entry}"; give the proxy's address or network, such as 127.0.0.1 or 10.1.0.0/16, several with commas between`,
      );
    this.#list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`; undefined for all else. */
function addressIn(entry: string): string | undefined {
  if (isIP(entry) !== 0) return entry;
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(entry) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? bracketed : undefined;
  return plain !== undefined && isIP(plain) === 4 ? plain : undefined;
}
