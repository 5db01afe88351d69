import { writeFile } from 'node:fs/promises';
import { central, type FirstDayMistake, pc, within } from './mistake.ts';

/** Mistakes with enrolling. */
export const enrolling: readonly FirstDayMistake[] = [
  {
    what: 'an agent’s name with a blank',
    make: (lab) =>
      central(lab, ['enroll', 'hplc 1', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 2,
    says: /is no agent name.*letters, digits/,
  },
  {
    what: 'an agent’s name that is borne',
    make: (lab) =>
      central(lab, ['enroll', 'pc', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 1,
    says: /--replaces/,
  },
  {
    what: 'to replace an agent that is not there',
    make: (lab) =>
      central(lab, [
        'enroll',
        'pc-2',
        '--replaces',
        'px',
        '--kit',
        lab.world.kit,
        '--out',
        within(lab, 'b'),
      ]),
    code: 1,
    says: /px/,
  },
  {
    what: 'a bundle over a file',
    make: (lab) => central(lab, ['enroll', 'pc-2', '--kit', lab.world.kit, '--out', lab.world.kit]),
    code: 1,
    says: /is there already and is not overwritten; choose another name/,
  },
  {
    what: 'an expiry that is none',
    make: (lab) =>
      central(lab, [
        'enroll',
        'pc-2',
        '--expires',
        'tomorrow',
        '--kit',
        lab.world.kit,
        '--out',
        within(lab, 'b'),
      ]),
    code: 2,
    says: /--expires.*24h/,
  },
  {
    what: 'a group without a number of PCs',
    make: (lab) =>
      central(lab, [
        'enroll',
        '--group',
        'hall',
        '--kit',
        lab.world.kit,
        '--out',
        within(lab, 'b'),
      ]),
    code: 2,
    says: /--uses COUNT/,
  },
  {
    what: 'a list as PowerShell writes it',
    make: async (lab) => {
      await writeFile(within(lab, 'pcs.txt'), Buffer.from('\ufeffpc-8\r\n', 'utf16le'));
      return central(lab, [
        'enroll',
        '--list',
        within(lab, 'pcs.txt'),
        '--kit',
        lab.world.kit,
        '--out-dir',
        within(lab, 'bundles'),
      ]);
    },
    code: 2,
    says: /pcs\.txt, line 1: written in UTF-16.*save it as UTF-8/,
  },
  {
    what: 'to approve a PC that does not wait',
    make: (lab) => central(lab, ['agents', 'approve', 'pc', '--kit', lab.world.kit]),
    code: 1,
    says: /pc does not wait for approval: it is enrolled; nobody waits/,
  },
  {
    what: 'another name for the PC of a bundle',
    make: async (lab) =>
      pc([
        'enroll',
        await lab.world.bundle('pc-9'),
        '--name',
        'pc-10',
        '--data',
        within(lab, 'a9'),
      ]),
    code: 1,
    says: /this bundle is for pc-9.*leave --name out/,
  },
  {
    what: 'a bundle that is not there',
    make: (lab) => pc(['enroll', within(lab, 'no.bundle'), '--data', within(lab, 'a2')]),
    code: 2,
    says: /no bundle at.*aliquot enroll/,
  },
  {
    what: 'the kit for the bundle',
    make: (lab) => pc(['enroll', lab.world.kit, '--data', within(lab, 'a2')]),
    code: 1,
    says: /not an enrolment bundle/,
  },
  {
    what: 'the bundle’s folder for the bundle',
    make: (lab) => pc(['enroll', lab.world.folder, '--data', within(lab, 'a2')]),
    code: 2,
    says: /is a folder; name the bundle/,
  },
  {
    what: 'a used bundle on another PC',
    make: (lab) => pc(['enroll', lab.agent.bundle, '--data', within(lab, 'a2')]),
    code: 1,
    says: /bundle/,
  },
];
