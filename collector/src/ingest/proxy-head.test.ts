import { describe, expect, it } from 'vitest';
import { readProxyHead } from './proxy-head.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const FOUR = `${SIGNATURE}2111000c cb007101 c0000201 1111 2130`;
const SIX = `${SIGNATURE}21210024 20010db8000100020000000000000007 20010db8000000000000000000000001 1111 2130`;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

const said: readonly (readonly [string, Buffer, string | undefined])[] = [
  ['IPv4 as text', Buffer.from('PROXY TCP4 203.0.113.1 192.0.2.1 4711 8480\r\n'), '203.0.113.1'],
  ['IPv6 as text', Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4711 8480\r\n'), '2001:db8::7'],
  ['nobody known, as text', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['nobody known, with more', Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  ['IPv4 in bytes', hex(FOUR), '203.0.113.1'],
  ['IPv6 in bytes', hex(SIX), '2001:db8:1:2:0:0:0:7'],
  ['itself', hex(`${SIGNATURE}20000000`), undefined],
  ['a socket of its machine', hex(`${SIGNATURE}21310003 aabbcc`), undefined],
  ['IPv4, and more beside it', hex(`${FOUR.replace('000c', '0010')}ee000100`), '203.0.113.1'],
];

describe('the head that a proxy puts in front of what it passes through', () => {
  it.each(said)('names %s, at whatever byte it is cut', (_name, head, client) => {
    for (let length = 0; length < head.length; length += 1)
      expect(readProxyHead(head.subarray(0, length))).toEqual({ type: 'unfinished' });
    const whole = { type: 'said', bytes: head.length, client };
    expect(readProxyHead(head)).toEqual(whole);
    expect(readProxyHead(Buffer.concat([head, Buffer.from('GET / HTTP/1.1')]))).toEqual(whole);
  });

  it.each([
    ['a request', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a request that begins alike', Buffer.from('PROPFIND / HTTP/1.1\r\n')],
    ['TLS', hex('16030100')],
    ['empty lines', Buffer.from('\r\n\r\nGET')],
  ])('is absent from %s', (_name, bytes) => {
    expect(readProxyHead(bytes)).toEqual({ type: 'absent' });
  });

  it.each([
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(107)}`)],
    ['a line that ends too late', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(100)}\r\n`)],
    ['a family that it is not', Buffer.from('PROXY TCP6 203.0.113.1 192.0.2.1 1 2\r\n')],
    ['no address', Buffer.from('PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n')],
    ['no ports', Buffer.from('PROXY TCP4 203.0.113.1 192.0.2.1\r\n')],
    ['another protocol', Buffer.from('PROXY UDP4 203.0.113.1 192.0.2.1 1 2\r\n')],
    ['another version', hex(FOUR.replace('2111', '3111'))],
    ['another command', hex(FOUR.replace('2111', '2211'))],
    ['fewer bytes than an address has', hex(FOUR.replace('000c', '000b'))],
    ['bytes without end', hex(FOUR.replace('000c', 'ffff'))],
  ])('is refused when it has %s', (_name, bytes) => {
    expect(readProxyHead(bytes)).toEqual({ type: 'malformed' });
  });
});
