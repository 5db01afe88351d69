import { recordDamageSuite } from '../../testing/records/damage.ts';
import type { FileFormat } from './format.ts';

const format: FileFormat<'one' | 'other'> = {
  name: 'test log',
  magic: 'ALQTEST',
  suffix: '.rec',
  kinds: { one: { code: 1, maxBytes: 100 }, other: { code: 9, maxBytes: 4000 } },
  error: (fault, says) => Object.assign(new Error(says), { code: fault }),
};

recordDamageSuite(format, {
  damaged: 'damaged',
  foreign: 'foreign',
  later: 'later',
  tooLarge: 'tooLarge',
});
