import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DemoService } from '../../demo/programs.ts';
import { asNobody, central, type FirstDayMistake, noNobody, pc, within } from './mistake.ts';

/** Mistakes with looking and giving back. */
export const givingBack: readonly FirstDayMistake[] = [
  {
    what: 'ls of a misspelt agent',
    make: (lab) => central(lab, ['ls', '--agent', 'pcc']),
    code: 1,
    says: /pcc.*(did you mean pc|aliquot agents)/i,
  },
  {
    what: 'ls of a misspelt path',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--path', join(lab.tree, 'rnu.csv')]),
    code: 1,
    says: /rnu\.csv/,
  },
  {
    what: 'versions of a file that never was',
    make: (lab) => central(lab, ['versions', '--agent', 'pc', '--path', '/data/never']),
    code: 1,
    says: /\/data\/never/,
  },
  {
    what: 'a time that is none',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--at', 'last week']),
    code: 2,
    says: /--at cannot be "last week"; give/,
  },
  {
    what: 'a day that no month has',
    make: (lab) => central(lab, ['ls', '--agent', 'pc', '--at', '2026-02-30']),
    code: 2,
    says: /--at cannot be/,
  },
  {
    what: 'a time before everything',
    make: (lab) =>
      central(lab, [
        'restore',
        '--kit',
        lab.world.kit,
        '--agent',
        'pc',
        '--at',
        '2020-01-01',
        '--to',
        within(lab, 'r0'),
      ]),
    code: 1,
    says: /had no files|nothing/,
  },
  {
    what: 'restore without a place',
    make: (lab) => central(lab, ['restore', '--kit', lab.world.kit, '--agent', 'pc']),
    code: 2,
    says: /--to/,
  },
  {
    what: 'restore into a file',
    make: (lab) =>
      central(lab, [
        'restore',
        '--kit',
        lab.world.kit,
        '--agent',
        'pc',
        '--to',
        join(lab.tree, 'run.csv'),
      ]),
    code: 1,
    says: /run\.csv/,
  },
  {
    what: 'restore where this user may not write',
    make: (lab) =>
      asNobody(
        'aliquot',
        [
          'restore',
          '--kit',
          within(lab, 'open.kit'),
          '--agent',
          'pc',
          '--to',
          within(lab, 'closed/r'),
        ],
        {
          ...lab.world.environment(),
          ALIQUOT_TOKEN: lab.token,
          ALIQUOT_STATE: '/tmp/aliquot-nobody',
        },
      ),
    code: 1,
    says: /permission denied|may not/,
    unless: noNobody,
  },
  {
    what: 'a version that is none',
    make: (lab) =>
      central(lab, [
        'cat',
        '--kit',
        lab.world.kit,
        '--agent',
        'pc',
        '--version',
        '0123456789abcdef.7',
      ]),
    code: 1,
    says: /0123456789abcdef\.7/,
  },
  {
    what: 'restore at the PC of a misspelt path',
    make: (lab) => pc(['restore', join(lab.tree, 'rnu.csv'), '--data', lab.agent.data]),
    code: 1,
    says: /check the spelling/,
  },
  {
    what: 'Ctrl-C while the service is asked to start',
    make: async (lab) => {
      await writeFile(within(lab, 'right.yaml'), `sources: [{path: ${lab.tree}}]\n`);
      const service = new DemoService('aliquot-agent', [
        'run',
        '--data',
        lab.agent.data,
        '--config',
        within(lab, 'right.yaml'),
      ]);
      await service.event('running');
      return { code: await service.stop('SIGINT'), stdout: '', stderr: '', lines: [] };
    },
    code: 0,
    says: /^$/,
  },
  {
    what: 'fsck of a folder that is none',
    make: (lab) => central(lab, ['fsck', '--data', lab.tree]),
    code: 2,
    says: /not a collector's data folder/,
  },
  {
    what: 'fsck of an agent’s folder by the other program',
    make: (lab) => central(lab, ['fsck', '--data', lab.agent.data]),
    code: 2,
    says: /not a collector's data folder/,
  },
];
