import { createServer } from 'node:net';
import { asNobody, central, type FirstDayMistake, noNobody, within } from './mistake.ts';

/** Mistakes with installing the collector. */
export const installing: readonly FirstDayMistake[] = [
  { what: 'no command', make: (lab) => central(lab, []), code: 2, says: /--help/, help: true },
  {
    what: 'a misspelt command',
    make: (lab) => central(lab, ['agnets']),
    code: 2,
    says: /agnets.*Did you mean agents/i,
  },
  {
    what: 'a misspelt option',
    make: (lab) => central(lab, ['ls', '--agnt', 'pc']),
    code: 2,
    says: /--agnt.*Did you mean --agent/i,
  },
  {
    what: 'a command without its argument',
    make: (lab) => central(lab, ['agent', 'revoke']),
    code: 2,
    says: /missing.*NAME.*--help/i,
  },
  {
    what: 'an option without its value',
    make: (lab) => central(lab, ['ls', '--agent']),
    code: 2,
    says: /--agent.*argument missing.*--help/,
  },
  {
    what: 'init without a folder',
    make: (lab) => central(lab, ['init']),
    code: 2,
    says: /--data.*--help/,
  },
  {
    what: 'init where something is',
    make: (lab) => central(lab, ['init', '--data', lab.tree]),
    code: 2,
    says: /holds something already.*new or empty folder/,
  },
  {
    what: 'init a second time',
    make: (lab) => central(lab, ['init', '--data', lab.world.collectorData]),
    code: 2,
    says: /(is a data folder|holds something) already.*new or empty/,
  },
  {
    what: 'init where this user may not write',
    make: (lab) => asNobody('aliquot', ['init', '--data', within(lab, 'closed/collector')]),
    code: 1,
    says: /permission denied.*run as another user/,
    unless: noNobody,
  },
  {
    what: 'serve before init',
    make: (lab) => central(lab, ['serve', '--data', within(lab, 'nothing')]),
    code: 2,
    says: /not a collector's data folder.*aliquot init/,
  },
  {
    what: 'serve of the agent’s folder',
    make: (lab) => central(lab, ['serve', '--data', lab.agent.data]),
    code: 2,
    says: /not a collector's data folder.*aliquot init/,
  },
  {
    what: 'serve in a second terminal',
    make: (lab) =>
      central(lab, ['serve', '--data', lab.world.collectorData, '--listen', '127.0.0.1:0']),
    code: 1,
    says: /in use by a living process \(pid \d+\); stop it first/,
  },
  {
    what: 'serve on a port that is taken',
    make: async (lab) => {
      await central(lab, ['init', '--data', within(lab, 'second')]);
      const holder = createServer();
      const port = await new Promise<number>((resolve) => {
        holder.listen(0, '127.0.0.1', () => {
          const at = holder.address();
          resolve(typeof at === 'object' && at !== null ? at.port : 0);
        });
      });
      try {
        return await central(lab, [
          'serve',
          '--data',
          within(lab, 'second'),
          '--listen',
          `127.0.0.1:${port}`,
        ]);
      } finally {
        holder.close();
      }
    },
    code: 1,
    says: /another program uses that port.*--listen/,
  },
  {
    what: 'serve to the network without a certificate',
    make: (lab) =>
      central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '0.0.0.0:0']),
    code: 2,
    says: /--tls-cert/,
  },
  {
    what: 'a listen address without a port',
    make: (lab) =>
      central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '127.0.0.1']),
    code: 2,
    says: /--listen.*HOST:PORT|--listen.*127\.0\.0\.1:8480/,
  },
  {
    what: 'a port that is none',
    make: (lab) =>
      central(lab, ['serve', '--data', within(lab, 'second'), '--listen', '127.0.0.1:99999']),
    code: 2,
    says: /--listen/,
  },
  {
    what: 'an address that this machine has not',
    make: (lab) =>
      central(lab, [
        'serve',
        '--data',
        within(lab, 'second'),
        '--listen',
        '203.0.113.9:18480',
        '--tls-cert',
        within(lab, 'tls.pem'),
        '--tls-key',
        within(lab, 'tls.key'),
      ]),
    code: 1,
    says: /no such address.*--listen/,
  },
  {
    what: 'a certificate that is not there',
    make: (lab) =>
      central(lab, [
        'serve',
        '--data',
        within(lab, 'second'),
        '--tls-cert',
        within(lab, 'no.pem'),
        '--tls-key',
        within(lab, 'tls.key'),
      ]),
    code: 2,
    says: /no\.pem/,
  },
  {
    what: 'a certificate with another key',
    make: (lab) =>
      central(lab, [
        'serve',
        '--data',
        within(lab, 'second'),
        '--tls-cert',
        within(lab, 'tls.pem'),
        '--tls-key',
        within(lab, 'other.key'),
      ]),
    code: 2,
    says: /cannot be used together.*belong together/,
  },
  {
    what: 'a certificate without its key',
    make: (lab) =>
      central(lab, [
        'serve',
        '--data',
        within(lab, 'second'),
        '--tls-cert',
        within(lab, 'tls.pem'),
      ]),
    code: 2,
    says: /--tls-cert and --tls-key go together/,
  },
];
