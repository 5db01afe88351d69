import { central, type Mistake, pc, within } from './mistake.ts';

/** Mistakes with enrolling. */
export const enrolling: readonly Mistake[] = [
  {
    what: 'an agent’s name with a blank',
    make: (lab) => central(lab, ['enroll', 'hplc 1', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 2,
    says: /is no agent name.*letters, digits/,
  },
  {
    what: 'an agent’s name that is borne',
    make: (lab) => central(lab, ['enroll', 'pc', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 1,
    says: /--replaces/,
  },
  {
    what: 'to replace an agent that is not there',
    make: (lab) => central(lab, ['enroll', 'pc-2', '--replaces', 'px', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
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
    make: (lab) => central(lab, ['enroll', 'pc-2', '--expires', 'tomorrow', '--kit', lab.world.kit, '--out', within(lab, 'b')]),
    code: 2,
    says: /--expires.*24h/,
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
