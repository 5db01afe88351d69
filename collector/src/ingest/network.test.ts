import { describe, expect, it } from 'vitest';
import { networkOf, TrustedProxies } from './network.ts';

describe('what counts as one other side', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::ffff:0:192.0.2.1', '0:0:0:0::/64'],
  ])('%s is of %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe('trusted proxies', () => {
  const proxies = new TrustedProxies('127.0.0.1,10.1.0.0/16,2001:db8:9::/48');

  it.each([
    ['127.0.0.1', true],
    ['::ffff:127.0.0.1', true],
    ['127.0.0.2', false],
    ['10.1.255.9', true],
    ['10.2.0.1', false],
    ['2001:db8:9:1::1', true],
    ['2001:db8:a::1', false],
    [undefined, false],
  ])('are those that are named: %s %s', (address, trusted) => {
    expect(proxies.trusts(address)).toBe(trusted);
  });

  it('are none unless somebody names them, not even on loopback', () => {
    expect(new TrustedProxies().trusts('127.0.0.1')).toBe(false);
    expect(new TrustedProxies().clientOf('127.0.0.1', '198.51.100.1')).toBe('127.0.0.1');
  });

  it.each([
    ['the last that spoke to one of them', '203.0.113.5', '203.0.113.5'],
    ['not what others wrote before it', '198.51.100.1, 203.0.113.5', '203.0.113.5'],
    ['through several of them', '203.0.113.5, 10.1.0.7, 127.0.0.1', '203.0.113.5'],
    ['with a port', '203.0.113.5:4711', '203.0.113.5'],
    ['in brackets', '[2001:db8::5]:4711', '2001:db8::5'],
    ['bare IPv6', '2001:db8::5', '2001:db8::5'],
    ['the proxy itself where it says nothing', undefined, '127.0.0.1'],
    ['the proxy itself where it says rubbish', 'unknown', '127.0.0.1'],
    ['the proxy itself where it says an empty word', '203.0.113.5,', '127.0.0.1'],
    ['the last proxy that speaks of one before it', 'x, 10.1.0.7', '10.1.0.7'],
  ])('name the client: %s', (_case, header, client) => {
    expect(proxies.clientOf('127.0.0.1', header)).toBe(client);
  });

  it.each([
    'x',
    '127.0.0.1/33',
    '127.0.0.1/0',
    '127.0.0.1/8/8',
    '127.0.0.1/',
    '::1/129',
    'proxy.lab',
  ])('%j is none, and what is asked for is said', (text) => {
    expect(() => new TrustedProxies(text)).toThrow(/--trusted-proxy cannot be .*127\.0\.0\.1/);
  });
});
