import { copyFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { central, type FirstDayMistake, within } from './mistake.ts';

/** Mistakes with the kit. */
export const theKit: readonly FirstDayMistake[] = [
  {
    what: 'no kit',
    make: (lab) => central(lab, ['kit', 'verify']),
    code: 2,
    says: /--kit.*ALIQUOT_KIT/,
  },
  {
    what: 'a kit that is not there',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', within(lab, 'no.kit')]),
    code: 2,
    says: /no\.kit/,
  },
  {
    what: 'a file that is no kit',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', join(lab.tree, 'run.csv')]),
    code: 1,
    says: /no recovery kit|not a recovery kit/i,
  },
  {
    what: 'a bundle for the kit',
    make: (lab) => central(lab, ['kit', 'verify', '--kit', lab.agent.bundle]),
    code: 1,
    says: /BUNDLE.*not a.*kit|not a recovery kit/i,
  },
  {
    what: 'a kit that was cut short',
    make: async (lab) => {
      await copyFile(lab.world.kit, within(lab, 'short.kit'));
      await truncate(within(lab, 'short.kit'), 300);
      return central(lab, ['kit', 'verify', '--kit', within(lab, 'short.kit')]);
    },
    code: 1,
    says: /damaged|incomplete/,
  },
  {
    what: 'a wrong passphrase',
    make: (lab) =>
      central(lab, ['kit', 'verify', '--kit', lab.world.kit], {
        ALIQUOT_PASSPHRASE: 'wrong horse battery staple',
      }),
    code: 1,
    says: /passphrase/,
  },
  {
    what: 'no passphrase and no terminal',
    make: (lab) =>
      central(lab, ['kit', 'verify', '--kit', lab.world.kit], { ALIQUOT_PASSPHRASE: undefined }),
    code: 2,
    says: /ALIQUOT_PASSPHRASE/,
  },
  {
    what: 'a weak passphrase',
    make: (lab) =>
      central(lab, ['kit', 'create', '--out', within(lab, 'new.kit')], {
        ALIQUOT_PASSPHRASE: 'password1',
      }),
    code: 2,
    says: /passphrase.*--weak-passphrase/,
  },
  {
    what: 'a passphrase with a blank at its end',
    make: (lab) =>
      central(lab, ['kit', 'create', '--out', within(lab, 'new.kit')], {
        ALIQUOT_PASSPHRASE: 'correct horse battery staple ',
      }),
    code: 2,
    says: /blank|space/,
  },
  {
    what: 'kit create over a kit',
    make: (lab) => central(lab, ['kit', 'create', '--out', lab.world.kit]),
    code: 1,
    says: /is there already and is not overwritten; choose another name/,
  },
  {
    what: 'kit create where no folder is',
    make: (lab) => central(lab, ['kit', 'create', '--out', within(lab, 'no/where.kit')]),
    code: 1,
    says: /no\/where\.kit|no\b.*folder/,
  },
  {
    what: 'vault add a second time',
    make: (lab) => central(lab, ['vault', 'add', '--kit', lab.world.kit]),
    code: 0,
    says: /^$|already/,
  },
];
