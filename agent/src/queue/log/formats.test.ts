import { recordDamageSuite } from '@aliquot/shared/testing/records/damage';
import { chainFormat, segmentFormat } from './formats.ts';

const codes = {
  damaged: 'QUEUE_DAMAGED',
  foreign: 'QUEUE_DAMAGED',
  later: 'QUEUE_VERSION',
  tooLarge: 'QUEUE_REFUSED',
} as const;

recordDamageSuite(segmentFormat, codes);
recordDamageSuite(chainFormat, codes);
