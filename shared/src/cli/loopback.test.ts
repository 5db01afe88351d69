import { expect, it } from 'vitest';
import { loopbackPlace } from './loopback.ts';

it.each([
  ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['localhost:1', { host: 'localhost', port: 1 }],
  ['0.0.0.0:9464', undefined],
  ['[::]:9464', undefined],
  ['10.0.0.5:9464', undefined],
  ['127.0.0.1.example.org:9464', undefined],
  ['127.0.0.1', undefined],
  ['127.0.0.1:70000', undefined],
  [':9464', undefined],
  ['', undefined],
])('%s as an address of this machine alone: %j', (text, expected) => {
  expect(loopbackPlace(text)).toEqual(expected);
});
