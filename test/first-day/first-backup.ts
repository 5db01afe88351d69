import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DemoService, type Finished } from '../../demo/programs.ts';
import { type FirstDayMistake, pc, within } from './mistake.ts';

/** Mistakes with the first backup. */
export const firstBackup: readonly FirstDayMistake[] = [
  {
    what: 'backup without a data folder',
    make: (lab) => pc(['backup', lab.tree]),
    code: 2,
    says: /--data/,
  },
  {
    what: 'backup before enrol',
    make: (lab) => pc(['backup', lab.tree, '--data', within(lab, 'nothing')]),
    code: 2,
    says: /not an agent's data folder.*aliquot-agent enroll/,
  },
  {
    what: 'backup of nothing',
    make: (lab) => pc(['backup', '--data', lab.agent.data]),
    code: 2,
    says: /missing.*path.*--help/i,
  },
  {
    what: 'backup of a misspelt path',
    make: (lab) => pc(['backup', join(lab.tree, 'rnu'), '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'a pattern in quotes for a path',
    make: (lab) => pc(['backup', join(lab.tree, '*.csv'), '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'a Windows path on Linux',
    make: (lab) => pc(['backup', 'C:\\Data\\hplc', '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'backup of the agent’s own folder',
    make: (lab) => pc(['backup', lab.agent.data, '--data', lab.agent.data]),
    code: 2,
    says: /nothing to back up/,
  },
  {
    what: 'an exclude that takes everything',
    make: (lab) => pc(['backup', lab.tree, '--exclude', '*', '--data', lab.agent.data]),
    code: 3,
    says: /could not be protected/,
  },
  {
    what: 'a broken exclude',
    make: (lab) => pc(['backup', lab.tree, '--exclude', '[', '--data', lab.agent.data]),
    code: 2,
    says: /is not a path pattern|exclude/,
  },
  {
    what: 'backup while the collector is unplugged',
    make: async (lab) => {
      await lab.world.unserve();
      try {
        await writeFile(join(lab.tree, 'offline.csv'), 'while nobody listens');
        return await pc(['backup', lab.tree, '--data', lab.agent.data]);
      } finally {
        await lab.world.serve();
        await pc(['flush', '--data', lab.agent.data]);
      }
    },
    code: 3,
    says: /queued, not yet safe/,
  },
  {
    what: 'a service before anything says what to watch',
    make: async (lab) => {
      const service = new DemoService('aliquot-agent', ['run', '--data', lab.agent.data]);
      await service.event('running');
      await service.complained(/nothing says which folders to watch; waiting for settings/);
      let told: Finished;
      do told = await pc(['status', '--data', lab.agent.data]);
      while (!told.stderr.includes('agent.yaml: '));
      return { ...told, code: await service.stop('SIGINT') };
    },
    code: 0,
    says: /agent\.yaml: nothing says which folders to watch: write this file.*sources: \[\{path: .*let central IT send settings/,
  },
  {
    what: 'run with a misspelt setting',
    make: async (lab) => {
      await writeFile(
        within(lab, 'wrong.yaml'),
        `sources: [{path: ${lab.tree}}]\nscanIntervalSecond: 5\n`,
      );
      return pc(['run', '--data', lab.agent.data, '--config', within(lab, 'wrong.yaml')]);
    },
    code: 2,
    says: /1 mistake, named above/,
  },
];
