import type { CollectorAddress } from '@aliquot/proto';
import { describe, expect, test } from 'vitest';
import { UplinkError, type UplinkErrorCode } from './errors.ts';
import { everyAddress } from './every-address.ts';

const at = (url: string): CollectorAddress => ({ url, tlsCa: '', tlsPins: [] });
const addresses = ['https://new.lab', 'https://worked.lab', 'https://bundle.lab'].map(at);

/** Tries them all; by URL how it ends there, and where a collector proved itself. */
async function trying(ends: Readonly<Record<string, UplinkErrorCode>>, proved?: string) {
  const tried: string[] = [];
  const failure = await everyAddress(addresses, async ({ url }) => {
    tried.push(url);
    return {
      failure: new UplinkError(ends[url] ?? 'UPLINK_UNREACHABLE', `${url} failed`),
      final: url === proved,
    };
  });
  return { tried: tried.length, code: failure.code, message: failure.message };
}

describe('the addresses of a collector', () => {
  test('are tried in their order, up to the one where a collector of the vault proves itself', async () => {
    expect(
      await trying({ 'https://worked.lab': 'UPLINK_REVOKED' }, 'https://worked.lab'),
    ).toMatchObject({
      tried: 2,
      code: 'UPLINK_REVOKED',
    });
    expect(await trying({}, 'https://new.lab')).toMatchObject({ tried: 1 });
  });

  test('P6: where the trust of an address does not hold, the system’s is tried, once and at once', async () => {
    const pinned = { url: 'https://pinned.lab', tlsCa: 'pem', tlsPins: [new Uint8Array(32)] };
    const tried: CollectorAddress[] = [];
    const attempt = (proved: boolean) => async (address: CollectorAddress) => {
      tried.push(address);
      return {
        failure: new UplinkError('UPLINK_TLS', 'not trusted'),
        final: proved && address.tlsPins.length === 0,
      };
    };
    await everyAddress([pinned, at('https://other.lab')], attempt(true));
    expect(tried).toEqual([pinned, at('https://pinned.lab')]);
    tried.splice(0);
    await everyAddress([pinned, at('https://other.lab')], attempt(false));
    expect(tried).toEqual([pinned, at('https://pinned.lab'), at('https://other.lab')]);
  });

  test('P6: where none leads to it, each is named, and what may pass decides how soon it is tried again', async () => {
    const mixed = await trying({
      'https://new.lab': 'UPLINK_TLS',
      'https://bundle.lab': 'UPLINK_FOREIGN_COLLECTOR',
    });
    expect(mixed).toMatchObject({ tried: 3, code: 'UPLINK_UNREACHABLE' });
    for (const { url } of addresses) expect(mixed.message).toContain(url);
    const ends = {
      'https://new.lab': 'UPLINK_TLS',
      'https://worked.lab': 'UPLINK_TLS',
      'https://bundle.lab': 'UPLINK_TLS',
    } as const;
    expect(await trying(ends)).toMatchObject({ tried: 3, code: 'UPLINK_TLS' });
  });

  test('P6: one address that is known twice, with an old trust and a new one, is named once', async () => {
    const twice = [at('https://one.lab'), { ...at('https://one.lab'), tlsCa: 'pem' }];
    const fails = async ({ url }: CollectorAddress) => ({
      failure: new UplinkError('UPLINK_TLS', `${url} is not trusted`),
      final: false,
    });
    expect((await everyAddress(twice, fails)).message).toBe('https://one.lab is not trusted');
    const { message } = await everyAddress(
      [...twice, at('https://two.lab'), at('https://two.lab')],
      fails,
    );
    expect(message).toBe(
      'https://one.lab is not trusted; also tried: https://two.lab is not trusted',
    );
  });
});
