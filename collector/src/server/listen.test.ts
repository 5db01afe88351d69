import { describe, expect, it } from 'vitest';
import { baseUrl, parseListen } from './listen.ts';

describe('listen address', () => {
  it.each([
    ['127.0.0.1:8480', { host: '127.0.0.1', port: 8480 }],
    ['127.1.2.3:0', { host: '127.1.2.3', port: 0 }],
    ['localhost:1', { host: 'localhost', port: 1 }],
    ['[::1]:8480', { host: '::1', port: 8480 }],
  ])('takes %s without TLS', (text, expected) => {
    expect(parseListen(text, false)).toEqual(expected);
  });

  it.each([
    '0.0.0.0:8480',
    '192.168.1.5:8480',
    '[::]:8480',
    'collector.lab:8480',
    '127.0.0.1.evil.example:80',
  ])('refuses %s without TLS and says the way out', (text) => {
    expect(() => parseListen(text, false)).toThrow(/--tls-cert/);
    expect(parseListen(text, true).port).toBeGreaterThan(0);
  });

  it.each([
    '',
    '8480',
    ':8480',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:70000',
    '::1:80',
    '[127.0.0.1]:80',
    '127.0.0.1:80x',
  ])('refuses %j as no address', (text) => {
    expect(() => parseListen(text, true)).toThrow(/HOST:PORT/);
  });

  it('names an address that others can use', () => {
    expect(baseUrl(false, '127.0.0.1', 8480, 'srv')).toBe('http://127.0.0.1:8480');
    expect(baseUrl(false, '::1', 8480, 'srv')).toBe('http://[::1]:8480');
    expect(baseUrl(true, '0.0.0.0', 8480, 'srv')).toBe('https://srv:8480');
  });
});
