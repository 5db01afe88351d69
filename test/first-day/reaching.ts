import { chmod } from 'node:fs/promises';
import { createServer } from 'node:net';
import { asNobody, central, type FirstDayMistake, noNobody, within } from './mistake.ts';

/** Mistakes with reaching the collector. */
export const reaching: readonly FirstDayMistake[] = [
  {
    what: 'no address',
    make: (lab) => central(lab, ['agents'], { ALIQUOT_URL: undefined }),
    code: 2,
    says: /--url.*ALIQUOT_URL/,
  },
  {
    what: 'a wrong port',
    make: (lab) => central(lab, ['agents', '--url', 'http://127.0.0.1:9']),
    code: 1,
    says: /127\.0\.0\.1:9.*(aliquot serve|runs|reached)/,
  },
  {
    what: 'a host that is not known',
    make: (lab) => central(lab, ['agents', '--url', 'https://no-such-host.invalid:8480']),
    code: 1,
    says: /no-such-host\.invalid/,
  },
  {
    what: 'https where http is spoken',
    make: (lab) => central(lab, ['agents', '--url', lab.world.url.replace('http:', 'https:')]),
    code: 1,
    says: /http:|no TLS|not TLS/i,
  },
  {
    what: 'an address without a scheme',
    make: (lab) => central(lab, ['agents', '--url', lab.world.url.replace('http://', '')]),
    code: 2,
    says: /--url|http:\/\//,
  },
  {
    what: 'http over the network',
    make: (lab) => central(lab, ['agents', '--url', 'http://backup.example:8480']),
    code: 2,
    says: /https/,
  },
  {
    what: 'the address of something else',
    make: async (lab) => {
      const other = createServer((socket) =>
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi'),
      );
      const port = await new Promise<number>((resolve) => {
        other.listen(0, '127.0.0.1', () => {
          const at = other.address();
          resolve(typeof at === 'object' && at !== null ? at.port : 0);
        });
      });
      try {
        return await central(lab, ['agents', '--url', `http://127.0.0.1:${port}`]);
      } finally {
        other.close();
      }
    },
    code: 1,
    says: /no Aliquot collector|not an Aliquot|is no collector|not.*collector/i,
  },
  {
    what: 'no token',
    make: (lab) => central(lab, ['agents'], { ALIQUOT_TOKEN: undefined }),
    code: 2,
    says: /no operator token.*--token-file/,
  },
  {
    what: 'a wrong token',
    make: (lab) => central(lab, ['agents'], { ALIQUOT_TOKEN: 'A'.repeat(43) }),
    code: 1,
    says: /token.*admin\.token/,
  },
  {
    what: 'a token file that is not there',
    make: (lab) =>
      central(lab, ['agents', '--token-file', within(lab, 'no.token')], {
        ALIQUOT_TOKEN: undefined,
      }),
    code: 2,
    says: /no\.token/,
  },
  {
    what: 'the kit for the token',
    make: (lab) =>
      central(lab, ['agents', '--token-file', lab.world.kit], { ALIQUOT_TOKEN: undefined }),
    code: 2,
    says: /token/,
  },
  {
    what: 'a token file that this user may not read',
    make: async (lab) => {
      await chmod(within(lab, 'closed'), 0o700);
      return asNobody('aliquot', [
        'agents',
        '--url',
        lab.world.url,
        '--token-file',
        within(lab, 'closed/admin.token'),
      ]);
    },
    code: 2,
    says: /may not be read by this user/,
    unless: noNobody,
  },
];
